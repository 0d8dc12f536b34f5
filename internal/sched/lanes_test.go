package sched_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// growLanes starts a worker that runs n calls at once.
func (h *host) growLanes(n int) (lanes []*script) {
	h.t.Helper()
	h.Grow(1)
	l := h.startWith(func(l *script) { l.lanes(n) })
	return append([]*script{l}, l.more...)
}

// busy returns the lane of those that was sent the call.
func busy(t *testing.T, text string, lanes ...*script) *script {
	t.Helper()
	for _, l := range lanes {
		if slices.Contains(l.got(), text) {
			return l
		}
	}
	t.Fatalf("no lane was sent %q", text)
	return nil
}

// A worker runs as many calls at once as it has lanes, and no more.
func TestLanes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		lanes := h.growLanes(2)
		fs := h.submit("a", "b", "c")
		a, b := busy(t, "a", lanes...), busy(t, "b", lanes...)
		if a == b {
			t.Error("two calls on one lane while the other idles")
		}
		if n := len(a.got()) + len(b.got()); n != 2 {
			t.Errorf("%d calls were sent, want 2", n)
		}
		b.answer(time.Millisecond, "b")
		b.wantSent("b", "c")
		wantResult(t, fs[1], "b")
		wantOpen(t, fs[0], fs[2])
		if st := h.Stats(); st.Busy != 1 || st.Running != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// The worker with the fewest calls gets the next one.
func TestFewestCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		one, two := h.growLanes(3), h.growLanes(3)
		h.submit("a", "b", "c", "d")
		for i, lanes := range [][]*script{one, two} {
			n := 0
			for _, l := range lanes {
				n += len(l.got())
			}
			if n != 2 {
				t.Errorf("worker %d was sent %d calls, want 2", i, n)
			}
		}
	})
}

// Rule 6.2: each lane is judged by its own entry; the errors tell how many calls ran.
func TestCrashOfLanes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		lanes := h.growLanes(3)
		fs := h.submit("a", "b", "c")
		busy(t, "a", lanes...).begin("a")
		busy(t, "b", lanes...).begin("b")
		lanes[0].die()
		for _, f := range fs[:2] {
			if ce := crashOf(t, f); ce.Suspects != 2 || ce.Finished {
				t.Errorf("%+v", ce)
			}
		}
		wantOpen(t, fs[2])
		l := h.start()
		l.wantSent("c")
	})
}

// Rule 6.3: where several calls ran in a worker that died, they are run again one at a
// time, with nothing beside them.
func TestSuspectsRunAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		lanes := h.growLanes(2)
		opts := []procpool.Option{procpool.Retries(1), procpool.Backoff(0, 0)}
		a, b := h.call(context.Background(), "a", opts...), h.call(context.Background(), "b", opts...)
		c := h.call(context.Background(), "c")
		busy(t, "a", lanes...).begin("a")
		busy(t, "b", lanes...).begin("b")
		lanes[0].die()
		first := h.startWith(func(l *script) { l.lanes(2) })
		lanes = append([]*script{first}, first.more...)
		for i, text := range []string{"a", "b", "c"} {
			if n := len(lanes[0].got()) + len(lanes[1].got()); n != i+1 {
				t.Errorf("%d calls were sent, want %q alone", n, text)
			}
			busy(t, text, lanes...).answer(time.Millisecond, text)
		}
		wantResult(t, a, "a")
		wantResult(t, b, "b")
		wantResult(t, c, "c")
	})
}

// Rule 6.4: a worker with a call that does not stop is retired and replaced at once,
// and killed when its other calls end, or after RetireGrace. One whose call stops after
// all is not.
func TestStuckCallRetiresItsWorker(t *testing.T) {
	for _, how := range []string{"the others end", "RetireGrace", "it stops after all"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, func(cfg *sched.Config) { cfg.RetireGrace = 10 * time.Second })
				lanes := h.growLanes(3)
				fs := h.submit("a", "b")
				a, b := busy(t, "a", lanes...), busy(t, "b", lanes...)
				a.begin("a")
				b.begin("b")
				fs[0].Cancel()
				pass(time.Second - 1)
				if h.pending() != 0 {
					t.Error("replaced before its grace was over")
				}
				pass(1)
				h.submit("c")
				if h.pending() != 1 || lanes[0].saw().kills != 0 || h.Stats().Retiring != 1 {
					t.Errorf("%d replacements, %+v", h.pending(), h.Stats())
				}
				next := h.start()
				next.wantSent("c")
				h.check()
				switch how {
				case "the others end":
					b.answer(time.Second, "b")
					wantResult(t, fs[1], "b")
					if lanes[0].saw().kills != 1 {
						t.Error("not killed although nothing else runs in it")
					}
					lanes[0].die()
				case "RetireGrace":
					pass(10*time.Second - 1)
					if lanes[0].saw().kills != 0 {
						t.Error("killed before RetireGrace")
					}
					pass(1)
					if lanes[0].saw().kills != 1 {
						t.Error("not killed after RetireGrace")
					}
					lanes[0].die()
					wantError(t, fs[1], procpool.ErrCrashed)
				default:
					a.answer(time.Second, "a")
					pass(time.Minute)
					wantOpen(t, fs[1])
					b.answer(time.Second, "b")
					wantResult(t, fs[1], "b")
					pass(time.Minute)
					if saw := lanes[0].saw(); saw.kills != 0 || saw.stops != 1 {
						t.Errorf("%+v", saw)
					}
				}
				next.answer(time.Second, "c")
			})
		})
	}
}
