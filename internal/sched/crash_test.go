package sched_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.2: a crash costs the call that had started. Those that had been sent
// ahead go to another worker, in their order, and count no attempt.
func TestCrashCostsWhatHadStarted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c", "d")
		l := h.grow()
		l.answer(10*time.Microsecond, "a")
		l.begin("b")
		l.die()
		wantResult(t, fs[0], "a")
		ce := crashOf(t, fs[1])
		if ce.Task != "work" || ce.Worker != l.number || ce.PID != l.PID() || ce.Attempt != 1 || ce.Finished || ce.Suspects != 1 || ce.Signal != "SIGKILL" {
			t.Errorf("%+v", ce)
		}
		wantOpen(t, fs[2:]...)
		if info := fs[2].Info(); info.State != procpool.Queued || info.Attempts != 0 || info.Worker != 0 {
			t.Errorf("%+v", info)
		}
		other := h.start()
		other.wantSent("c", "d")
		other.answer(10*time.Microsecond, "c", "d")
		wantResult(t, fs[2], "c")
		wantResult(t, fs[3], "d")
		if info := fs[2].Info(); info.Attempts != 1 || info.Worker != other.number {
			t.Errorf("%+v", info)
		}
		if st := h.Stats(); st.Crashes != 1 || st.Failed != 1 || st.Succeeded != 3 || st.Requeued != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.2: after a crash the recorder gives back replies that never arrived; a
// call whose reply is lost all the same is told to have finished, and is no
// suspect.
func TestCrashReplies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c", "d", "e")
		l := h.grow()
		l.answer(10*time.Microsecond, "a")
		l.mu.Lock()
		l.started, l.finished = 4, 3
		l.mu.Unlock()
		l.exit(func(r *sched.Report) {
			r.Replies = []sched.Reply{{Seq: 1, Data: []byte("old")}, {Seq: 3, Data: []byte("c")}}
		})
		wantResult(t, fs[0], "a")
		if ce := crashOf(t, fs[1]); !ce.Finished || ce.Suspects != 1 {
			t.Errorf("%+v", ce)
		}
		wantResult(t, fs[2], "c")
		if ce := crashOf(t, fs[3]); ce.Finished || ce.Suspects != 1 {
			t.Errorf("%+v", ce)
		}
		wantOpen(t, fs[4])
		h.check()
	})
}

// Rule 6.2: without a page that makes sense all that was sent had started; what
// was not even sent had not.
func TestCrashWithoutPage(t *testing.T) {
	for name, lie := range map[string]func(*sched.Report){
		"no page":                     func(r *sched.Report) { r.PageOK = false },
		"started what was not sent":   func(r *sched.Report) { r.Lanes[0].Started = 5 },
		"started less than was run":   func(r *sched.Report) { r.Lanes[0].Started, r.Lanes[0].Finished = 0, 0 },
		"finished more than started":  func(r *sched.Report) { r.Lanes[0].Finished = 3 },
		"a number that fits no queue": func(r *sched.Report) { r.Lanes[0].Started, r.Lanes[0].Finished = 1<<63, 1<<62 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Teach("work", 10*time.Microsecond)
				h.Grow(1)
				gate := make(chan struct{})
				l := h.prepare(func(l *script) { l.gate = gate })
				fs := h.submit("a", "b", "c")
				go h.Started(l.number, l, sched.Traits{Recorder: true})
				synctest.Wait()
				l.mu.Lock()
				l.started, l.finished = 2, 1
				l.mu.Unlock()
				l.reply(sched.Reply{Seq: 1, Data: []byte("a"), Run: 10 * time.Microsecond})
				// What comes now waits behind the Send that hangs.
				unsent := h.submit("d")
				l.reply()
				exited := make(chan struct{})
				go func() {
					defer close(exited)
					l.exit(lie)
				}()
				synctest.Wait()
				select {
				case <-exited:
					t.Error("Exited did not wait for the Send in progress, which looks at the calls")
				default:
				}
				close(gate)
				<-exited
				h.check()
				wantResult(t, fs[0], "a")
				if ce := crashOf(t, fs[1]); ce.Suspects != 2 || ce.Finished {
					t.Errorf("%+v", ce)
				}
				_ = crashOf(t, fs[2])
				h.start().answerAll(time.Microsecond)
				wantResult(t, unsent[0], "d")
			})
		})
	}
}

