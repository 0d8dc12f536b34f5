package wire

import (
	"math"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/procpool/procpool"
)

// workRequest is a WorkRequest on its way out: calls for one lane of a worker,
// encoded straight from where they are. Small arguments are copied; those of 16
// KiB and more are handed to gRPC as they are and must stay unmodified.
type workRequest struct {
	// calls are sealed, with ascending Slot.Seq. Slot.Attempts counts the runs
	// before this one.
	calls []*procpool.Call
	// function returns the index of a task in the worker's list.
	function func(name string) uint32
	// firstCodec returns the first codec of the task with that index, which
	// need not be named. nil means that each call names its codec.
	firstCodec func(function uint32) string
	// method returns what a call of an actor that is the task with that index does,
	// as Task.method has it.
	method func(function uint32, c *procpool.Call) uint32
	// runs reports whether the worker can run streams, sessions or actors; for a call
	// that it can't run it is given the number of no task. nil means that it can.
	runs func(procpool.Kind) bool
	lane uint32
	// now is the moment at which deadlines turn into time left.
	now time.Time
}

// noFunction is the number of a task that no worker has.
const noFunction = math.MaxUint32

// taskOverhead bounds what a task takes beside its payload, sizes, codec and
// metadata: the tags and varints of at most 11 bytes each.
const taskOverhead = 11 * 11

// sizeHint returns an upper bound for what marshal copies.
func (r *workRequest) sizeHint() int {
	total := 0
	for _, c := range r.calls {
		total += taskOverhead + len(c.Codec()) + 5*len(c.ItemSizes())
		if n := len(c.Payload()); n < ownMemory {
			total += n
		}
		if c.Kind().HasValues() {
			total += 3 * 11
		}
		for k, v := range c.Metadata() {
			total += 3*11 + len(k) + len(v)
		}
	}
	return total
}

// marshal encodes the request.
func (r *workRequest) marshal(pool *bufferPool) mem.BufferSlice {
	out := newOutgoing(pool, r.sizeHint())
	var (
		name     string
		function uint32
		first    string
	)
	for i, c := range r.calls {
		// Nearly always a batch is of one task: look it up once.
		if task := taskOf(c); i == 0 || task != name {
			name, function, first = task, r.function(task), ""
			if r.firstCodec != nil {
				first = r.firstCodec(function)
			}
		}
		r.appendTask(&out, c, function, first)
	}
	return out.buffers()
}

// taskOf returns the name of the task that a worker serves for the call.
func taskOf(c *procpool.Call) string {
	if a := c.Actor(); a != nil {
		return a.Actor()
	}
	return c.Task()
}

func (r *workRequest) appendTask(out *outgoing, c *procpool.Call, function uint32, firstCodec string) {
	payload := c.Payload()
	kind := c.Kind()
	if kind != procpool.KindFunction && r.runs != nil && !r.runs(kind) {
		function, firstCodec = noFunction, ""
	}
	dst := append(out.data, tagRequestTasks, 0)
	at := len(dst) - 1
	dst = append(dst, tagTaskSeq)
	dst = protowire.AppendVarint(dst, c.Slot.Seq)
	if r.lane != 0 {
		dst = append(dst, tagTaskLane)
		dst = protowire.AppendVarint(dst, uint64(r.lane))
	}
	if function != 0 {
		dst = append(dst, tagTaskFunction)
		dst = protowire.AppendVarint(dst, uint64(function))
	}
	if codec := c.Codec(); codec != firstCodec {
		dst = append(dst, tagTaskCodec)
		dst = protowire.AppendString(dst, codec)
	}
	if sizes := c.ItemSizes(); len(sizes) > 0 {
		dst = append(dst, tagTaskSizes, 0)
		sizesAt := len(dst) - 1
		for _, size := range sizes {
			dst = protowire.AppendVarint(dst, uint64(size))
		}
		dst = closeLength(dst, sizesAt, 0)
	}
	if deadline, ok := c.Deadline(); ok {
		dst = append(dst, tagTaskTimeout)
		dst = protowire.AppendVarint(dst, uint64(max(1, deadline.Sub(r.now))))
	}
	if n := c.Slot.Attempts; n > 0 {
		dst = append(dst, tagTaskAttempt)
		dst = protowire.AppendVarint(dst, uint64(n)+1)
	}
	for k, v := range c.Metadata() {
		dst = appendEntry(dst, tagTaskMetadata, k, v)
	}
	switch {
	case kind.HasValues():
		dst = appendStream(dst, c.Conduit())
	case c.Actor() != nil:
		dst = r.appendActor(dst, function, c)
	}
	// The payload comes last, so that a large one can be a buffer of its own.
	switch {
	case len(payload) == 0:
		out.data = closeLength(dst, at, 0)
	case len(payload) < ownMemory:
		dst = append(dst, tagTaskInline)
		dst = protowire.AppendBytes(dst, payload)
		out.data = closeLength(dst, at, 0)
	default:
		dst = append(dst, tagTaskInline)
		dst = protowire.AppendVarint(dst, uint64(len(payload)))
		out.data = closeLength(dst, at, len(payload))
		out.insert(payload)
	}
}

// appendStream appends with what the values of a stream or a session begin.
func appendStream(dst []byte, d *procpool.Conduit) []byte {
	values, bytes := d.Window()
	dst = append(dst, tagTaskCredit)
	dst = protowire.AppendVarint(dst, uint64(values))
	if d.TakesInput() {
		dst = append(dst, tagTaskStreams, 1)
	}
	dst = append(dst, tagTaskCreditBytes)
	return protowire.AppendVarint(dst, uint64(bytes))
}

// appendActor appends which actor the call is of, and what it does there.
func (r *workRequest) appendActor(dst []byte, function uint32, c *procpool.Call) []byte {
	if method := r.method(function, c); method != methodOpen {
		dst = append(dst, tagTaskMethod)
		dst = protowire.AppendVarint(dst, uint64(method))
	}
	dst = append(dst, tagTaskActor)
	return protowire.AppendVarint(dst, c.Actor().Number())
}

// outgoing is a message under construction: bytes in one pooled buffer, with
// payloads between them that are not copied.
type outgoing struct {
	pool *bufferPool
	buf  *[]byte
	data []byte
	big  []bigPayload
}

// bigPayload is a payload that goes in front of the byte at offset.
type bigPayload struct {
	offset int
	data   []byte
}

// newOutgoing makes room for size bytes. Appending more than that is allowed but
// costs a copy.
func newOutgoing(pool *bufferPool, size int) outgoing {
	buf := pool.Get(size)
	return outgoing{pool: pool, buf: buf, data: (*buf)[:0]}
}

// insert puts a payload behind what was appended so far.
func (o *outgoing) insert(payload []byte) {
	o.big = append(o.big, bigPayload{offset: len(o.data), data: payload})
}

// buffers ends the construction.
func (o *outgoing) buffers() mem.BufferSlice {
	*o.buf = o.data
	root := mem.NewBuffer(o.buf, o.pool)
	if len(o.big) == 0 {
		return mem.BufferSlice{root}
	}
	slices := make(mem.BufferSlice, 0, 2*len(o.big)+1)
	from := 0
	for _, b := range o.big {
		if b.offset > from {
			slices = append(slices, root.Slice(from, b.offset))
			from = b.offset
		}
		slices = append(slices, mem.SliceBuffer(b.data))
	}
	if from < len(o.data) {
		slices = append(slices, root.Slice(from, len(o.data)))
	}
	root.Free() // the slices hold their own references
	return slices
}
