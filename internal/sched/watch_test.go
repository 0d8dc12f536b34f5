package sched_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// Rule 6.4: the end of a context ends its calls, queued and running, and no
// others.
func TestContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		ctx1, cancel1 := context.WithCancelCause(t.Context())
		ctx2, cancel2 := context.WithCancel(t.Context())
		defer cancel2()
		var mine, others []*procpool.Future[[]byte]
		for i := range 200 { // more than are ended at a time
			mine = append(mine, h.call(ctx1, fmt.Sprintf("m%d", i)))
			others = append(others, h.call(ctx2, fmt.Sprintf("o%d", i)))
		}
		if n, _ := h.Watches(); n != 2 {
			t.Errorf("%d contexts are watched, want 2", n)
		}
		l.begin("m0")
		cause := errors.New("enough")
		cancel1(cause)
		for _, f := range mine {
			wantError(t, f, cause)
			wantError(t, f, context.Canceled)
		}
		wantOpen(t, others...)
		h.check()
		if n, _ := h.Watches(); n != 1 {
			t.Errorf("%d contexts are watched, want 1", n)
		}
		if st := h.Stats(); st.Cancelled != 200 || st.Queued != 200 {
			t.Errorf("%+v", st)
		}
		l.answer(time.Second, "m0")
		l.answer(time.Second, "o0")
		wantResult(t, others[0], "o0")
	})
}

// A caller that makes one call after the other, each with the same context, has it
// watched once; a new context takes its place.
func TestOneWatchAContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			for range 5 {
				f := h.call(ctx, "a")
				l.answer(time.Second, "a")
				wantResult(t, f, "a")
			}
			if n, onlyLast := h.Watches(); n != 1 || !onlyLast {
				t.Errorf("%d contexts are watched", n)
			}
			defer cancel()
		}
		h.call(t.Context(), "b")
		f := h.call(context.Background(), "c")
		l.answer(time.Second, "b")
		l.answer(time.Second, "c")
		wantResult(t, f, "c")
	})
}

// foreignContext is a context that the context package knows nothing of.
type foreignContext struct {
	done   chan struct{}
	active atomic.Int32
}

func (c *foreignContext) Deadline() (t time.Time, ok bool) { return t, false }
func (c *foreignContext) Done() <-chan struct{}            { return c.done }
func (c *foreignContext) Err() error                       { return nil }
func (c *foreignContext) Value(any) any                    { return nil }
func (c *foreignContext) AfterFunc(func()) func() bool {
	c.active.Add(1)
	return func() bool { c.active.Add(-1); return true }
}

// A context that is not watched any more is left in peace, so that one that lives
// as long as the program gathers nothing.
func TestWatchIsTakenOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		ctx := &foreignContext{done: make(chan struct{})}
		for range 3 {
			h.call(ctx, "a")
			l.answer(time.Second, "a")
			if n := ctx.active.Load(); n != 1 {
				t.Errorf("%d watches", n)
			}
			h.call(t.Context(), "b")
			l.answer(time.Second, "b")
			if n := ctx.active.Load(); n != 0 {
				t.Errorf("%d watches when another context was used", n)
			}
		}
	})
}

// Rule 6.4: a deadline ends the call when it passes.
func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := h.call(ctx, "a")
		pass(time.Second - 1)
		wantOpen(t, f)
		pass(1)
		wantError(t, f, context.DeadlineExceeded)
		h.check()
	})
}

// Rule 6.4: calls whose context has ended when they come end too, also many of
// them, and also where one that came earlier is just being ended.
func TestContextEndedBefore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		ctx, cancel := context.WithCancel(t.Context())
		busy := h.call(ctx, "busy")
		l.begin("busy")
		cancel()
		var fs []*procpool.Future[[]byte]
		for range 20 {
			fs = append(fs, work.Submit(context.Background(), endsWith{h, ctx}, []byte("a")))
		}
		synctest.Wait()
		for _, f := range append(fs, busy) {
			wantError(t, f, context.Canceled)
		}
		if n, _ := h.Watches(); n != 0 {
			t.Errorf("%d contexts are watched", n)
		}
		l.answer(time.Second, "busy")
		l.wantSent("busy")
	})
}

// A pack that was cut up is not watched any more when its parts are done, though
// its context goes on.
func TestWatchOfCutPack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		m := mapThrough(endsWith{h, ctx}, texts("x", 20))
		synctest.Wait()
		l := h.grow()
		l.answer(10*time.Microsecond, "x0", "x1")
		l.die()
		h.start().answerAll(10 * time.Microsecond)
		<-m.ended
		if n, onlyLast := h.Watches(); n != 1 || !onlyLast {
			t.Errorf("%d contexts are watched, and for calls that are over", n)
		}
		if _, errs := m.results(); len(errs) > 0 {
			t.Errorf("errors %v", errs)
		}
	})
}

// Several calls handed over at once are all taken, in their order.
func TestEnqueueMany(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		chain := &collector{}
		var fs []*procpool.Future[[]byte]
		for _, text := range texts("x", 5) {
			fs = append(fs, work.Submit(context.Background(), chain, []byte(text)))
		}
		for i, c := range chain.calls[:4] {
			c.Slot.Next = chain.calls[i+1]
		}
		h.Enqueue(context.Background(), chain.calls[0], len(chain.calls))
		l := h.grow()
		for i, text := range texts("x", 5) {
			l.answer(time.Second, text)
			wantResult(t, fs[i], text)
		}
	})
}

// collector is an executor that keeps what it is given.
type collector struct{ calls []*procpool.Call }

func (c *collector) Enqueue(_ context.Context, first *procpool.Call, _ int) {
	c.calls = append(c.calls, first)
}
