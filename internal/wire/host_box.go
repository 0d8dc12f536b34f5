package wire

import (
	"errors"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/procpool/procpool"
)

const (
	// maxAhead and maxAheadBytes bound what one stream of values to a worker may
	// have in the box, whatever credit the worker gives.
	maxAhead      = 4096
	maxAheadBytes = 4 << 20
	// maxPostedReplies and maxPostedBytes bound the HostReplies that wait for a worker.
	// One of any size may wait alone.
	maxPostedReplies = 1 << 16
	maxPostedBytes   = 1 << 30
)

// postBox takes what is to be sent to a worker from those who must not wait for it:
// the goroutine that reads from the worker, and whoever holds a lock. What is posted
// stays in order. A goroutine that lives while there is something sends it on the
// work stream, in as few messages as their size allows.
//
// What waits is bounded by credit, which far counts, and for HostReplies by number and
// bytes. The methods don't block and are safe for concurrent use.
type postBox struct {
	send func(*postedRequest) error
	kill func(reason error)

	mu      sync.Mutex
	waiting []posting
	granted []*far // those with credit to send
	replies int    // how many of waiting are HostReplies,
	bytes   int    // and how large these are
	sending bool   // there is a goroutine
	closed  bool
	spare   []posting // for the next to wait
	senders sync.WaitGroup
}

// posting is one element of a WorkRequest.
type posting struct {
	far    *far  // of a value or a credit, else nil
	credit bool  // it is a credit
	values int64 // of a credit
	bytes  int64
	end    bool   // it is the end of an argument stream
	data   []byte // the value, or the encoded field
	large  []byte // ends the field, and is not copied
}

// size bounds what the posting takes in a message.
func (p *posting) size() int { return valueOverhead + len(p.data) + len(p.large) }

// far is the worker's end of one stream of values: that of a call which runs in the
// worker, or of a HostCall that the worker makes. It is a procpool.Far.
type far struct {
	box *postBox
	key streamKey
	// pass, if not nil, takes the credit that the worker gives for values that are
	// sent to it (see gave). It is called without locks.
	pass func(values, bytes int64)

	// Guarded by the box's lock.
	credit, creditBytes int64 // to be sent
	here                int   // values in the box
	surplus, surplusB   int64 // credit that the worker gave and pass has not seen
	out, outB           int64 // credit that pass has seen, less the values that were sent
	stopped             bool
}

var _ procpool.Far = (*far)(nil)

func newPostBox(send func(*postedRequest) error, kill func(error)) *postBox {
	return &postBox{send: send, kill: kill}
}

// far makes the worker's end of the stream of values that key names.
func (b *postBox) far(key streamKey, pass func(values, bytes int64)) *far {
	return &far{box: b, key: key, pass: pass}
}

// reply posts a HostReply: the whole field of a WorkRequest, or all but its end, which
// is then large. Neither may be modified afterwards. A worker that makes calls without
// end and takes no answers is killed.
func (b *postBox) reply(field, large []byte) {
	b.mu.Lock()
	size := len(field) + len(large)
	if b.replies >= maxPostedReplies || b.replies > 0 && b.bytes+size > maxPostedBytes {
		b.mu.Unlock()
		b.kill(errors.New("the worker was killed because it does not take the answers to the calls that it makes"))
		return
	}
	b.replies++
	b.bytes += size
	b.postLocked(posting{data: field, large: large})
	b.mu.Unlock()
}

// postLocked appends a posting and has it sent.
func (b *postBox) postLocked(p posting) {
	if b.closed {
		return
	}
	b.waiting = append(b.waiting, p)
	b.wakeLocked()
}

func (b *postBox) wakeLocked() {
	if !b.sending && !b.closed {
		b.sending = true
		b.senders.Go(b.run)
	}
}

// Send posts a value, or with end that there are no more. The value must not be
// modified afterwards.
func (f *far) Send(value []byte, end bool) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if f.stopped {
		return
	}
	f.here++
	f.box.postLocked(posting{far: f, data: value, end: end})
}

// Grant posts credit. What waits to be sent is added up.
func (f *far) Grant(values, bytes int64) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if f.stopped || f.box.closed {
		return
	}
	if f.credit == 0 && f.creditBytes == 0 {
		f.box.granted = append(f.box.granted, f)
	}
	f.credit += values
	f.creditBytes += bytes
	f.box.wakeLocked()
}

// gave takes note of credit that the worker has given, and passes on what the box has
// room for. The rest follows when values were sent.
func (f *far) gave(values, bytes int64) {
	f.box.mu.Lock()
	f.surplus = min(f.surplus+values, maxCredit)
	f.surplusB = min(f.surplusB+bytes, maxCredit)
	values, bytes = f.passLocked()
	f.box.mu.Unlock()
	f.passOn(values, bytes)
}

func (f *far) passLocked() (values, bytes int64) {
	values = max(0, min(f.surplus, maxAhead-f.out))
	bytes = max(0, min(f.surplusB, maxAheadBytes-f.outB))
	f.surplus -= values
	f.surplusB -= bytes
	f.out += values
	f.outB += bytes
	return values, bytes
}

