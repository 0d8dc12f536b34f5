package sched_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.4: a call that is cancelled in the queue never runs, and its neighbours
// are unaffected.
func TestCancelQueued(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		fs := h.submit("a", "b", "c")
		if !fs[1].Cancel() {
			t.Error("Cancel of a queued call returned false")
		}
		if fs[1].Cancel() {
			t.Error("a second Cancel returned true")
		}
		wantError(t, fs[1], context.Canceled)
		h.check()
		if st := h.Stats(); st.Queued != 2 || st.Cancelled != 1 {
			t.Errorf("%+v", st)
		}
		l := h.grow()
		l.answer(3*time.Millisecond, "a")
		l.answer(3*time.Millisecond, "c")
		l.wantSent("a", "c")
		wantResult(t, fs[0], "a")
		wantResult(t, fs[2], "c")
	})
}

// Rules 6.2 and 6.4: a call that was sent ahead and cancelled before it started
// never does, without a word from the worker; what was behind it goes elsewhere.
func TestCancelSentAhead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		l.wantSent("a", "b", "c")
		l.begin("a")
		if !fs[1].Cancel() {
			t.Error("Cancel returned false")
		}
		h.check()
		if l.begin("b") || l.begin("c") {
			t.Error("what lies behind the fence may start")
		}
		if saw := l.saw(); len(saw.cancels) > 0 {
			t.Errorf("the worker was asked to cancel %v, of which none runs", saw.cancels)
		}
		if info := fs[1].Info(); info.Attempts != 0 || info.Worker != 0 || info.PID != 0 {
			t.Errorf("%+v of a call that nobody has run", info)
		}
		other := h.grow()
		other.wantSent("c")
		other.answer(time.Microsecond, "c")
		wantResult(t, fs[2], "c")

		l.answer(time.Microsecond, "a")
		wantResult(t, fs[0], "a")
		late := h.submit("d", "e")
		other.wantSent("c", "d")
		if len(l.got()) > 3 {
			t.Error("a fenced worker was fed")
		}
		l.decline("b", "c")
		l.wantSent("a", "b", "c", "e")
		if l.saw().fence != noFence {
			t.Error("the fence was not lifted when all behind it was declined")
		}
		l.answer(time.Microsecond, "e")
		other.answer(time.Microsecond, "d")
		wantResult(t, late[0], "d")
		wantResult(t, late[1], "e")
	})
}

// Rule 6.4: a running call's future resolves at once, its context is cancelled,
// and its slot stays taken until it answers; the answer is dropped (6.1).
func TestCancelRunning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		f := h.submit("a")[0]
		l.begin("a")
		if s := f.State(); s != procpool.Started {
			t.Errorf("state %v, want started", s)
		}
		if !f.Cancel() {
			t.Error("Cancel of a running call returned false")
		}
		wantError(t, f, context.Canceled)
		if saw := l.saw(); !slices.Equal(saw.cancels, []uint64{l.seq("a")}) {
			t.Errorf("cancels %v", saw.cancels)
		}
		if run := f.Info().Run; run != 0 {
			t.Errorf("a run time of %v while it runs", run)
		}
		next := h.submit("b")[0]
		l.wantSent("a") // nothing behind a call that may have to be killed
		pass(999 * time.Millisecond)
		l.answer(999*time.Millisecond, "a")
		if run := f.Info().Run; run != 999*time.Millisecond {
			t.Errorf("run time %v", run)
		}
		l.wantSent("a", "b")
		pass(time.Minute)
		if l.saw().kills > 0 {
			t.Error("the worker was killed although it answered in time")
		}
		l.answer(time.Microsecond, "b")
		wantResult(t, next, "b")
		if st := h.Stats(); st.Cancelled != 1 || st.Succeeded != 1 || st.Killed != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.4: nothing is sent behind a call that may have to be killed, not even when
// an answer to an earlier one makes room.
func TestNothingBehindTheCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b")
		l := h.grow()
		l.begin("b") // a is over, its answer on the way
		fs[1].Cancel()
		next := h.submit("c")[0]
		l.answer(10*time.Microsecond, "a")
		l.wantSent("a", "b")
		l.answer(10*time.Microsecond, "b")
		l.answer(10*time.Microsecond, "c")
		wantResult(t, next, "c")
	})
}

