package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Whether a lane may take what waits can change without a call or an answer coming. These
// tests are of such changes, after each of which somebody has to look for work.

// besideLent has a suspect wait for the worker that runs "o", since in the other one a
// call waits that would die with it.
func besideLent(t *testing.T, opts ...procpool.Option) (h *host, lent []*script, other *script, o *procpool.Future[[]byte], s *inner) {
	t.Helper()
	h = newHost(t, nesting)
	lent = h.growLending(2, 2)
	h.submit("p")
	p := busy(t, "p", lent...)
	p.begin("p")
	if _, err := h.Lend(p.parent("p"), "work"); err != nil {
		t.Fatal(err)
	}
	other = h.growLending(1, 1)[0]
	o = h.call(context.Background(), "o", opts...)
	other.begin("o")
	s = h.nested("s", func(r *procpool.Relay) { r.Suspect = true })
	s.refused = h.EnqueueNested(s.Call, sched.Parent{}, 1)
	h.check()
	if sentTo(lent) != 1 {
		t.Error("the suspect was sent to the worker in which a call waits")
	}
	return h, lent, other, o, s
}

// A suspect that waits for a worker waits for the one in its place, too, when that is
// killed; where there will be none it goes to the worker that it shuns, at once.
func TestSuspectWaitsForAKilledWorker(t *testing.T) {
	for name, kill := range map[string]func(h *host, other *script, o *procpool.Future[[]byte]){
		"hung": func(h *host, other *script, _ *procpool.Future[[]byte]) {
			h.KillWorker(other.number, errors.New("it is hung"))
		},
		"deaf": func(_ *host, _ *script, o *procpool.Future[[]byte]) {
			o.Cancel()
			pass(time.Second) // its grace
		},
		"senseless": func(_ *host, other *script, _ *procpool.Future[[]byte]) {
			other.mu.Lock()
			other.ghost = 77
			other.mu.Unlock()
			pass(time.Minute) // its timeout
		},
	} {
		for _, replaced := range []bool{true, false} {
			t.Run(name+map[bool]string{true: "", false: ", not replaced"}[replaced], func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					h, lent, other, o, s := besideLent(t, procpool.Timeout(time.Minute))
					kill(h, other, o)
					h.check()
					if saw := other.saw(); saw.kills != 1 {
						t.Errorf("it was killed %d times", saw.kills)
					}
					if sentTo(lent) != 1 {
						t.Error("the suspect did not wait for the worker that is to come")
					}
					if !replaced {
						h.Resize(1, 1)
						other.die()
						busy(t, "s", lent...).answer(long, "s")
						s.wantResult("s")
						return
					}
					other.die()
					h.check()
					next := h.start()
					next.wantSent("s")
					next.answer(long, "s")
					s.wantResult("s")
				})
			})
		}
	}
}

// It goes beside calls that wait when the other worker retires, or has a call that waits
// itself.
func TestSuspectWaitsForNobody(t *testing.T) {
	for name, change := range map[string]func(h *host, other *script){
		"retires": func(h *host, _ *script) { h.Resize(1, 1) },
		"lends": func(h *host, other *script) {
			if _, err := h.Lend(other.parent("o"), "work"); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h, lent, other, _, s := besideLent(t)
				change(h, other)
				h.check()
				busy(t, "s", append(lent, other.more...)...).answer(long, "s")
				s.wantResult("s")
			})
		})
	}
}

// A call may be known to run by the nested call that it makes, or by its wait, before the
// answer to the one before it has come, which lent its slot. That slot is taken back, and
// so no lane idles for it any more, nor is anything sent ahead to the worker.
func TestSlotOfACallWhoseAnswerIsOnItsWay(t *testing.T) {
	for name, hear := range map[string]func(h *host, l *script){
		"it waits": func(h *host, l *script) { h.Pause(l.parent("a")) },
		"it makes a call that is refused": func(_ *host, l *script) {
			l.nestAt("a", "too deep", 101, nil).wantRefused(procpool.ErrNestingLimit, "101 calls deep")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nesting)
				h.Teach("work", 10*time.Microsecond)
				lanes := h.growLending(1, 3)
				l := lanes[0]
				h.submit("x", "p", "a")
				l.answer(10*time.Microsecond, "x")
				l.wantSent("x", "p", "a")
				by := l.parent("p")
				l.begin("a") // and so p has ended
				if _, err := h.Lend(by, "work"); err != nil {
					t.Fatal(err)
				}
				h.check()
				fs := h.submit("y", "b", "c", "d")
				ahead := busy(t, "y", lanes[1:]...)
				ahead.answer(10*time.Microsecond, "y")
				wantResult(t, fs[0], "y")
				ahead.wantSent("y", "b", "c", "d")
				ahead.begin("b")
				hear(h, l)
				h.check()
				if saw := ahead.saw(); saw.fences != 1 {
					t.Errorf("what was sent ahead to a worker that runs too many calls was not taken back: %+v", saw)
				}
				l.answer(long, "p", "a")
				for range 3 {
					for _, l := range lanes {
						l.answerAll(10 * time.Microsecond)
					}
				}
				for i, text := range []string{"y", "b", "c", "d"} {
					wantResult(t, fs[i], text)
				}
			})
		})
	}
}

// Rule 6.11: a spare may be given its last call as soon as it serves. Then the next one
// serves, and the call behind that one waits for nothing.
func TestSparesServeOneAfterTheOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 1, func(cfg *sched.Config) { cfg.MaxCalls, cfg.Spares = 2, 2 })
		h.Teach("work", 10*time.Microsecond)
		one, two, three := h.start(), h.start(), h.start()
		h.submit("x", "a", "b", "c", "d")
		one.wantSent("x")
		one.answer(10*time.Microsecond, "x")
		one.wantSent("x", "a")
		two.wantSent("b", "c")
		three.wantSent("d")
	})
}

// Rule 6.12: when a call that waits ends without waiting for those that it has made, its
// worker has a lane again, and the one in its place is let go when it idles, however long
// other calls of the worker wait.
func TestStuckWorkerGoesOnByAnAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, relieving(1))
		lanes := h.growLending(2, 0)
		h.submit("p", "q")
		for _, text := range []string{"p", "q"} {
			l := busy(t, text, lanes...)
			l.begin(text)
			if _, err := h.Lend(l.parent(text), "work"); err != nil {
				t.Fatal(err)
			}
		}
		second := h.start()
		pass(2 * time.Minute)
		if second.saw().stops > 0 {
			t.Error("the worker in the place of one that is stuck was let go")
		}
		busy(t, "p", lanes...).answer(long, "p")
		pass(2 * time.Minute)
		h.check()
		if second.saw().stops != 1 {
			t.Error("it was not let go although it idles")
		}
	})
}
