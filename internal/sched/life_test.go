package sched_test

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

func closed(ch <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// T101, T102: Drain refuses new calls and waits for those it has, with crashes and
// restarts on the way.
func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		drained := h.Drain()
		wantError(t, h.submit("late")[0], procpool.ErrClosed)
		l.answer(time.Second, "a")
		l.begin("b")
		l.die()
		_ = crashOf(t, fs[1])
		if closed(drained) {
			t.Error("drained while a call waits")
		}
		l = h.start()
		l.begin("c")
		if closed(drained) {
			t.Error("drained while a call runs")
		}
		l.answer(time.Second, "c")
		wantResult(t, fs[2], "c")
		if !closed(drained) || !closed(h.Drain()) {
			t.Error("not drained although all is done")
		}
	})
}

// Drain is over at once where there is nothing to do, and also where the last
// calls are cancelled or refused.
func TestDrainWithoutWork(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *host){
		"idle":  func(_ *testing.T, h *host) { h.grow() },
		"empty": func(*testing.T, *host) {},
		"cancelled": func(_ *testing.T, h *host) {
			f := h.submit("a")[0]
			h.Drain()
			f.Cancel()
		},
		"cancelled while it runs": func(t *testing.T, h *host) {
			l := h.grow()
			f := h.submit("a")[0]
			l.begin("a")
			drained := h.Drain()
			f.Cancel()
			if closed(drained) {
				t.Error("drained while cancelled work goes on")
			}
			l.answer(time.Second, "a")
		},
		"refused": func(_ *testing.T, h *host) {
			h.submit("a")
			h.Drain()
			h.Grow(1)
			for range sched.Patience {
				h.fail(errStart)
				pass(sched.LongestDelay)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				test(t, h)
				if !closed(h.Drain()) {
					t.Error("not drained")
				}
			})
		})
	}
}

// What Drain's channel says holds for the futures too: their outcomes have been
// told, not only booked.
func TestDrainedMeansResolved(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, nil)
			h.Teach("work", time.Microsecond)
			fs := h.submit(texts("x", 500)...)
			l := h.grow()
			var batch []sched.Reply
			for seq := range l.got() {
				batch = append(batch, sched.Reply{Seq: uint64(seq) + 1})
			}
			go h.Replies(l.number, batch)
			for h.Stats().Running > 0 {
				runtime.Gosched()
			}
			<-h.Drain()
			for _, f := range fs {
				if f.State() != procpool.Done {
					t.Error("drained before the futures were resolved")
					break
				}
			}
		})
	}
}

// T106, #10: Kill fails what has not ended, kills the workers, and is over when the
// last of them is gone.
func TestKill(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		l2 := h.grow()
		h.Grow(1) // is on its way
		fs := h.submit("a", "b")
		l.begin("b")
		cancelled := fs[1]
		cancelled.Cancel()
		fs = append(fs[:1], h.submit(texts("x", 100)...)...)
		gone, running, queued := h.Kill()
		if running != 1 || queued != 100 {
			t.Errorf("%d running and %d queued calls were ended", running, queued)
		}
		for _, f := range fs {
			wantError(t, f, procpool.ErrClosed)
		}
		if l.saw().kills != 1 || l2.saw().kills != 1 {
			t.Error("a worker was not killed")
		}
		wantError(t, h.submit("late")[0], procpool.ErrClosed)
		l.die()
		if closed(gone) {
			t.Error("gone while a worker lives and one is on its way")
		}
		l2.die()
		if closed(gone) {
			t.Error("gone while a worker is on its way")
		}
		late := h.start()
		if late.saw().kills != 1 {
			t.Error("a worker that came late was not killed")
		}
		late.die()
		if !closed(gone) {
			t.Error("not gone in the end")
		}
		if n := h.pending(); n != 0 {
			t.Errorf("%d workers were launched after Kill", n)
		}
		again, running, queued := h.Kill()
		if !closed(again) || running+queued != 0 {
			t.Errorf("a second Kill ended %d calls", running+queued)
		}
	})
}

