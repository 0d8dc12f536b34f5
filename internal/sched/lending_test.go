package sched_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.12: while a call waits for nested ones another takes its place in the worker.
// When it goes on the worker gets no call before as many have ended as it runs too many.
func TestSlotIsLent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 3)
		p := lanes[0]
		h.submit("p", "x", "y")
		p.begin("p")
		n := h.nested("n", nil)
		over, err := h.Lend(p.parent("p"), "work")
		if err != nil {
			t.Fatal(err)
		}
		h.check()
		x := busy(t, "x", lanes[1:]...)
		if n.refused = h.EnqueueNested(n.Call, p.parent("p"), 1); n.refused != nil {
			t.Fatal(n.refused)
		}
		over()
		over() // which is once
		h.check()
		x.answer(long, "x") // n goes first
		busy(t, "n", lanes[1:]...).answer(long, "n")
		n.wantResult("n")
		for _, l := range lanes {
			for _, text := range l.got() {
				if text == "y" {
					t.Error("the worker got a call although its own goes on")
				}
			}
		}
		p.answer(long, "p")
		busy(t, "y", lanes...)
		h.check()
	})
}

// A worker may run too many calls for a while, since nobody is interrupted; it gets none
// before that is over. What was sent ahead goes elsewhere.
func TestSlotIsTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		h.Teach("work", 10*time.Microsecond)
		lanes := h.growLending(1, 3)
		p, l := lanes[0], lanes[1]
		h.submit("p")
		p.begin("p")
		over, err := h.Lend(p.parent("p"), "work")
		if err != nil {
			t.Fatal(err)
		}
		h.submit("x", "a", "b")
		l.answer(10*time.Microsecond, "x")
		l.wantSent("x", "a", "b")
		l.begin("a")
		over()
		h.check()
		if saw := l.saw(); saw.fences != 1 || saw.fence != 2 {
			t.Errorf("what was sent ahead was not taken back: %+v", saw)
		}
		l.answerAll(10 * time.Microsecond) // b is declined
		l.wantSent("x", "a", "b")
		lanes[2].wantSent()
		p.answer(long, "p")
		if n := len(p.got()) + len(l.got()); n != 5 {
			t.Errorf("%d calls were sent, want b again", n)
		}
	})
}

// What was sent behind a call goes elsewhere when that begins to wait.
func TestNothingWaitsBehindAParent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		h.Teach("work", 10*time.Microsecond)
		lanes := h.growLending(1, 3)
		p := lanes[0]
		fs := h.submit("x", "p", "a")
		p.answer(10*time.Microsecond, "x")
		p.wantSent("x", "p", "a")
		p.begin("p")
		n := p.nest("p", "n")
		lanes[1].wantSent("n", "a")
		lanes[1].answer(10*time.Microsecond, "n", "a")
		n.wantResult("n")
		wantResult(t, fs[2], "a")
		wantOpen(t, fs[1])
	})
}

// Rule 6.12: one lane is left for calls that do not wait. A worker that is retiring
// needs none.
func TestNoLaneLeftToLend(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 1)
		h.submit("p")
		lanes[0].begin("p")
		n := lanes[0].nest("p", "n")
		lanes[1].begin("n")
		lanes[1].nestAt("n", "deeper", 2, nil).wantRefused(procpool.ErrNestingLimit, "2 lanes, and calls that wait for nested ones hold all but the last")
		h.Restart()
		next := h.startLending(1, 0)[0]
		deeper := lanes[1].nestAt("n", "deeper", 2, nil)
		next.wantSent("deeper")
		next.answer(long, "deeper")
		deeper.wantResult("deeper")
		h.submit("q")
		next.begin("q")
		next.nest("q", "n").wantRefused(procpool.ErrNestingLimit, "1 lanes")
		lanes[1].answer(long, "n")
		n.wantResult("n")
	})
}

// Rule 6.7: where no worker can be started, calls that wait for nested ones do not keep
// these from being refused.
func TestNestedCallsAreRefusedWithoutWorkers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(cfg *sched.Config) {
			nesting(cfg)
			cfg.MaxCalls = 1
		})
		p := h.growLending(1, 1)[0]
		h.submit("p")
		p.begin("p") // its worker retires
		n := p.nest("p", "n")
		for range sched.Patience {
			n.wantOpen()
			h.fail(errStart)
			pass(sched.LongestDelay)
		}
		if n.fate().ended != 1 || !errors.Is(n.fate().err, errStart) {
			t.Errorf("ended %d times with %v", n.fate().ended, n.fate().err)
		}
		p.answer(long, "p")
	})
}

