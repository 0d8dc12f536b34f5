//go:build unix

package plainworker

import (
	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// arguments are those of an operation on shared state.
type arguments = map[string]any

// bent returns the arguments of an operation as a worker with that fault has them.
func bent(fault Fault, operation string, payload []byte) []byte {
	switch {
	case fault == OneTicket:
		return with(payload, func(a arguments) {
			if a["ticket"] != nil {
				a["ticket"] = 1
			}
		})
	case fault == AsksForAll && operation == "queue.get":
		return with(payload, func(a arguments) {
			if a["most"] != nil {
				a["most"] = 1 << 14
			}
		})
	case fault == DoneFirst && operation == "queue.done":
		return with(payload, func(a arguments) {
			if tickets, several := a["tickets"].([]any); several {
				a["tickets"] = tickets[:1]
			}
		})
	case fault == ReturnsFirst && operation == "queue.return":
		return with(payload, func(a arguments) { delete(a, "most") })
	}
	return payload
}

// split returns the HostCalls that a worker makes of one. With the fault PutsEach they
// are as many as it puts items; the last is the one whose answer is waited for.
func (s *server) split(message *workerv1.HostCall) []*workerv1.HostCall {
	var put struct {
		Values [][]byte `cbor:"values"`
	}
	if s.fault != PutsEach || message.GetName() != "queue.put" || procpool.CBOR.Decode(message.GetInline(), &put) != nil {
		return []*workerv1.HostCall{message}
	}
	all := []*workerv1.HostCall{message}
	for i, value := range put.Values {
		payload := &workerv1.HostCall_Inline{Inline: with(message.GetInline(), func(a arguments) {
			delete(a, "values")
			a["value"] = value
		})}
		if i == len(put.Values)-1 {
			message.Payload = payload
			break
		}
		all = append(all[:i], &workerv1.HostCall{
			Id: s.made.number(s.fault), ParentSeq: message.GetParentSeq(), ParentLane: message.GetParentLane(),
			Name: message.GetName(), Codec: message.GetCodec(), Kind: message.GetKind(), Payload: payload,
		}, message)
	}
	return all
}

// with changes arguments, which are a map in CBOR.
func with(payload []byte, change func(arguments)) []byte {
	var a arguments
	if procpool.CBOR.Decode(payload, &a) != nil {
		return payload
	}
	change(a)
	changed, err := procpool.CBOR.Append(nil, a)
	if err != nil {
		return payload
	}
	return changed
}
