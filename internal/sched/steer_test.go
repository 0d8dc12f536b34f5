package sched_test

import (
	"slices"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// elasticHost makes a scheduler that starts low workers and has high at most.
func elasticHost(t *testing.T, low, high int, change func(*sched.Config)) *host {
	t.Helper()
	h := newHost(t, func(cfg *sched.Config) {
		cfg.MinWorkers, cfg.Workers = low, high
		cfg.GrowAfter, cfg.IdleTimeout = 5*time.Millisecond, time.Minute
		if change != nil {
			change(cfg)
		}
	})
	h.Start()
	return h
}

// retirements returns why workers were retired so far.
func (h *host) retirements() (reasons []string) {
	h.WaitEvents()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == sched.WorkerRetired {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// Rule 6.11: calls that wait for GrowAfter make the pool grow, workers that idle for
// IdleTimeout make it shrink, whatever else is planned for later.
func TestPoolGrowsAndShrinks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 3, func(cfg *sched.Config) { cfg.MaxAge = 1000 * time.Hour })
		one := h.start()
		h.submit("a", "b")
		pass(5*time.Millisecond - 1)
		if n := h.pending(); n != 0 {
			t.Errorf("%d workers were launched too early", n)
		}
		pass(2)
		if n := h.pending(); n != 1 {
			t.Fatalf("%d workers were launched, want 1", n)
		}
		two := h.start()
		two.wantSent("b")
		one.answer(time.Second, "a")
		two.answer(time.Second, "b")
		pass(time.Minute + time.Second)
		if one.saw().stops+two.saw().stops != 1 {
			t.Fatal("no worker was asked to leave")
		}
		for _, l := range []*script{one, two} {
			if l.saw().stops > 0 {
				l.die()
			}
		}
		if got := h.retirements(); !slices.Equal(got, []string{"idle"}) {
			t.Errorf("retired for %q", got)
		}
	})
}

// A call that comes back from behind one that takes long makes the pool grow as a new
// one does.
func TestPoolGrowsForWhatComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 2, nil)
		h.Teach("work", 10*time.Microsecond)
		one := h.start()
		h.submit("a", "b", "c")
		one.answer(10*time.Microsecond, "a")
		one.wantSent("a", "b", "c")
		one.begin("b")
		pass(time.Second)
		if h.pending() != 1 {
			t.Fatal("it waits behind a call that takes long, and no worker is launched")
		}
		h.start().wantSent("c")
	})
}

// A spare takes over when a worker dies, at once.
func TestSpareTakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 1, func(cfg *sched.Config) { cfg.Spares = 1 })
		one := h.start()
		spare := h.start()
		h.submit("a", "b")
		spare.wantSent()
		one.begin("a")
		one.die()
		spare.wantSent("b")
		if n := h.pending(); n != 1 {
			t.Errorf("%d workers were launched, want 1 new spare", n)
		}
	})
}

// A worker is never given more calls than its limit, sent ahead or not; when it was,
// it finishes them and leaves, and no call is lost.
func TestMaxCallsIsExact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 1, func(cfg *sched.Config) { cfg.MaxCalls = 5 })
		h.Teach("work", 10*time.Microsecond)
		l := h.start()
		fs := h.submit(texts("i", 12)...)
		for done := 0; done < 12; {
			n := len(l.got())
			if n > 5 {
				t.Fatalf("a worker with a limit of 5 was given %d", n)
			}
			l.answerAll(10 * time.Microsecond)
			if len(l.got()) > n {
				continue
			}
			done += n
			if done < 12 {
				old := l
				l = h.start()
				old.die()
				if old.saw().stops != 1 {
					t.Error("a spent worker was not asked to leave")
				}
			}
		}
		for i, f := range fs {
			wantResult(t, f, texts("i", 12)[i])
		}
		for _, reason := range h.retirements() {
			if reason != "calls" {
				t.Errorf("retired for %q", reason)
			}
		}
	})
}

