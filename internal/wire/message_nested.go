package wire

import (
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// The fields of a HostCall, a HostCancel and a HostReply, see message.go.
const (
	tagHostCallID          = 1<<3 | wireVarint
	tagHostCallParentSeq   = 2<<3 | wireVarint
	tagHostCallParentLane  = 3<<3 | wireVarint
	tagHostCallName        = 4<<3 | wireBytes
	tagHostCallCodec       = 5<<3 | wireBytes
	tagHostCallInline      = 6<<3 | wireBytes
	tagHostCallSegment     = 7<<3 | wireBytes
	tagHostCallTimeout     = 8<<3 | wireVarint
	tagHostCallMetadata    = 9<<3 | wireBytes
	tagHostCallKind        = 10<<3 | wireVarint
	tagHostCallKey         = 11<<3 | wireBytes
	tagHostCallPriority    = 12<<3 | wireVarint
	tagHostCallRunLimit    = 13<<3 | wireVarint
	tagHostCallAttempts    = 14<<3 | wireVarint
	tagHostCallSuspect     = 15<<3 | wireVarint
	tagHostCallShared      = 16<<3 | wireVarint
	tagHostCallCredit      = 17<<3 | wireVarint
	tagHostCallCreditBytes = 18<<3 | wireVarint
	tagHostCallNoReply     = 19<<3 | wireVarint
	tagHostCallActor       = 20<<3 | wireVarint
	tagHostCallMethod      = 21<<3 | wireBytes
	tagHostCallRestarts    = 22<<3 | wireVarint

	tagHostCancelID = 1<<3 | wireVarint

	tagHostReplyID      = 1<<3 | wireVarint
	tagHostReplyInline  = 2<<3 | wireBytes
	tagHostReplySegment = 3<<3 | wireBytes
	tagHostReplyFailure = 4<<3 | wireBytes
	tagHostReplyWorker  = 5<<3 | wireVarint
	tagHostReplyPID     = 6<<3 | wireVarint
	tagHostReplyWait    = 7<<3 | wireVarint
	tagHostReplyRun     = 8<<3 | wireVarint
	tagHostReplyActor   = 9<<3 | wireVarint
)

var errNoCallID = errors.New("the message holds a call of a task without a number")

// hostReplyOverhead is what a HostReply with a result takes beside that, at most.
const hostReplyOverhead = 9 * 12

// hostCallOverhead bounds what a HostCall takes beside its texts, metadata and
// argument.
const hostCallOverhead = 23 * 12

// appendHostCall appends the fields of the HostCall that call parent makes of c, which
// carries in its Slot how often it has run and whether it is suspect. Its argument
// comes last and is not appended: whoever sends the message puts it behind.
func appendHostCall(dst []byte, id uint64, parent callKey, c *procpool.Call, now time.Time) []byte {
	dst = appendNumber(dst, tagHostCallID, id)
	dst = appendNumber(dst, tagHostCallParentSeq, parent.seq)
	dst = appendNumber(dst, tagHostCallParentLane, uint64(parent.lane))
	dst = appendName(dst, tagHostCallName, taskOf(c))
	dst = appendName(dst, tagHostCallCodec, c.Codec())
	if deadline, ok := c.Deadline(); ok {
		dst = appendNumber(dst, tagHostCallTimeout, uint64(max(1, deadline.Sub(now))))
	}
	for k, v := range c.Metadata() {
		dst = appendEntry(dst, tagHostCallMetadata, k, v)
	}
	if kind := c.Kind(); kind != procpool.KindFunction {
		dst = appendNumber(dst, tagHostCallKind, uint64(kindOnWire(kind)))
	}
	if c.Kind().HasValues() {
		values, bytes := c.Conduit().Window()
		dst = appendNumber(dst, tagHostCallCredit, uint64(max(values, 0)))
		dst = appendNumber(dst, tagHostCallCreditBytes, uint64(max(bytes, 0)))
	}
	dst = appendName(dst, tagHostCallKey, c.Key())
	dst = appendNumber(dst, tagHostCallPriority, protowire.EncodeZigZag(int64(c.Priority())))
	dst = appendNumber(dst, tagHostCallRunLimit, uint64(c.Timeout()))
	dst = appendNumber(dst, tagHostCallAttempts, uint64(c.Slot.Attempts))
	dst = appendFlag(dst, tagHostCallSuspect, c.Slot.Suspect)
	if a := c.Actor(); a != nil {
		dst = appendNumber(dst, tagHostCallActor, a.Number())
		dst = appendName(dst, tagHostCallMethod, c.Method())
		dst = appendNumber(dst, tagHostCallRestarts, uint64(a.Restarts()))
		return appendFlag(dst, tagHostCallShared, a.Shared())
	}
	dst = appendFlag(dst, tagHostCallShared, c.Kind() == procpool.KindSession && !c.Dedicated())
	return appendFlag(dst, tagHostCallNoReply, c.Unanswered())
}

// hostCall is a HostCall as the host reads it.
type hostCall struct {
	id     uint64
	parent callKey
	relay  procpool.Relay // without what the host adds: Deadline, Sink and Done
	// timeout is the time that was left, 0 for no limit.
	timeout time.Duration
	// silent is set where the task wants no answer.
	silent bool
}

// size is the memory that the call takes, about.
func (h *hostCall) size() int64 {
	n := len(h.relay.Task) + len(h.relay.Codec) + len(h.relay.Key) + len(h.relay.Payload)
	for k, v := range h.relay.Metadata {
		n += len(k) + len(v)
	}
	return int64(n)
}

const (
	// maxRelayAttempts bounds what a worker may say of earlier runs of a call. It is
	// above what procpool.Retries allows.
	maxRelayAttempts = 200
	// maxRelayWindow and maxRelayBytes bound the credit that a worker may give at any
	// time for what comes out of a call that it has made: what it does not take waits
	// in the host.
	maxRelayWindow = 1 << 20
	maxRelayBytes  = 64 << 20
)

// parse decodes the fields of a HostCall; the argument aliases data.
func (h *hostCall) parse(data []byte) error {
	var (
		payload []byte
		actor   uint64
	)
	segment := false
	r := &h.relay
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		data = rest
		switch f.tag {
		case tagHostCallID:
			h.id = f.number
		case tagHostCallParentSeq:
			h.parent.seq = f.number
		case tagHostCallParentLane:
			h.parent.lane = uint32(f.number)
		case tagHostCallName:
			r.Task = f.name()
		case tagHostCallCodec:
			r.Codec = f.name()
		case tagHostCallInline:
			payload, segment = f.body, false
		case tagHostCallSegment:
			payload, segment = nil, true
		case tagHostCallTimeout:
			h.timeout = f.span()
		case tagHostCallMetadata:
			key, value, err := parseEntry(f.body)
			if err != nil {
				return err
			}
			if r.Metadata == nil {
				r.Metadata = make(map[string]string)
			}
			r.Metadata[validText(key)] = validText(value)
		case tagHostCallKind:
			r.Kind = kindFromWire(workerv1.TaskKind(min(f.number, math.MaxInt32)))
		case tagHostCallKey:
			r.Key = f.name()
		case tagHostCallPriority:
			r.Priority = int(int32(protowire.DecodeZigZag(f.number & math.MaxUint32)))
		case tagHostCallRunLimit:
			r.Timeout = f.span()
		case tagHostCallAttempts:
			r.Attempt = int(min(f.number, maxRelayAttempts))
		case tagHostCallSuspect:
			r.Suspect = f.number != 0
		case tagHostCallShared:
			r.Shared = f.number != 0
		case tagHostCallActor:
			actor = f.number
		case tagHostCallMethod:
			r.Method = f.name()
		case tagHostCallRestarts:
			r.Restarts = f.count()
		case tagHostCallCredit:
			r.Window = int64(min(f.number, maxRelayWindow))
		case tagHostCallCreditBytes:
			r.WindowBytes = int64(min(f.number, maxRelayBytes))
		case tagHostCallNoReply:
			h.silent = f.number != 0
		}
	}
	switch {
	case segment:
		return errSegment
	case h.id == 0:
		return errNoCallID
	}
	r.Payload = payload
	h.silent = h.silent && r.Kind == procpool.KindShared
	if r.Kind == procpool.KindActor {
		r.Actor = procpool.NewInstance(r.Task, actor)
	}
	return nil
}

