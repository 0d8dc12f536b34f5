package wire

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// task is a call as a worker receives it.
type task struct {
	seq            uint64
	lane, function uint32
	// codec is empty for the task's first one.
	codec string
	// timeout is the time that was left when the host sent the call, 0 for no
	// limit.
	timeout time.Duration
	// attempt is above 1 when the call is run again.
	attempt uint32
	// method says what a call of the actor with that number does; 0 for no actor.
	method uint32
	actor  uint64
	// stream is 0 for a call of a function, else where in taskBatch.streams it is
	// told with what the call's values begin, plus 1.
	stream   uint32
	metadata map[string]string
	// payload and sizes alias the batch's memory.
	payload []byte
	// sizes is not empty for a pack; they add up to the payload's length.
	sizes []uint32

	sizesFrom, sizesTo int // where sizes lies in taskBatch.sizes
}

// taskStream says with what the values of a stream or a session begin.
type taskStream struct {
	credit, creditBytes int64
	input               bool // the call receives values
}

// taskBatch is a decoded WorkRequest. What its values and hostReplies hold is theirs
// to keep. Its tasks, their payloads and their sizes
// are in memory that the batch owns and that can be used again:
//
//	b := newTaskBatch()
//	err := stream.RecvMsg(b) // the tasks are there
//	b.retain(n)              // n more holders, such as lanes
//	b.release()              // by each holder and the one who made it
//
// A batch that is not released is left to the garbage collector. One goroutine
// decodes; retain and release are safe for concurrent use.
type taskBatch struct {
	tasks   []task
	streams []taskStream

	values      []streamValue
	credits     []credit
	hostReplies [][]byte // each a HostReply

	refs   atomic.Int32
	buf    mem.Buffer // nil when nothing is to be given back
	sizes  []uint32
	codecs []string // names that are none of ours, so that each costs one allocation
}

var taskBatches = sync.Pool{New: func() any { return new(taskBatch) }}

// newTaskBatch returns an empty batch with one holder.
func newTaskBatch() *taskBatch {
	b := taskBatches.Get().(*taskBatch)
	b.refs.Store(1)
	return b
}

// retain adds n holders.
func (b *taskBatch) retain(n int) { b.refs.Add(int32(n)) }

// release drops one holder; with the last one the batch's memory is used for
// other batches.
func (b *taskBatch) release() {
	if b.refs.Add(-1) == 0 {
		b.reset()
		taskBatches.Put(b)
	}
}

// reset forgets the tasks and gives back the memory they lie in.
func (b *taskBatch) reset() {
	clear(b.tasks)
	b.tasks, b.sizes = b.tasks[:0], b.sizes[:0]
	b.streams, b.values = emptied(b.streams), emptied(b.values)
	b.credits, b.hostReplies = emptied(b.credits), emptied(b.hostReplies)
	if cap(b.tasks) > maxKept {
		b.tasks = nil
	}
	if cap(b.sizes) > maxKept {
		b.sizes = nil
	}
	if b.buf != nil {
		b.buf.Free()
		b.buf = nil
	}
}

// maxKept is how many elements' memory a batch keeps for the next message.
const maxKept = 8 << 10

func (b *taskBatch) unmarshal(data mem.BufferSlice, pool *bufferPool) error {
	b.reset()
	buf := data.MaterializeToBuffer(pool)
	if err := b.parse(buf.ReadOnlyData()); err != nil {
		buf.Free()
		b.reset()
		return err
	}
	b.buf = buf
	if len(b.values) > 0 || len(b.hostReplies) > 0 {
		b.ownData()
	}
	return nil
}

// ownData has values and replies outlive the batch. Small ones are copied. For large
// ones the message's memory, to which it has been copied once, is left to them.
func (b *taskBatch) ownData() {
	kept := ownValues(b.values, true)
	for i, body := range b.hostReplies {
		if len(body) >= ownMemory {
			kept = true
			continue
		}
		b.hostReplies[i] = append([]byte(nil), body...)
	}
	if kept {
		b.buf = nil
	}
}

// parse decodes a WorkRequest; what is in it aliases data.
func (b *taskBatch) parse(data []byte) error {
	for len(data) > 0 {
		var err error
		tag := uint64(tagRequestTasks)
		body, n := shortElement(data, tagRequestTasks)
		if n == 0 {
			if tag, body, n, err = nextField(data); err != nil {
				return err
			}
		}
		data = data[n:]
		if tag == tagRequestTasks {
			err = b.parseTaskElement(body)
		} else if body != nil {
			err = b.parseElement(tag, body)
		}
		if err != nil {
			return err
		}
	}
	// Only now does the memory of the sizes stay where it is.
	for i := range b.tasks {
		t := &b.tasks[i]
		if t.sizesTo > t.sizesFrom {
			t.sizes = b.sizes[t.sizesFrom:t.sizesTo:t.sizesTo]
			if !addUp(t.sizes, len(t.payload)) {
				return errItemSizes
			}
		}
	}
	return nil
}

// full reports whether the message holds all the elements that it may.
func (b *taskBatch) full() bool {
	return len(b.tasks)+len(b.values)+len(b.credits)+len(b.hostReplies) >= maxElements
}

func (b *taskBatch) parseTaskElement(body []byte) error {
	if b.full() {
		return errTooMany
	}
	b.tasks = append(b.tasks, task{})
	if t := &b.tasks[len(b.tasks)-1]; !b.parsePlain(t, body) {
		*t = task{}
		return b.parseTask(t, body)
	}
	return nil
}

