package procpool

import (
	"context"
	"sync"
	"sync/atomic"
)

// flow keeps the feeder of a Map at most a window ahead of the reader, and wakes
// either when the other has something for it. Each side announces that it is
// about to sleep before it looks a last time, so no wake-up is lost.
type flow struct {
	task   string
	window int
	taken  atomic.Int64 // results that the reader has taken

	// Written before total: whether the context ended before the input,
	// whether the input ended its goroutine, and with what panic if it was
	// not runtime.Goexit.
	cut, died bool
	panicked  any
	total     atomic.Int64 // inputs there are, once known

	blockedAt atomic.Int64 // the input that the feeder waits to pull, 0 for none
	room      chan struct{}
	waiting   atomic.Int64 // what the reader waits for, or unknown
	ready     chan struct{}
}

const unknown = -1

func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// waitRoom blocks until input n, which is not 0, may be pulled; false when ctx
// ended first.
func (f *flow) waitRoom(ctx context.Context, n int) bool {
	for int64(n)-f.taken.Load() >= int64(f.window) {
		f.blockedAt.Store(int64(n))
		if int64(n)-f.taken.Load() < int64(f.window) {
			break
		}
		select {
		case <-f.room:
		case <-ctx.Done():
			return false
		}
	}
	f.blockedAt.Store(0)
	return true
}

// took counts one more result as taken by the reader. It wakes the feeder only
// once a quarter of the window is free, lest the two hand every item to and fro;
// a reader that is about to sleep wakes it in any case.
func (f *flow) took() {
	taken := f.taken.Add(1)
	if n := f.blockedAt.Load(); n != 0 && (n-taken)*4 <= int64(f.window)*3 {
		f.unblock(n)
	}
}

func (f *flow) unblock(n int64) {
	if f.blockedAt.CompareAndSwap(n, 0) {
		token(f.room)
	}
}

// sleepFor makes the reader sleep until woken, unless there says that what it
// waits for has come meanwhile. It reports false when ctx ended first.
func (f *flow) sleepFor(ctx context.Context, what int64, there func() bool) bool {
	f.waiting.Store(what)
	defer f.waiting.Store(unknown)
	if n := f.blockedAt.Load(); n != 0 && n-f.taken.Load() < int64(f.window) {
		f.unblock(n)
	}
	if there() {
		return true
	}
	select {
	case <-f.ready:
		return true
	case <-ctx.Done():
		return there()
	}
}

func (f *flow) end(n int) {
	f.total.Store(int64(n))
	token(f.ready)
}

func (f *flow) cancelled(ctx context.Context) error {
	return &cancelError{task: f.task, err: ctx.Err(), cause: context.Cause(ctx)}
}

// lastWord is what the reader gets when all there is was taken: nothing, or the
// error of the context that cut the input short.
func (f *flow) lastWord(ctx context.Context) (err error, more bool) {
	if f.cut && ctx.Err() != nil {
		return f.cancelled(ctx), true
	}
	return nil, false
}

// orderedResults is a ring of outcomes, read in input order.
type orderedResults struct {
	flow  *flow
	slots []orderedSlot // a power of two
	head  int64
}

type orderedSlot struct {
	full  atomic.Bool
	reply []byte
	err   error
}

func (o *orderedResults) put(i int, reply []byte, err error) {
	s := &o.slots[i&(len(o.slots)-1)]
	s.reply, s.err = reply, err
	s.full.Store(true)
	if o.flow.waiting.Load() == int64(i) {
		token(o.flow.ready)
	}
}

// next returns the next outcome in order; more is false at the end.
func (o *orderedResults) next(ctx context.Context) (reply []byte, err error, more bool) {
	s := &o.slots[o.head&int64(len(o.slots)-1)]
	there := func() bool { return s.full.Load() || o.flow.total.Load() == o.head }
	for !s.full.Load() {
		if o.flow.total.Load() == o.head {
			err, more = o.flow.lastWord(ctx)
			return nil, err, more
		}
		if !o.flow.sleepFor(ctx, o.head, there) {
			return nil, o.flow.cancelled(ctx), true
		}
	}
	reply, err = s.reply, s.err
	s.reply, s.err = nil, nil
	s.full.Store(false)
	o.head++
	o.flow.took()
	return reply, err, true
}

// unorderedResults is a list of outcomes in the order of their arrival.
type unorderedResults[In any] struct {
	flow *flow

	mu      sync.Mutex
	arrived []unorderedResult[In]

	batch []unorderedResult[In] // the reader's
	read  int                   // of batch
	taken int64
}

type unorderedResult[In any] struct {
	index int
	in    In
	reply []byte
	err   error
}

func (u *unorderedResults[In]) put(p *mapPack[In], i int, reply []byte, err error) {
	u.mu.Lock()
	u.arrived = append(u.arrived, unorderedResult[In]{index: i, in: p.inputs[i-p.first], reply: reply, err: err})
	u.mu.Unlock()
	if u.flow.waiting.Load() != unknown {
		token(u.flow.ready)
	}
}

func (u *unorderedResults[In]) there() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.arrived) > 0 || u.flow.total.Load() == u.taken
}

// next returns the next outcome; false at the end.
func (u *unorderedResults[In]) next(ctx context.Context) (unorderedResult[In], bool) {
	for u.read == len(u.batch) {
		u.mu.Lock()
		u.batch, u.arrived = u.arrived, u.batch[:0]
		u.mu.Unlock()
		u.read = 0
		if len(u.batch) > 0 {
			break
		}
		if u.flow.total.Load() == u.taken {
			err, more := u.flow.lastWord(ctx)
			return unorderedResult[In]{index: -1, err: err}, more
		}
		if !u.flow.sleepFor(ctx, u.taken, u.there) {
			return unorderedResult[In]{index: -1, err: u.flow.cancelled(ctx)}, true
		}
	}
	r := u.batch[u.read]
	u.batch[u.read] = unorderedResult[In]{}
	u.read++
	u.taken++
	u.flow.took()
	return r, true
}

func ceilPow2(n int) int {
	p := 1
	for p < n {
		p <<= 1
	}
	return p
}