// parseHostCancel decodes the fields of a HostCancel.
func parseHostCancel(data []byte) (id uint64, err error) {
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return 0, err
		}
		data = rest
		if f.tag == tagHostCancelID {
			id = f.number
		}
	}
	return id, nil
}

// hostReply is how a call that a task has made ended.
type hostReply struct {
	id         uint64
	data       []byte   // the encoded result
	failure    *failure // nil for a result
	worker     int
	pid        int
	wait, took time.Duration
	actor      uint64 // that it has made
}

// append appends the fields of a HostReply to dst, but for the result, which comes
// last: whoever sends the message puts it behind.
func (r *hostReply) append(dst []byte) []byte {
	dst = appendNumber(dst, tagHostReplyID, r.id)
	dst = appendNumber(dst, tagHostReplyWorker, uint64(r.worker))
	dst = appendNumber(dst, tagHostReplyPID, uint64(r.pid))
	dst = appendNumber(dst, tagHostReplyWait, uint64(max(r.wait, 0)))
	dst = appendNumber(dst, tagHostReplyRun, uint64(max(r.took, 0)))
	dst = appendNumber(dst, tagHostReplyActor, r.actor)
	if r.failure != nil {
		dst = append(dst, tagHostReplyFailure, 0)
		at := len(dst) - 1
		dst = closeLength(r.failure.append(dst), at, 0)
	}
	return dst
}

// parse decodes the fields of a HostReply; the result aliases data.
func (r *hostReply) parse(data []byte) error {
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		data = rest
		switch f.tag {
		case tagHostReplyID:
			r.id = f.number
		case tagHostReplyInline:
			r.data, r.failure = f.body, nil
		case tagHostReplySegment:
			return errSegment
		case tagHostReplyFailure:
			if r.failure == nil {
				r.failure = &failure{host: new(hostFailure)}
			}
			r.data = nil
			if err := r.failure.parse(f.body, maxCauses); err != nil {
				return err
			}
		case tagHostReplyWorker:
			r.worker = f.count()
		case tagHostReplyPID:
			r.pid = f.count()
		case tagHostReplyWait:
			r.wait = f.span()
		case tagHostReplyRun:
			r.took = f.span()
		case tagHostReplyActor:
			r.actor = f.number
		}
	}
	if r.id == 0 {
		return errNoCallID
	}
	return nil
}