func (b *taskBatch) parseElement(tag uint64, body []byte) error {
	if tag <= tagRequestReplies && b.full() {
		return errTooMany
	}
	switch tag {
	case tagRequestValues:
		b.values = append(b.values, streamValue{})
		return b.values[len(b.values)-1].parse(body)
	case tagRequestCredits:
		b.credits = append(b.credits, credit{})
		return b.credits[len(b.credits)-1].parse(body)
	case tagRequestReplies:
		b.hostReplies = append(b.hostReplies, body)
	}
	return nil
}

// parsePlain decodes a Task that is one call with its payload in the message, as
// nearly all are. It reports false for others, or when data is malformed; the
// task is undefined then. It is parseTask without what costs time.
func (b *taskBatch) parsePlain(t *task, data []byte) bool {
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
		case tagTaskSeq:
			t.seq = v
		case tagTaskLane:
			t.lane = uint32(v)
		case tagTaskFunction:
			t.function = uint32(v)
		case tagTaskTimeout:
			t.timeout = time.Duration(v) // of at most 63 bits here
		case tagTaskAttempt:
			t.attempt = uint32(v)
		case tagTaskMethod:
			t.method = uint32(v)
		case tagTaskActor:
			t.actor = v
		case tagTaskInline, tagTaskCodec:
			if v > uint64(len(data)-i) {
				return false
			}
			end := i + int(v)
			if tag == tagTaskInline {
				t.payload = data[i:end:end]
			} else {
				t.codec = b.codecName(data[i:end])
			}
			i = end
		default:
			return false
		}
	}
	return t.seq != 0
}

func addUp(sizes []uint32, total int) bool {
	var sum uint64
	for _, s := range sizes {
		sum += uint64(s)
	}
	return sum == uint64(total)
}

func (b *taskBatch) parseTask(t *task, data []byte) error {
	segment := false
	var stream taskStream
	for len(data) > 0 {
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		var v uint64
		var field []byte
		switch tag {
		case tagTaskCredit:
			v, n = consumeVarint(data)
			stream.credit = int64(min(v, maxCredit))
		case tagTaskCreditBytes:
			v, n = consumeVarint(data)
			stream.creditBytes = int64(min(v, maxCredit))
		case tagTaskStreams:
			v, n = consumeVarint(data)
			stream.input = v != 0
		case tagTaskSeq:
			v, n = consumeVarint(data)
			t.seq = v
		case tagTaskLane:
			v, n = consumeVarint(data)
			t.lane = uint32(v)
		case tagTaskFunction:
			v, n = consumeVarint(data)
			t.function = uint32(v)
		case tagTaskTimeout:
			v, n = consumeVarint(data)
			t.timeout = nanos(v)
		case tagTaskAttempt:
			v, n = consumeVarint(data)
			t.attempt = uint32(v)
		case tagTaskMethod:
			v, n = consumeVarint(data)
			t.method = uint32(v)
		case tagTaskActor:
			v, n = consumeVarint(data)
			t.actor = v
		case tagTaskCodec:
			field, n = consumeBytes(data)
			if n >= 0 {
				t.codec = b.codecName(field)
			}
		case tagTaskInline:
			t.payload, n = consumeBytes(data)
			segment = false
		case tagTaskSegment:
			t.payload, n = consumeBytes(data)
			segment = true
		case tagTaskSizes:
			field, n = consumeBytes(data)
			if n >= 0 {
				if err := b.parseSizes(t, field); err != nil {
					return err
				}
			}
		case tagTaskSize:
			v, n = consumeVarint(data)
			if n >= 0 {
				b.addSize(t, uint32(v))
			}
		case tagTaskMetadata:
			field, n = consumeBytes(data)
			if n >= 0 {
				if err := parseMetadata(t, field); err != nil {
					return err
				}
			}
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
	switch {
	case segment:
		return errSegment
	case t.seq == 0:
		return errNoSeq
	}
	if stream.credit > 0 {
		b.streams = append(b.streams, stream)
		t.stream = uint32(len(b.streams))
	}
	return nil
}

// nanos turns an untrusted count of nanoseconds into a duration that is not
// negative.
func nanos(v uint64) time.Duration {
	return time.Duration(min(v, 1<<63-1))
}

func (b *taskBatch) parseSizes(t *task, data []byte) error {
	for len(data) > 0 {
		v, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		b.addSize(t, uint32(v))
		data = data[n:]
	}
	return nil
}

func (b *taskBatch) addSize(t *task, size uint32) {
	if t.sizesTo == t.sizesFrom {
		t.sizesFrom = len(b.sizes)
	}
	b.sizes = append(b.sizes, size)
	t.sizesTo = len(b.sizes)
}

// codecName returns name as a string, without allocating one each time.
func (b *taskBatch) codecName(name []byte) string {
	switch string(name) {
	case "":
		return ""
	case "cbor":
		return "cbor"
	case "json":
		return "json"
	case "raw":
		return "raw"
	case "proto":
		return "proto"
	}
	for _, c := range b.codecs {
		if c == string(name) {
			return c
		}
	}
	c := string(name)
	if len(b.codecs) < 8 && len(c) < 64 {
		b.codecs = append(b.codecs, c)
	}
	return c
}

func parseMetadata(t *task, data []byte) error {
	key, value, err := parseEntry(data)
	if err != nil {
		return err
	}
	if t.metadata == nil {
		t.metadata = make(map[string]string)
	}
	t.metadata[string(key)] = string(value)
	return nil
}