// The items of a pack count one by one.
func TestMaxCallsOfPacks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 1, func(cfg *sched.Config) { cfg.MaxCalls = 5 })
		h.Teach("work", time.Microsecond)
		m := h.mapOver(texts("i", 12))
		left := 12
		for left > 0 {
			l := h.start()
			n := len(l.got())
			if n == 0 || n > 5 {
				t.Fatalf("a worker with a limit of 5 was given %d at once", n)
			}
			l.answerAll(time.Microsecond)
			left -= n
			if left > 0 {
				l.die()
			}
		}
		if out, errs := m.results(); !slices.Equal(out, texts("i", 12)) || len(errs) != 0 {
			t.Errorf("results %q, errors %v", out, errs)
		}
	})
}

// A worker that is due by age or memory serves until its replacement is ready.
func TestDueWorkersAreReplaced(t *testing.T) {
	for _, why := range []string{"age", "memory"} {
		t.Run(why, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := elasticHost(t, 1, 1, func(cfg *sched.Config) {
					if why == "age" {
						cfg.MaxAge = time.Hour
					}
				})
				one := h.start()
				pass(time.Hour)
				if why == "memory" {
					h.Due(one.number)
				}
				h.submit("a", "b")
				one.wantSent("a")
				two := h.start()
				two.wantSent("b")
				if one.saw().stops != 0 {
					t.Error("it was asked to leave while it runs a call")
				}
				one.answer(time.Second, "a")
				if one.saw().stops != 1 {
					t.Error("it was not asked to leave")
				}
				one.die()
				if got := h.retirements(); !slices.Equal(got, []string{why}) {
					t.Errorf("retired for %q", got)
				}
			})
		})
	}
}

// Resize waits for nobody's call and loses none.
func TestResizeWhileCallsRun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 2, 2, nil)
		one, two := h.start(), h.start()
		fs := h.submit("a", "b", "c")
		h.Resize(1, 1)
		h.check()
		if st := h.Stats(); st.Retiring != 1 || st.Busy != 1 {
			t.Errorf("%+v", st)
		}
		h.Resize(3, 3)
		three, four := h.start(), h.start()
		busy(t, "c", three, four)
		one.answerAll(time.Second)
		two.answerAll(time.Second)
		three.answerAll(time.Second)
		four.answerAll(time.Second)
		for i, f := range fs {
			wantResult(t, f, string(rune('a'+i)))
		}
		if one.saw().stops+two.saw().stops != 1 {
			t.Error("the worker that is too many was not asked to leave")
		}
	})
}

// Restart replaces one worker after the other and tells when the last has gone, be it
// by its own death.
func TestRestartReplacesAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 2, 2, nil)
		old := []*script{h.start(), h.start()}
		fs := h.submit("a", "b")
		over := h.Restart()
		for range 2 {
			if n := h.pending(); n != 1 {
				t.Errorf("%d workers are launched at once, want 1", n)
			}
			h.start()
			for _, l := range old {
				if l.saw().stops == 0 && h.Stats().Retiring > 0 && len(l.got()) > 0 && l.answered == 0 {
					l.answerAll(time.Second)
				}
			}
			select {
			case err := <-over:
				t.Errorf("over before the last worker has gone (%v)", err)
			default:
			}
			for _, l := range old {
				if l.saw().stops > 0 {
					l.die()
				}
			}
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		wantResult(t, fs[0], "a")
		wantResult(t, fs[1], "b")
		if got := h.retirements(); !slices.Equal(got, []string{"restart", "restart"}) {
			t.Errorf("retired for %q", got)
		}
		again := h.Restart()
		h.Kill()
		if err := <-again; err == nil {
			t.Error("a restart is over although the pool ended")
		}
	})
}

// Nobody looks at the clock while nothing can happen.
func TestNoTimersWithoutNeed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := elasticHost(t, 1, 3, nil)
		l := h.start()
		pass(time.Hour)
		if at := h.SteerAt(); at != 0 {
			t.Errorf("the fleet is asked at %v", at)
		}
		h.submit("a", "b")
		pass(time.Second)
		h.start()
		l.answerAll(time.Second)
		pass(time.Hour)
		if at := h.SteerAt(); at != 0 {
			t.Errorf("the fleet is asked at %v although nobody waits or idles", at)
		}
	})
}
