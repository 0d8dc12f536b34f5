package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// newOnce makes a scheduler for one call.
func newOnce(t *testing.T) *host {
	t.Helper()
	h := newHost(t, func(cfg *sched.Config) {
		nesting(cfg)
		cfg.Once = true
	})
	h.Start()
	return h
}

// A scheduler for one call launches a worker for it, and none when it has run.
func TestOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newOnce(t)
		if h.pending() != 0 {
			t.Error("a worker was launched for no call")
		}
		f := h.submit("a")[0]
		l := h.start()
		l.begin("a")
		drained := h.Drain()
		pass(time.Hour)
		if h.pending() != 0 || l.saw().stops != 0 {
			t.Error("the worker is replaced while it runs its call")
		}
		l.answer(time.Hour, "a")
		wantResult(t, f, "a")
		<-drained
		if l.saw().stops != 1 {
			t.Error("the worker is not asked to leave")
		}
		gone := h.Stop()
		l.die()
		<-gone
		pass(time.Hour)
		if h.pending() != 0 {
			t.Error("the worker was replaced")
		}
	})
}

// If the worker dies before it has started the call there is another for it, and if it
// dies running it there is none, unless the call may be run again.
func TestOnceCrashes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newOnce(t)
		f := h.call(context.Background(), "a", procpool.Retries(1), procpool.Backoff(time.Second, time.Second))
		h.start().die()
		wantOpen(t, f)
		l := h.start()
		l.begin("a")
		l.die()
		wantOpen(t, f)
		if h.pending() != 0 {
			t.Error("a worker was launched before the next attempt is due")
		}
		pass(time.Second)
		l = h.start()
		l.begin("a")
		l.die()
		wantError(t, f, procpool.ErrCrashed)
		pass(time.Hour)
		if h.pending() != 0 {
			t.Error("a worker was launched for nothing")
		}
	})
}

// A call that is cancelled while its worker starts leaves a worker that idles.
func TestOnceCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newOnce(t)
		f := h.submit("a")[0]
		f.Cancel()
		l := h.start()
		<-h.Drain()
		gone := h.Stop()
		if l.saw().stops != 1 {
			t.Error("the worker is not asked to leave")
		}
		l.die()
		<-gone
	})
}

// Rule 6.7: the call is refused after three starts that failed, with the reason.
func TestOnceDoesNotStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newOnce(t)
		n := h.nested("a", nil)
		if err := h.EnqueueNested(n.Call, sched.Parent{}, 1); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			n.wantOpen()
			h.fail(errStart)
			pass(time.Second)
		}
		if n.fate().ended != 1 || !errors.Is(n.fate().err, errStart) {
			t.Errorf("ended %d times with %v", n.fate().ended, n.fate().err)
		}
		pass(time.Hour)
		if h.pending() != 0 {
			t.Error("a worker was launched for no call")
		}
	})
}

// Workers can have numbers from elsewhere, which have gaps.
func TestNumbersFromElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		last := 0
		h := newHost(t, func(cfg *sched.Config) {
			cfg.Workers, cfg.MinWorkers = 2, 2
			cfg.Number = func() int { last += 7; return last }
		})
		h.Start()
		a := h.start()
		b := h.start()
		if a.number != 7 || b.number != 14 {
			t.Errorf("numbers %d and %d", a.number, b.number)
		}
		last += 100 // others were given numbers meanwhile
		over := h.Restart()
		for _, l := range []*script{a, b} {
			h.start()
			if l.saw().stops != 1 {
				t.Errorf("worker %d was not asked to leave", l.number)
			}
			select {
			case err := <-over:
				t.Errorf("the restart is over: %v", err)
			default:
			}
			l.die()
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