// Rule 6.4: after CancelGrace the worker of a call that goes on is killed and
// replaced, which is no crash of anybody's.
func TestCancelGrace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.CancelGrace = 3 * time.Second })
		l := h.grow()
		ctx, cancel := context.WithCancelCause(t.Context())
		f := h.call(ctx, "a")
		l.begin("a")
		cause := errors.New("enough")
		cancel(cause)
		wantError(t, f, cause)
		wantError(t, f, context.Canceled)
		pass(3*time.Second - 1)
		if l.saw().kills > 0 {
			t.Error("killed before the grace ended")
		}
		pass(1)
		if l.saw().kills != 1 {
			t.Errorf("killed %d times when the grace ended", l.saw().kills)
		}
		next := h.submit("b")[0]
		l.die()
		if n := h.pending(); n != 1 {
			t.Errorf("%d workers were launched for the one killed", n)
		}
		h.start().answer(time.Microsecond, "b")
		wantResult(t, next, "b")
		if st := h.Stats(); st.Killed != 1 || st.Crashes != 0 || st.Failed != 0 || st.Cancelled != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Without a recorder nobody knows whether the call has started: it is cancelled
// and its worker has its grace.
func TestCancelWithoutRecorder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Grow(1)
		l := h.startWith(func(l *script) { l.recorder = false })
		f := h.submit("a")[0]
		f.Cancel()
		h.check()
		if saw := l.saw(); !slices.Equal(saw.cancels, []uint64{1}) || saw.fences > 0 {
			t.Errorf("cancels %v, %d fences", saw.cancels, saw.fences)
		}
		l.decline("a") // the cancel came first
		next := h.submit("b")[0]
		l.wantSent("a", "b")
		l.reply(sched.Reply{Seq: 2, Data: []byte("b")})
		wantResult(t, next, "b")
		pass(time.Minute)
		if l.saw().kills > 0 {
			t.Error("killed all the same")
		}
	})
}

// Rule 6.4: what is assigned to a worker and not sent yet is cancelled without the
// worker's ever seeing it, recorder or not.
func TestCancelUnsent(t *testing.T) {
	for name, recorder := range map[string]bool{"recorder": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Grow(1)
				gate := make(chan struct{})
				l := h.startWith(func(l *script) { l.recorder, l.gate = recorder, gate })
				first := make(chan *procpool.Future[[]byte], 1)
				go func() { first <- h.submit("a")[0] }()
				synctest.Wait()
				// The worker answers while Send has not returned, and is idle.
				l.mu.Lock()
				l.started, l.finished = 1, 1
				l.mu.Unlock()
				l.reply(sched.Reply{Seq: 1, Data: []byte("a"), Run: time.Microsecond})
				f := h.submit("b")[0]
				if !f.Cancel() {
					t.Error("Cancel returned false")
				}
				h.check()
				close(gate)
				wantResult(t, <-first, "a")
				h.submit("c")
				l.wantSent("a", "c")
				if saw := l.saw(); saw.fences > 0 || len(saw.cancels) > 0 {
					t.Errorf("%d fences, cancels %v for what was never sent", saw.fences, saw.cancels)
				}
			})
		})
	}
}

// Rules 6.2 and 6.4: a call that is being sent when it is cancelled is declined by
// its worker when it arrives.
func TestCancelInFlight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		h.Grow(1)
		gate := make(chan struct{})
		fs := h.submit("a", "b", "c")
		l := h.prepare(func(l *script) { l.gate = gate })
		go h.Started(l.number, l, sched.Traits{Recorder: true})
		synctest.Wait()
		fs[1].Cancel()
		h.check()
		close(gate)
		l.answer(time.Microsecond, "a") // at the fence, which holds the others back
		if l.begin("b") || l.begin("c") {
			t.Error("what was cancelled in flight, and what came behind it, may start")
		}
		l.decline("b", "c")
		l.wantSent("a", "b", "c", "c")
		l.answer(time.Microsecond, "c")
		wantResult(t, fs[2], "c")
		wantError(t, fs[1], context.Canceled)
	})
}

// Rule 6.4 for a pack: its context's end cancels the item that runs and withdraws
// the others.
func TestCancelPack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := h.mapOver(texts("x", 6))
		synctest.Wait()
		l := h.grow()
		l.wantSent(texts("x", 6)...)
		l.answer(time.Microsecond, "x0", "x1")
		l.begin("x2")
		m.cancel()
		<-m.ended
		h.check()
		out, errs := m.results()
		if !slices.Equal(out[:2], texts("x", 2)) || len(errs) != 1 || !errors.Is(errs[2], context.Canceled) {
			t.Errorf("yielded %q, errors %v", out, errs)
		}
		if saw := l.saw(); !slices.Equal(saw.cancels, []uint64{3}) {
			t.Errorf("cancels %v, want that of the running item", saw.cancels)
		}
		l.answer(time.Microsecond, "x2", "x3", "x4", "x5")
		if last := l.saw().finished; last != 3 {
			t.Errorf("item %d ran after the cancel", last)
		}
		if st := h.Stats(); st.Submitted != 6 || st.Succeeded != 2 || st.Cancelled != 4 {
			t.Errorf("%+v", st)
		}
		f := h.submit("y")[0]
		l.answer(time.Microsecond, "y")
		wantResult(t, f, "y")
	})
}

