package wire

import (
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// outcomeMark remembers where an Outcome under construction begins.
type outcomeMark struct {
	start int // of the Outcome's tag
	body  int // of the Outcome's fields
	// result is where the encoded result begins: dst[mark.result:] is what
	// was appended behind beginOutcome.
	result int
}

// beginOutcome appends the beginning of an Outcome to dst, which is empty or a
// prefix of a WorkResponse. Whoever runs the call appends the encoded result
// behind it and ends it with endOutcome. It does not allocate when dst has 32
// bytes of room.
func beginOutcome(dst []byte, seq uint64, lane uint32) ([]byte, outcomeMark) {
	m := outcomeMark{start: len(dst)}
	dst = append(dst, tagResponseOutcomes, 0)
	m.body = len(dst)
	dst = append(dst, tagOutcomeSeq)
	dst = protowire.AppendVarint(dst, seq)
	if lane != 0 {
		dst = append(dst, tagOutcomeLane)
		dst = protowire.AppendVarint(dst, uint64(lane))
	}
	dst = append(dst, tagOutcomeInline, 0)
	m.result = len(dst)
	return dst, m
}

// outcomeSlack is the room that an outcome needs beside its result, at most.
const outcomeSlack = 64

// endOutcome ends an Outcome whose result was appended, and returns dst, which
// is then a whole WorkResponse. A result of more than 127 bytes is moved by a
// few bytes to make room for its length.
func endOutcome(dst []byte, m outcomeMark, run time.Duration) []byte {
	dst = closeLength(dst, m.result-1, 0)
	dst = appendRun(dst, run)
	return closeLength(dst, m.body-1, 0)
}

// failOutcome ends an Outcome with an error in place of a result. Whatever was
// appended since beginOutcome is dropped. name is the task's name, for errors
// that don't hold it.
func failOutcome(dst []byte, m outcomeMark, run time.Duration, name string, err error) []byte {
	dst = append(dst[:m.result-2], tagOutcomeFailure, 0)
	at := len(dst) - 1
	f := failureOf(name, err)
	dst = closeLength(f.append(dst), at, 0)
	dst = appendRun(dst, run)
	return closeLength(dst, m.body-1, 0)
}

// declineOutcome ends an Outcome that says that the call was not run.
func declineOutcome(dst []byte, m outcomeMark) []byte {
	dst = append(dst[:m.result-2], tagOutcomeDeclined, 0)
	return closeLength(dst, m.body-1, 0)
}

// appendDeclined appends an Outcome that says that the call was not run.
func appendDeclined(dst []byte, seq uint64, lane uint32) []byte {
	dst, m := beginOutcome(dst, seq, lane)
	return declineOutcome(dst, m)
}

func appendRun(dst []byte, run time.Duration) []byte {
	if run <= 0 {
		return dst
	}
	dst = append(dst, tagOutcomeRun)
	return protowire.AppendVarint(dst, uint64(run))
}

// workResponse is a WorkResponse on its way out. SendMsg has copied data when it
// returns; big results are handed to gRPC as they are.
type workResponse struct {
	data []byte // whole Outcomes
	big  []bigOutcome
}

// bigOutcome is an Outcome whose result is not copied.
type bigOutcome struct {
	head   []byte
	result []byte
}

// addBig ends an Outcome that beginOutcome began in dst, with whatever was
// appended as its result, and adds it to the response without copying the
// result. dst must not be modified afterwards; what lies in front of the
// outcome is not looked at.
func (r *workResponse) addBig(dst []byte, m outcomeMark, run time.Duration) {
	result := dst[m.result:]
	head := make([]byte, 0, outcomeSlack)
	head = append(head, tagResponseOutcomes, 0)
	head = append(head, dst[m.body:m.result-2]...)
	head = appendRun(head, run)
	head = append(head, tagOutcomeInline)
	head = protowire.AppendVarint(head, uint64(len(result)))
	head = closeLength(head, 1, len(result))
	r.big = append(r.big, bigOutcome{head: head, result: result})
}

// size returns the length of the encoded message.
func (r *workResponse) size() int {
	n := len(r.data)
	for _, b := range r.big {
		n += len(b.head) + len(b.result)
	}
	return n
}

// messageHeader is what gRPC puts in front of each message on a stream.
const messageHeader = 5

// wireSize returns how many bytes the message takes in its stream's DATA frames.
func (r *workResponse) wireSize() uint64 { return messageHeader + uint64(r.size()) }

func (r *workResponse) marshal(pool *bufferPool) mem.BufferSlice {
	size := len(r.data)
	for _, b := range r.big {
		size += len(b.head)
	}
	out := newOutgoing(pool, size)
	out.data = append(out.data, r.data...)
	for _, b := range r.big {
		out.data = append(out.data, b.head...)
		out.insert(b.result)
	}
	return out.buffers()
}