// Rule 6.1: a pack that is cut up by its worker's end after Kill loses no item.
func TestKillWithPacks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := h.mapOver(texts("x", 300)) // two packs
		synctest.Wait()
		l := h.grow()
		l.answer(time.Microsecond, "x0", "x1")
		l.begin("x2")
		_, running, queued := h.Kill()
		if running+queued != 298 {
			t.Errorf("%d running and %d queued calls were ended", running, queued)
		}
		<-m.ended
		l.die()
		if st := h.Stats(); st.Submitted != 300 || st.Succeeded != 2 || st.Refused != 298 {
			t.Errorf("%+v", st)
		}
	})
}

// Kill stops every timer: nothing is started, killed or looked at afterwards.
func TestKillStopsTimers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		h.Grow(1)
		h.fail(errStart) // a retry is planned
		fs := h.submit("a", "b", "c", "d")
		l.answer(10*time.Microsecond, "a") // the others are ahead: a look is planned
		l.begin("b")
		fs[1].Cancel() // a kill is planned
		h.Kill()
		fences := l.saw().fences
		pass(time.Hour)
		if saw := l.saw(); saw.kills != 1 || saw.fences != fences {
			t.Errorf("%+v", saw)
		}
		if n := h.pending(); n != 0 {
			t.Errorf("%d workers were launched", n)
		}
	})
}

// T106: after Drain, Stop asks the workers to leave and starts none; Kill sees to
// those that do not.
func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l1, l2 := h.grow(), h.grow()
		<-h.Drain()
		gone := h.Stop()
		if l1.saw().stops != 1 || l2.saw().stops != 1 || l1.saw().kills != 0 {
			t.Error("the workers were not asked to leave, or killed")
		}
		l1.die()
		if closed(gone) || h.pending() != 0 {
			t.Error("gone too early, or replaced")
		}
		h.Kill()
		if l2.saw().kills != 1 {
			t.Error("Kill after Stop left a worker alone")
		}
		l2.die()
		if !closed(gone) {
			t.Error("not gone")
		}
	})
}

// Events are heard one at a time and in order, and WaitEvents waits for them.
func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		var kinds []sched.EventKind
		h := newHost(t, func(c *sched.Config) {
			c.OnEvent = func(e sched.Event) {
				<-gate
				kinds = append(kinds, e.Kind) // without a lock: one at a time
			}
		})
		l := h.grow()
		f := h.submit("a")[0]
		l.begin("a")
		l.die()
		_ = crashOf(t, f)
		h.fail(errStart)
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			h.WaitEvents()
		}()
		if closed(waited) {
			t.Error("WaitEvents did not wait")
		}
		close(gate)
		<-waited
		if want := []sched.EventKind{sched.WorkerReady, sched.WorkerExited, sched.WorkerStartFailed}; !slices.Equal(kinds, want) {
			t.Errorf("events %v, want %v", kinds, want)
		}
		h.WaitEvents()
		if st := h.Stats(); st.Starts != 1 || st.StartFailures != 1 || st.Crashes != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Running names the task that a worker runs.
func TestRunning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		if name := h.Running(l.number); name != "" {
			t.Errorf("an idle worker runs %q", name)
		}
		h.submit("a")
		l.begin("a")
		if name := h.Running(l.number); name != "work" {
			t.Errorf("a busy worker runs %q", name)
		}
		l.answer(time.Second, "a")
		if name := h.Running(l.number) + h.Running(4711); name != "" {
			t.Errorf("nobody runs %q", name)
		}
	})
}

// State follows a call from the queue to its end.
func TestState(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b")
		f := fs[1]
		want := func(s procpool.State, attempts, worker int) {
			t.Helper()
			synctest.Wait()
			if info := f.Info(); info.State != s || info.Attempts != attempts || info.Worker != worker {
				t.Errorf("%+v, want %v, %d attempts, worker %d", info, s, attempts, worker)
			}
		}
		want(procpool.Queued, 0, 0)
		pass(time.Second)
		// Calls that came at the same moment are told apart by a nanosecond.
		if wait := f.Info().Wait; wait.Round(time.Microsecond) != time.Second {
			t.Errorf("waits since %v", wait)
		}
		l := h.grow()
		l.begin("a")
		want(procpool.Queued, 0, 0) // sent, and not started
		l.answer(10*time.Microsecond, "a")
		l.begin("b")
		want(procpool.Started, 1, l.number)
		l.answer(10*time.Microsecond, "b")
		want(procpool.Done, 1, l.number)
	})
}