// Rule 6.2: what a worker declined does not make its page look wrong afterwards.
func TestCrashAfterDecline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		l.begin("a")
		fs[1].Cancel()
		l.answer(10*time.Microsecond, "a", "b", "c")
		l.wantSent("a", "b", "c", "c")
		// Started is 1, declined was up to 3, and 4 has been sent.
		l.die()
		wantOpen(t, fs[2])
		h.start().answer(10*time.Microsecond, "c")
		wantResult(t, fs[2], "c")
		if st := h.Stats(); st.Crashes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.2: a worker that dies while it declines has not run what lies behind the
// fence, even if it has noted its start.
func TestCrashWhileDeclining(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		h.Grow(1)
		gate := make(chan struct{})
		l := h.prepare(func(l *script) { l.gate = gate })
		fs := h.submit("a", "b", "c")
		go h.Started(l.number, l, sched.Traits{Recorder: true})
		synctest.Wait()
		fs[1].Cancel() // all are in flight
		close(gate)
		l.answer(10*time.Microsecond, "a")
		l.mu.Lock()
		l.started = 3 // and about to see the fence, at 1
		l.mu.Unlock()
		l.die()
		wantOpen(t, fs[2])
		h.start().answer(10*time.Microsecond, "c")
		wantResult(t, fs[2], "c")
	})
}

// Rule 6.2: a call that was aboard three workers that died before starting it is
// sent alone next, and if that worker dies too it counts as started. Its
// companions come to no harm.
func TestSuspect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b")
		h.Grow(1)
		for range sched.SuspectAfter {
			pass(sched.LongestDelay) // these deaths look like failed starts
			l := h.start()
			l.wantSent("a", "b")
			l.die()
			wantOpen(t, fs...)
		}
		fs = append(fs, h.submit("c", "d")...)
		pass(sched.LongestDelay)
		l := h.start()
		l.wantSent("a")
		l.die()
		if ce := crashOf(t, fs[0]); ce.Attempt != 1 || ce.Suspects != 1 {
			t.Errorf("%+v", ce)
		}
		l = h.start()
		l.wantSent("b") // without c, which nothing speaks against
		l.answer(10*time.Microsecond, "b")
		l.wantSent("b", "c", "d")
		l.answer(10*time.Microsecond, "c", "d")
		for i, text := range []string{"b", "c", "d"} {
			wantResult(t, fs[i+1], text)
		}
	})
}

// Rule 6.2 for packs: the items that were answered keep their results, the one
// that ran fails, the others run elsewhere.
func TestCrashInPack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := h.mapOver(texts("x", 8))
		synctest.Wait()
		l := h.grow()
		l.answer(time.Microsecond, "x0", "x1")
		l.begin("x2")
		l.die()
		other := h.start()
		other.wantSent("x3", "x4", "x5", "x6", "x7")
		other.answer(time.Microsecond, "x3")
		other.begin("x4")
		other.die()
		other = h.start()
		other.answerAll(time.Microsecond)
		<-m.ended
		out, errs := m.results()
		if !slices.Equal(out, []string{"x0", "x1", "", "x3", "", "x5", "x6", "x7"}) || len(errs) != 2 {
			t.Errorf("yielded %q, %v", out, errs)
		}
		for _, i := range []int{2, 4} {
			var ce *procpool.CrashError
			if !errors.As(errs[i], &ce) || ce.Attempt != 1 || ce.Suspects != 1 {
				t.Errorf("item %d: %v", i, errs[i])
			}
		}
		if st := h.Stats(); st.Submitted != 8 || st.Succeeded != 6 || st.Failed != 2 || st.Crashes != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.7 (T088): an idle worker's death is noticed by nobody: another one starts
// at once.
func TestIdleDeath(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.submit("a")[0]
		l.answer(time.Microsecond, "a")
		wantResult(t, f, "a")
		l.die()
		if n := h.pending(); n != 1 {
			t.Fatalf("%d workers launched", n)
		}
		l = h.start()
		pass(sched.Settled) // nobody ever calls this one
		l.die()
		if n := h.pending(); n != 1 {
			t.Fatalf("%d workers launched", n)
		}
		f = h.submit("b")[0]
		h.start().answer(time.Microsecond, "b")
		wantResult(t, f, "b")
		if st := h.Stats(); st.Crashes != 0 || st.Failed != 0 || st.Killed != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Rules 6.1 and 6.2: a call that was cancelled while it ran and whose worker then
// dies is not failed a second time, nor counted as a crash.
func TestCrashOfCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.submit("a")[0]
		l.begin("a")
		f.Cancel()
		l.die()
		wantError(t, f, context.Canceled)
		if st := h.Stats(); st.Cancelled != 1 || st.Failed != 0 || st.Crashes != 0 {
			t.Errorf("%+v", st)
		}
		h.start()
	})
}
