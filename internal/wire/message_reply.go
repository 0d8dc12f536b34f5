package wire

import (
	"strings"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// ReplyKind says how a call ended in the worker.
type ReplyKind uint8

// The kinds of replies.
const (
	// Result: Reply.Data is the encoded result.
	Result ReplyKind = iota
	// Failed: Reply.Err says why.
	Failed
	// Declined: the call was not run.
	Declined
)

// Reply is how one call, or one item of a pack, ended.
type Reply struct {
	// Seq is the call's sequence number, above 0. Nothing says that the
	// worker has such a call.
	Seq uint64
	// Lane is the lane that the worker names.
	Lane uint32
	// Kind says which of Data and Err is set.
	Kind ReplyKind
	// Data is the encoded result, nil when it is empty. It may share memory
	// with other small results and is never modified.
	Data []byte
	// Err is one of procpool's errors: *TaskError, *PanicError, *CodecError,
	// or one that matches ErrTooLarge or ErrUnknownTask.
	Err error
	// Run is how long the call ran, 0 when it did not.
	Run time.Duration
}

// replyBatch is a decoded WorkResponse. Decoding into it again uses the memory of
// the slices, not that of the data: what the elements hold is theirs to keep.
type replyBatch struct {
	replies []Reply
	values  []streamValue
	credits []credit
	side    []sideElement
}

// sideElement is an element of a WorkResponse that is decoded elsewhere: a Progress,
// a Log, a HostCall or a HostCancel, by its tag.
type sideElement struct {
	tag  uint64
	body []byte
}

// reset forgets what was decoded.
func (b *replyBatch) reset() {
	clear(b.replies)
	b.replies = b.replies[:0]
	b.values, b.side = emptied(b.values), emptied(b.side)
	b.credits = emptied(b.credits)
}

// emptied returns the slice without its elements, for the next message.
func emptied[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	clear(s)
	return s[:0]
}

// full reports whether the message holds all the elements that it may.
func (b *replyBatch) full() bool {
	return len(b.replies)+len(b.values)+len(b.credits)+len(b.side) >= maxElements
}

const (
	// wholeMessage is up to which size a message in several pieces is put
	// together before it is decoded. Larger ones are decoded where they lie,
	// so that a large result is copied once.
	wholeMessage = 256 << 10
	// sharedChunk is how much memory small results share. A result that is
	// kept keeps its chunk.
	sharedChunk = 64 << 10
)

func (b *replyBatch) unmarshal(data mem.BufferSlice, pool *bufferPool) error {
	b.reset()
	if len(data) > 1 && data.Len() > wholeMessage {
		return b.parsePieces(data)
	}
	buf := data.MaterializeToBuffer(pool)
	defer buf.Free()
	if err := b.parse(buf.ReadOnlyData()); err != nil {
		return err
	}
	if _, ok := buf.(mem.SliceBuffer); ok {
		return nil // small, and nobody's to use again
	}
	b.ownData()
	return nil
}

// decodeReplies decodes a WorkResponse that lies in memory which nobody
// modifies, and appends to dst. With an error it returns what it could decode up
// to there.
func decodeReplies(dst []Reply, data []byte) ([]Reply, error) {
	b := replyBatch{replies: dst}
	err := b.parse(data)
	return b.replies, err
}

// parse decodes a WorkResponse; what is in it aliases data.
func (b *replyBatch) parse(data []byte) error {
	for len(data) > 0 {
		var err error
		tag := uint64(tagResponseOutcomes)
		body, n := shortElement(data, tagResponseOutcomes)
		if n == 0 {
			if tag, body, n, err = nextField(data); err != nil {
				return err
			}
		}
		data = data[n:]
		if tag == tagResponseOutcomes {
			err = b.parseReply(body)
		} else if body != nil && isElement(tag) {
			err = b.parseElement(tag, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isElement reports whether a field of a WorkResponse is one that is known here.
func isElement(tag uint64) bool {
	return tag >= tagResponseOutcomes && tag <= tagResponseCancels && tag&7 == wireBytes
}

func (b *replyBatch) parseReply(body []byte) error {
	if b.full() {
		return errTooMany
	}
	b.replies = append(b.replies, Reply{})
	if r := &b.replies[len(b.replies)-1]; !r.parseResult(body) {
		var err error
		if *r, err = parseOutcome(body); err != nil {
			b.replies = b.replies[:len(b.replies)-1]
			return err
		}
	}
	return nil
}

func (b *replyBatch) parseElement(tag uint64, body []byte) error {
	if b.full() {
		return errTooMany
	}
	switch tag {
	case tagResponseValues:
		b.values = append(b.values, streamValue{})
		return b.values[len(b.values)-1].parse(body)
	case tagResponseCredits:
		b.credits = append(b.credits, credit{})
		return b.credits[len(b.credits)-1].parse(body)
	default:
		b.side = append(b.side, sideElement{tag: tag, body: body})
	}
	return nil
}

// parseResult decodes an Outcome that is a result and nothing out of the
// ordinary, as nearly all are. It reports false for others, or when data is
// malformed; the reply is undefined then. It is parseOutcome without what costs
// time.
func (r *Reply) parseResult(data []byte) bool {
	for i := 0; i < len(data); {
		tag := data[i]
		i++
		var v uint64
		for shift := 0; ; shift += 7 {
			if i >= len(data) || shift > 56 {
				return false
			}
			c := data[i]
			i++
			v |= uint64(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
		switch tag {
		case tagOutcomeSeq:
			r.Seq = v
		case tagOutcomeInline:
			if v > uint64(len(data)-i) {
				return false
			}
			end := i + int(v)
			r.Data = nil
			if v > 0 {
				r.Data = data[i:end:end]
			}
			i = end
		case tagOutcomeRun:
			r.Run = time.Duration(v) // of at most 63 bits here
		case tagOutcomeLane:
			r.Lane = uint32(v)
		default:
			return false
		}
	}
	return r.Seq != 0
}

// ownData copies what the elements hold out of the message's memory: small results
// into chunks that they share, each large one into memory of its own.
func (b *replyBatch) ownData() {
	c := chunks{}
	for i := range b.replies {
		if n := len(b.replies[i].Data); n < ownMemory {
			c.total += n
		}
	}
	for i := range b.replies {
		if data := b.replies[i].Data; len(data) > 0 {
			b.replies[i].Data = c.own(data)
		}
	}
	ownValues(b.values, false)
	for i := range b.side {
		b.side[i].body = append([]byte(nil), b.side[i].body...)
	}
}

// outcome is an Outcome while it is decoded.
type outcome struct {
	seq     uint64
	run     time.Duration
	lane    uint32
	kind    ReplyKind
	segment bool
	data    []byte
	failure *failure
}

// parse decodes an Outcome's fields; the result aliases data.
func (o *outcome) parse(data []byte) error {
	for len(data) > 0 {
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		var v uint64
		var field []byte
		switch tag {
		case tagOutcomeSeq:
			v, n = consumeVarint(data)
			o.seq = v
		case tagOutcomeInline:
			field, n = consumeBytes(data)
			o.set(Result, field)
		case tagOutcomeRun:
			v, n = consumeVarint(data)
			o.run = nanos(v)
		case tagOutcomeLane:
			v, n = consumeVarint(data)
			o.lane = uint32(v)
		case tagOutcomeFailure:
			if field, n = consumeBytes(data); n < 0 {
				return errTruncated
			}
			if err := o.fail(field); err != nil {
				return err
			}
		case tagOutcomeDeclined:
			_, n = consumeBytes(data)
			o.set(Declined, nil)
		case tagOutcomeSegment:
			_, n = consumeBytes(data)
			o.set(Result, nil)
			o.segment = true
		default:
			var err error
			if n, err = skipField(tag, data); err != nil {
				return err
			}
		}
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
	}
	return nil
}

// set makes kind the outcome: of the fields of a oneof, the last one counts.
func (o *outcome) set(kind ReplyKind, data []byte) {
	o.kind, o.data, o.segment, o.failure = kind, data, false, nil
}

func (o *outcome) fail(data []byte) error {
	f := o.failure
	if f == nil {
		f = new(failure)
	}
	o.set(Failed, nil)
	o.failure = f
	return f.parse(data, maxCauses)
}

// parseOutcome decodes an Outcome; the result aliases data.
func parseOutcome(data []byte) (Reply, error) {
	var o outcome
	if err := o.parse(data); err != nil {
		return Reply{}, err
	}
	return o.reply()
}

func (o *outcome) reply() (Reply, error) {
	switch {
	case o.seq == 0:
		return Reply{}, errNoSeq
	case o.segment:
		return Reply{}, errSegment
	}
	r := Reply{Seq: o.seq, Lane: o.lane, Kind: o.kind, Run: o.run}
	if o.failure != nil {
		r.Err = o.failure.err()
	}
	if len(o.data) > 0 {
		r.Data = o.data
	}
	return r, nil
}

// uncleared returns n bytes of new memory without the cost of clearing it, for
// those who overwrite all of it.
func uncleared(n int) []byte {
	if n == 0 {
		return nil
	}
	var b strings.Builder
	b.Grow(n)
	// Grow makes the memory; writing one byte gives us its address. The
	// Builder is dropped, so nobody holds these bytes as a string.
	_ = b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:n:n]
}