// gatedContext is a context whose Err can be made to do something when it is asked
// for the n-th time, as a custom context's may.
type gatedContext struct {
	context.Context //nolint:containedctx // it is one
	n               atomic.Int32
	do              func()
}

func (c *gatedContext) Err() error {
	if c.n.Add(-1) == 0 {
		c.do()
	}
	return c.Context.Err()
}

func (c *gatedContext) at(n int32, do func()) {
	c.do = do
	c.n.Store(n)
}

// Rule 6.4: a queued call whose future has its outcome already, though the
// scheduler has not got round to it, is not sent any more.
func TestDispatchWhileContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		inner, cancel := context.WithCancel(context.Background())
		ctx := &gatedContext{Context: inner}
		a, b := h.call(ctx, "a"), h.call(ctx, "b")
		c := h.submit("c")[0]
		var l *script
		started := make(chan struct{})
		ctx.at(3, func() { // a has its outcome, b is about to get it
			l = h.grow()
			close(started)
		})
		cancel()
		<-started
		wantError(t, a, context.Canceled)
		wantError(t, b, context.Canceled)
		h.check()
		l.wantSent("b", "c")
		l.answerAll(time.Microsecond) // declines them
		l.answerAll(time.Microsecond)
		wantResult(t, c, "c")
		if st := h.Stats(); st.Cancelled != 2 || st.Succeeded != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.1: Kill at that moment leaves each call the outcome that came first, and
// counts it once.
func TestKillWhileContextEnds(t *testing.T) {
	for name, workers := range map[string]int{"queued": 0, "running": 1} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				for range workers {
					h.grow()
				}
				inner, cancel := context.WithCancel(context.Background())
				ctx := &gatedContext{Context: inner}
				a, b := h.call(ctx, "a"), h.call(ctx, "b")
				killed := make(chan struct{})
				ctx.at(3, func() { // a has its outcome, b is about to get it
					_, running, queued := h.Kill()
					if running+queued != 1 {
						t.Errorf("%d running and %d queued calls were ended", running, queued)
					}
					close(killed)
				})
				cancel()
				<-killed
				wantError(t, a, context.Canceled)
				wantError(t, b, procpool.ErrClosed)
				if st := h.Stats(); st.Cancelled != 1 || st.Refused != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Rule 6.4: where nothing else waits than calls that are over the worker stays
// idle, and takes the next call.
func TestNothingLeftToDispatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l2, l1 := h.grow(), h.grow()
		inner, cancel := context.WithCancel(context.Background())
		ctx := &gatedContext{Context: inner}
		a, b := h.call(ctx, "a"), h.call(ctx, "b")
		l1.wantSent("a")
		l2.begin("b")
		l1.die() // and a is in the queue again
		pass(sched.FirstDelay)
		var l *script
		started := make(chan struct{})
		ctx.at(3, func() {
			l = h.start()
			close(started)
		})
		cancel()
		<-started
		wantError(t, a, context.Canceled)
		wantError(t, b, context.Canceled)
		h.check()
		l.wantSent()
		c := h.submit("c")[0]
		l.answer(time.Microsecond, "c")
		wantResult(t, c, "c")
		l2.answer(time.Microsecond, "b")
	})
}

// Rule 6.1: a pack that is split at the moment its context ends loses no item.
func TestContextEndsWhilePackSplits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		inner, cancel := context.WithCancel(context.Background())
		ctx := &gatedContext{Context: inner}
		items := texts("x", 4)
		ended := make(chan struct{})
		var last error
		go func() {
			defer close(ended)
			in := func(yield func([]byte) bool) {
				for _, text := range items {
					if !yield([]byte(text)) {
						return
					}
				}
			}
			for item := range work.MapUnordered(context.WithoutCancel(ctx), endsWith{h, ctx}, in) {
				last = item.Err
			}
		}()
		synctest.Wait()
		l := h.grow()
		l.answer(time.Microsecond, "x0")
		// While the scheduler makes the error, without its lock, the worker
		// dies: the items it had not started become a call of their own.
		l.begin("x1")
		ctx.at(1, l.die)
		cancel()
		<-ended
		h.check()
		if !errors.Is(last, context.Canceled) {
			t.Errorf("the map ended with %v", last)
		}
		if st := h.Stats(); st.Queued != 0 || st.Submitted != 4 || st.Succeeded != 1 || st.Failed+st.Cancelled != 3 {
			t.Errorf("%+v, want every item to have ended", st)
		}
	})
}

// endsWith submits to a host with another context than the caller's: one that goes
// on when the caller's ends, or has ended since the caller looked.
type endsWith struct {
	*host
	ctx context.Context //nolint:containedctx // it takes the place of the caller's
}

func (e endsWith) Enqueue(_ context.Context, first *procpool.Call, n int) {
	e.host.Enqueue(e.ctx, first, n)
}