// When a call ends its nested ones are nobody's, in whatever order that becomes known.
func TestParentEndsFirst(t *testing.T) {
	for _, how := range []string{"answered", "dies", "cancelled"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nesting)
				lanes := h.growLending(1, 3)
				p := lanes[0]
				h.submit("p")
				p.begin("p")
				n := p.nest("p", "n")
				lanes[1].begin("n")
				h.grow()
				waits := p.nest("p", "m")
				switch how {
				case "answered":
					p.answer(long, "p")
				case "dies":
					p.die()
				case "cancelled":
					n.Cancel()
					waits.Cancel()
					h.check()
					if n.fate().ended != 1 || waits.fate().ended != 1 {
						t.Error("a cancelled call is not over")
					}
					if st := h.Stats(); st.Nested != 0 {
						t.Errorf("%+v", st)
					}
					p.answer(long, "p")
				}
				h.check()
				n.Cancel()
				waits.Cancel()
				h.check()
				if st := h.Stats(); st.Nested != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Lanes that lending needed are used again, and looked at no more when nobody needs them.
func TestLanesGoOutOfUse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 10)
		for range 3 {
			h.submit("p")
			lanes[0].begin("p")
			for i := range 9 {
				lanes[i].nestAt([]string{"p", "n"}[min(i, 1)], "n", i+1, nil)
				lanes[i+1].begin("n")
			}
			if used, made := h.LanesOf(1); used != 10 || made != 10 {
				t.Errorf("%d lanes are in use and %d made, want 10", used, made)
			}
			for i := 9; i > 0; i-- {
				lanes[i].answer(long, "n")
			}
			lanes[0].answer(long, "p")
			if used, made := h.LanesOf(1); used != 1 || made != 10 {
				t.Errorf("%d lanes are in use and %d made, want 1 and 10", used, made)
			}
		}
	})
}

// A suspect that makes nested calls has no company but nested calls, and these only while
// it waits. It goes beside calls that wait.
func TestSuspectsNest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(2, 3)
		h.submit("p")
		p := busy(t, "p", lanes...)
		p.begin("p")
		s := p.nestAt("p", "s", 1, func(r *procpool.Relay) { r.Suspect = true })
		sl := busy(t, "s", lanes...) // beside p, which waits
		sl.begin("s")
		h.submit("x")
		more := p.nest("p", "more")
		if n := sentTo(lanes); n != 2 {
			t.Errorf("%d calls were sent while a suspect runs, want 2", n)
		}
		child := sl.nestAt("s", "child", 2, nil)
		busy(t, "child", lanes...).answer(long, "child")
		child.wantResult("child")
		busy(t, "more", lanes...) // it came in while the suspect waited
		if n := sentTo(lanes); n != 4 {
			t.Errorf("%d calls were sent, want all but x", n)
		}
		busy(t, "more", lanes...).answer(long, "more")
		more.wantResult("more")
		sl.answer(long, "s")
		s.wantResult("s")
		busy(t, "x", lanes...)
	})
}

// sentTo counts what the lanes were sent.
func sentTo(lanes []*script) (n int) {
	for _, l := range lanes {
		n += len(l.got())
	}
	return n
}

// Rule 6.12: a call that waited when its worker died is no suspect, unless all did.
func TestWaitingIsNoSuspect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 3)
		p := lanes[0]
		f := h.call(t.Context(), "p", procpool.Retries(1), procpool.Backoff(0, 0))
		p.begin("p")
		n := p.nest("p", "n")
		lanes[1].begin("n")
		p.die()
		var ce *procpool.CrashError
		if !errors.As(n.fate().err, &ce) || ce.Suspects != 1 {
			t.Errorf("the nested call ended with %v", n.fate().err)
		}
		lanes = h.startLending(1, 3) // where p runs again, and is no suspect
		h.submit("beside")
		lanes[0].begin("p")
		m := lanes[0].nest("p", "m")
		lanes[1].begin("m")
		lanes[1].nestAt("m", "deeper", 2, nil)
		lanes[2].wantSent("deeper")
		lanes[0].die() // before it has begun, so that all that ran waited
		if ce := crashOf(t, f); ce.Suspects != 2 {
			t.Errorf("%+v", ce)
		}
		if !errors.As(m.fate().err, &ce) || ce.Suspects != 2 {
			t.Errorf("the nested call ended with %v", m.fate().err)
		}
	})
}