func (f *far) passOn(values, bytes int64) {
	if f.pass != nil && (values > 0 || bytes > 0) {
		f.pass(values, bytes)
	}
}

// stop says that the stream has ended: what was posted and not sent is dropped, and
// nothing more is taken.
func (f *far) stop() {
	b := f.box
	b.mu.Lock()
	defer b.mu.Unlock()
	f.stopped = true
	if f.here > 0 {
		kept := b.waiting[:0]
		for _, p := range b.waiting {
			if p.far != f {
				kept = append(kept, p)
			}
		}
		clear(b.waiting[len(kept):])
		b.waiting = kept
	}
	if f.credit > 0 || f.creditBytes > 0 {
		kept := b.granted[:0]
		for _, other := range b.granted {
			if other != f {
				kept = append(kept, other)
			}
		}
		clear(b.granted[len(kept):])
		b.granted = kept
	}
}

// run sends what waits until there is nothing.
func (b *postBox) run() {
	for {
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		if b.send(newPostedRequest(batch)) != nil {
			b.close() // the stream has ended, which its reader sees
			return
		}
		b.sent(batch)
	}
}

// take takes what fits into the next message. When there is nothing the goroutine is
// to end.
func (b *postBox) take() []posting {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.spare[:0]
	b.spare = nil
	for len(b.granted) > 0 && len(batch) < maxElements/2 {
		f := b.granted[len(b.granted)-1]
		b.granted[len(b.granted)-1] = nil
		b.granted = b.granted[:len(b.granted)-1]
		batch = append(batch, posting{far: f, credit: true, values: f.credit, bytes: f.creditBytes})
		f.credit, f.creditBytes = 0, 0
	}
	n := b.fittingLocked(maxElements - len(batch))
	batch = append(batch, b.waiting[:n]...)
	left := copy(b.waiting, b.waiting[n:])
	clear(b.waiting[left:])
	b.waiting = b.waiting[:left]
	if len(batch) == 0 {
		b.spare = batch
		b.sending = false
	}
	return batch
}

// fittingLocked returns how many of those that wait fit into one message that may
// hold that many.
func (b *postBox) fittingLocked(most int) int {
	size := 0
	for i := range b.waiting {
		size += b.waiting[i].size()
		if i > 0 && size > batchBytes || i >= most {
			return i
		}
	}
	return len(b.waiting)
}

// sent takes note that a batch is on its way.
func (b *postBox) sent(batch []posting) {
	for i := 0; i < len(batch); {
		f := batch[i].far
		var values, bytes int64
		n := 0
		b.mu.Lock()
		for ; i < len(batch) && batch[i].far == f; i++ {
			switch p := &batch[i]; {
			case f == nil:
				b.replies--
				b.bytes -= len(batch[i].data) + len(batch[i].large)
			case !p.credit:
				n++
				if !p.end {
					values++
					bytes += int64(len(p.data))
				}
			}
		}
		if f != nil {
			f.here -= n
			f.out -= values
			f.outB -= bytes
			values, bytes = f.passLocked()
		}
		b.mu.Unlock()
		if f != nil {
			f.passOn(values, bytes)
		}
	}
	clear(batch)
	if cap(batch) <= maxKept {
		b.mu.Lock()
		b.spare = batch
		b.mu.Unlock()
	}
}

// close drops what waits. Nothing is taken any more.
func (b *postBox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.waiting, b.granted, b.spare = nil, nil, nil
}

// awaitIdle returns when the goroutine has ended. The box is closed, and the stream
// broken.
func (b *postBox) awaitIdle() { b.senders.Wait() }

// postedRequest is a WorkRequest of what was posted. Small values are copied; those
// of 16 KiB and more are handed to gRPC as they are.
type postedRequest struct {
	batch []posting
}

func newPostedRequest(batch []posting) *postedRequest { return &postedRequest{batch: batch} }

// holdsValues reports whether there are values among what was posted.
func (r *postedRequest) holdsValues() bool {
	return slices.ContainsFunc(r.batch, func(p posting) bool { return p.far != nil && !p.credit })
}

func (r *postedRequest) marshal(pool *bufferPool) mem.BufferSlice {
	size := 0
	for i := range r.batch {
		size += valueOverhead
		for _, b := range [][]byte{r.batch[i].data, r.batch[i].large} {
			if len(b) < ownMemory {
				size += len(b)
			}
		}
	}
	out := newOutgoing(pool, size)
	for i := range r.batch {
		p := &r.batch[i]
		switch {
		case p.credit:
			out.data = appendCredit(out.data, tagRequestCredits, p.far.key, p.values, p.bytes)
		case p.end:
			out.data = appendEnd(out.data, tagRequestValues, p.far.key)
		case p.far == nil:
			out.add(p.data)
			out.add(p.large)
		case len(p.data) < ownMemory:
			out.data = appendValue(out.data, tagRequestValues, p.far.key, p.data)
		default:
			out.data = appendValueHead(out.data, tagRequestValues, p.far.key, len(p.data))
			out.insert(p.data)
		}
	}
	return out.buffers()
}

// add appends bytes, or inserts them where they are many.
func (o *outgoing) add(b []byte) {
	if len(b) < ownMemory {
		o.data = append(o.data, b...)
		return
	}
	o.insert(b)
}
