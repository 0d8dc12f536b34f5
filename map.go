package procpool

import (
	"context"
	"errors"
	"iter"
	"runtime"
)

// defaultWindow is how far Map runs ahead of its reader unless [Window] says
// otherwise: enough for microsecond calls to keep several workers busy while the
// reader sleeps, little enough that nobody minds the memory.
const defaultWindow = 4096

// Map runs the task over a sequence of inputs and yields the results in input
// order, each with its error. A failed item is a yielded error and the iteration
// goes on. The end of ctx, and a refusal by the executor that would meet every
// item alike (closed, queue full, unknown task, no worker starts), are yielded
// once and end it.
//
// Inputs are pulled in one goroutine, never more than [Window] ahead of the
// reader. Inputs of quick tasks travel many to a message, yet each is started,
// blamed and cancelled by itself. When the reader leaves early the rest is
// cancelled; Map returns once a pending pull of in returns. A panic in the
// sequence in reaches the reader after the results of the inputs before it, or
// when the reader leaves.
//
// Each use of the returned sequence runs the whole again.
func (f *Func[In, Out]) Map(ctx context.Context, ex Executor, in iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		m := newMapRun(ctx, ex, f.spec, f.key)
		o := &orderedResults{flow: &m.flow, slots: make([]orderedSlot, ceilPow2(m.flow.window))}
		m.deliver = func(*mapPack[In]) func(int, []byte, error) { return o.put }
		m.start(in)
		defer m.stop()
		for {
			reply, err, more := o.next(m.outer)
			if !more {
				return
			}
			var out Out
			if err == nil {
				out, err = decodeReply[Out](m.spec, reply)
			}
			if !yield(out, err) || endsMap(err) {
				return
			}
		}
	}
}

// Item is one outcome of [Func.MapUnordered].
type Item[In, Out any] struct {
	// Index is the place of the input in the sequence, counted from 0; -1 for
	// the error that ends the iteration.
	Index int
	// In is the input.
	In In
	// Out is the result, when Err is nil.
	Out Out
	// Err is the call's error.
	Err error
}

// MapUnordered is [Func.Map] yielding each result as soon as it is there, with
// its input, so that a slow item holds up no other.
func (f *Func[In, Out]) MapUnordered(ctx context.Context, ex Executor, in iter.Seq[In]) iter.Seq[Item[In, Out]] {
	return func(yield func(Item[In, Out]) bool) {
		m := newMapRun(ctx, ex, f.spec, f.key)
		u := &unorderedResults[In]{flow: &m.flow}
		m.commit = func() { m.current.inputs = append(m.current.inputs, m.value) }
		m.deliver = func(p *mapPack[In]) func(int, []byte, error) {
			return func(i int, reply []byte, err error) { u.put(p, i, reply, err) }
		}
		m.start(in)
		defer m.stop()
		for {
			r, more := u.next(m.outer)
			if !more {
				return
			}
			item := Item[In, Out]{Index: r.index, In: r.in, Err: r.err}
			if r.err == nil {
				item.Out, item.Err = decodeReply[Out](m.spec, r.reply)
			}
			if !yield(item) || endsMap(item.Err) {
				return
			}
		}
	}
}

// endsMap reports whether err would meet every further item too. An item can only
// be given up because the context has ended.
func endsMap(err error) bool {
	if err == nil {
		return false
	}
	var (
		cancelled *cancelError
		start     *StartError
	)
	return errors.As(err, &cancelled) || errors.As(err, &start) ||
		errors.Is(err, ErrClosed) || errors.Is(err, ErrQueueFull) || errors.Is(err, ErrUnknownTask)
}

// mapRun is one run of Map: the goroutine that pulls inputs and submits them.
type mapRun[In any] struct {
	spec    *spec
	key     func(In) string // nil for none
	ex      Executor
	outer   context.Context //nolint:containedctx // the caller's, for the run
	ctx     context.Context //nolint:containedctx // ends with outer, and when the reader leaves
	cancel  context.CancelFunc
	packing bool
	flow    flow
	deliver func(*mapPack[In]) func(int, []byte, error)

	fed     chan struct{} // closed when the feeder has left
	current *mapPack[In]
	value   In     // the input being committed to the current pack
	commit  func() // keeps value with its pack; nil where inputs are not asked for
	scratch []byte
}

// mapPack is a pack, with the inputs it was made of if they are asked for.
type mapPack[In any] struct {
	call   *Call
	first  int
	inputs []In
}

func newMapRun[In any](ctx context.Context, ex Executor, s *spec, key func(In) string) *mapRun[In] {
	m := &mapRun[In]{spec: s, key: key, ex: ex, outer: ctx, fed: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(ctx)
	m.flow.task, m.flow.window = s.name, s.window
	if m.flow.window == 0 {
		m.flow.window = defaultWindow
	}
	m.flow.ready = make(chan struct{}, 1)
	m.flow.room = make(chan struct{}, 1)
	m.flow.total.Store(unknown)
	m.flow.waiting.Store(unknown)
	if p, ok := ex.(PackExecutor); ok {
		m.packing = p.TakesPacks()
	}
	return m
}

func (m *mapRun[In]) start(in iter.Seq[In]) {
	go func() {
		defer close(m.fed)
		n := 0
		m.flow.died = true
		defer func() {
			if m.flow.died {
				m.flow.panicked = recover()
			}
			m.flow.end(n)
		}()
		m.flow.cut = !m.feed(in, &n)
		m.flow.died = false
	}()
}

// feed submits the inputs and counts them in n. It reports false when the context
// ended first.
func (m *mapRun[In]) feed(in iter.Seq[In], n *int) bool {
	if m.ctx.Err() != nil {
		return false
	}
	for v := range in {
		if m.ctx.Err() != nil {
			return false
		}
		m.submit(*n, v)
		*n++
		if !m.flow.waitRoom(m.ctx, *n) {
			return false
		}
	}
	return true
}

// stop cancels what is left and waits for the feeder. What ended the input
// sequence's goroutine ends its reader's.
func (m *mapRun[In]) stop() {
	m.cancel()
	<-m.fed
	if !m.flow.died {
		return
	}
	if m.flow.panicked == nil {
		runtime.Goexit()
	}
	panic(m.flow.panicked) //nolint:forbidigo // it is the input sequence's
}

func (m *mapRun[In]) submit(n int, v In) {
	item, err := encode(m.spec, m.scratch[:0], v)
	m.value = v
	key := ""
	if m.key != nil {
		key = m.key(v)
	}
	if err == nil {
		m.scratch = item[:0]
		if m.current != nil && m.current.call.key == key && m.current.call.appendItem(item, m.commit) {
			return
		}
	}
	p := &mapPack[In]{first: n}
	m.current = p
	p.call = newPack(m.spec, n, m.deliver(p))
	p.call.appendItem(item, m.commit)
	if err != nil {
		p.call.Finish(nil, err)
		m.current = nil
		return
	}
	p.call.deadline, p.call.key = deadline(m.ctx), key
	if !m.packing {
		p.call.Seal()
		m.current = nil
	}
	m.ex.Enqueue(m.ctx, p.call, 1)
}