// What the recorder says of waiting counts as well: who has made the nested calls may
// have given them up when it died.
func TestWaitingByTheRecorder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		lanes := h.growLanes(2)
		fs := h.submit("a", "b")
		a := busy(t, "a", lanes...)
		a.begin("a")
		busy(t, "b", lanes...).begin("b")
		a.waiting = true
		a.die()
		for _, f := range fs {
			if ce := crashOf(t, f); ce.Suspects != 1 {
				t.Errorf("%+v", ce)
			}
		}
	})
}

// recursor is a worker whose calls make another until they are deep enough. It can do
// nothing but that.
type recursor struct {
	script
	s         *sched.Scheduler
	all       *sync.WaitGroup
	receiving sync.Mutex // held while the scheduler hears of the worker, which is in turn
}

func (r *recursor) Send(lane int, calls []*procpool.Call) {
	for _, c := range calls {
		seq, left := c.Slot.Seq, string(c.Payload())
		r.all.Go(func() { r.run(uint32(lane), seq, left) })
	}
}

func (r *recursor) run(lane uint32, seq uint64, text string) {
	left, _ := strconv.Atoi(text)
	reply := sched.Reply{Lane: lane, Seq: seq, Data: []byte(text), Run: long}
	if left > 0 {
		ended := make(chan error, 1)
		n := procpool.Relay{
			Task: "work", Codec: procpool.Raw.Name(), Payload: []byte(strconv.Itoa(left - 1)),
			Done: func(_ *procpool.Call, _ []byte, err error) { ended <- err },
		}.NewCall()
		p := sched.Parent{Worker: r.number, Lane: lane, Seq: seq}
		depth, _ := r.s.DepthOf(p)
		if err := r.s.EnqueueNested(n, p, depth+1); err != nil {
			n.Finish(nil, err)
		}
		if err := <-ended; err != nil {
			reply.Kind, reply.Err = sched.Failed, &procpool.TaskError{Message: err.Error()}
		}
	}
	<-time.After(long)
	r.receiving.Lock()
	defer r.receiving.Unlock()
	r.s.Replies(r.number, []sched.Reply{reply})
}

// Stop is the end of the process.
func (r *recursor) Stop() {
	r.all.Go(func() {
		r.receiving.Lock()
		defer r.receiving.Unlock()
		r.s.Exited(r.number, sched.Report{PageOK: false})
	})
}

func (r *recursor) Kill(error) { r.Stop() }

// Rule 6.12: recursion ends, however few workers there are and however they come and go.
func TestRecursion(t *testing.T) {
	const depth = 50
	for name, change := range map[string]func(*sched.Config){
		"one worker":     func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers = 1, 1 },
		"two workers":    func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers = 2, 2 },
		"elastic":        func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.GrowAfter = 4, 1, time.Millisecond },
		"spares":         func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.Spares = 1, 1, 1 },
		"recycled":       func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.MaxCalls = 2, 2, 3 },
		"one call each":  func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.MaxCalls = 2, 2, 1 },
		"three at once":  func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.Concurrency = 2, 2, 3 },
		"old in no time": func(cfg *sched.Config) { cfg.Workers, cfg.MinWorkers, cfg.MaxAge = 2, 2, 10*long },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var (
					s   *sched.Scheduler
					all sync.WaitGroup
				)
				cfg := sched.Config{QueueSize: 100, QueueBytes: 1 << 20, MaxPayload: 1 << 20, CancelGrace: time.Second}
				nesting(&cfg)
				change(&cfg)
				lanes := max(cfg.Concurrency, 1)
				cfg.Launch = func(number int) {
					all.Go(func() {
						<-time.After(time.Millisecond)
						s.Started(number, &recursor{s: s, all: &all, script: script{number: number}}, sched.Traits{Recorder: false, Lanes: lanes, MaxLanes: lanes + depth + 5})
					})
				}
				s = sched.New(cfg)
				s.Start()
				for range 5 {
					f := work.Submit(t.Context(), s, []byte(strconv.Itoa(depth)))
					synctest.Wait()
					if out, err := f.Result(t.Context()); err != nil || string(out) != strconv.Itoa(depth) {
						t.Errorf("result %q, %v", out, err)
					}
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				<-s.Drain()
				<-s.Stop()
				all.Wait()
				if st := s.Stats(); st.Succeeded != 5*(depth+1) || st.Nested != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}
