package sched_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// acting is a method of the actors of these tests.
var acting = procpool.RemoteMethod[[]byte, []byte](procpool.RemoteActor[[]byte]("actor"), "work", procpool.WithCodec(procpool.Raw))

var errActor = errors.New("the actor is no more")

// homeOf makes a scheduler with one worker that asks goesOn what follows its loss.
func homeOf(t *testing.T, goesOn func(sched.Loss) error, change func(*sched.Config)) *host {
	t.Helper()
	h := newHost(t, func(cfg *sched.Config) {
		nesting(cfg)
		cfg.Workers, cfg.MinWorkers, cfg.Lost = 1, 1, goesOn
		if change != nil {
			change(cfg)
		}
	})
	h.Start()
	return h
}

// tied has the calls of one actor be of the same instance.
type tied struct {
	*host
	instance *procpool.Instance
}

func (e tied) Enqueue(ctx context.Context, c *procpool.Call, _ int) {
	c.Join(e.instance)
	e.host.Enqueue(ctx, c, 1)
}

// actor returns an actor of the scheduler's, and a Ref to it.
func (h *host) actor(pinned bool) (*procpool.Instance, *procpool.Ref) {
	h.t.Helper()
	i := procpool.NewInstance("actor", 0)
	i.Begin(nil, pinned)
	ref := new(procpool.Ref)
	if err := ref.UnmarshalText([]byte("actor#7")); err != nil {
		h.t.Fatal(err)
	}
	return i, ref.On(tied{h, i})
}

func act(ref *procpool.Ref, texts ...string) (fs []*procpool.Future[[]byte]) {
	for _, text := range texts {
		fs = append(fs, acting.Submit(context.Background(), ref, []byte(text)))
	}
	return fs
}

// Calls of actors are sent ahead as others are.
func TestActorCallsAreSentAhead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		_, ref := h.actor(false)
		l := h.start()
		act(ref, "a")
		l.answer(time.Microsecond, "a")
		act(ref, "b", "c", "d")
		l.wantSent("a", "b")
		l.answer(time.Microsecond, "b")
		l.wantSent("a", "b", "c", "d")
		l.answerAll(time.Microsecond)
	})
}

// Whether there is another worker is asked at each loss; if not, what waits and what comes
// is refused with the answer.
func TestLossIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var losses []sched.Loss
		h := homeOf(t, func(l sched.Loss) error {
			losses = append(losses, l)
			if len(losses) < 4 {
				return nil
			}
			return errActor
		}, nil)
		_, ref := h.actor(false)
		fs := act(ref, "a", "b")
		h.fail(errStart)
		pass(time.Second)
		h.start().die() // before it has started anything
		pass(time.Minute)
		l := h.start()
		l.begin("a")
		l.die()
		wantError(t, fs[0], procpool.ErrCrashed)
		wantOpen(t, fs[1])
		l = h.start()
		l.wantSent("b")
		l.begin("b")
		more := act(ref, "c", "d")
		l.die()
		wantError(t, fs[1], procpool.ErrCrashed)
		for _, f := range append(more, act(ref, "e")...) {
			wantError(t, f, errActor)
		}
		pass(time.Hour)
		if h.pending() != 0 {
			t.Error("a worker was launched for nobody")
		}
		want := []bool{false, false, true, true}
		got := make([]bool, 0, len(losses))
		for _, l := range losses {
			got = append(got, l.Worked)
		}
		if !slices.Equal(got, want) || !errors.Is(losses[0].Start, errStart) || losses[0].Death != nil || losses[3].Death == nil {
			t.Errorf("%+v", losses)
		}
	})
}

// A call that might be run again, and those that wait to be, get to know that it is over;
// so do submitters that are held up.
func TestLossEndsAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		over := false
		h := homeOf(t, func(sched.Loss) error {
			if over {
				return errActor
			}
			return nil
		}, func(cfg *sched.Config) { cfg.QueueSize = 1 })
		_, ref := h.actor(false)
		again := []procpool.Option{procpool.Retries(3), procpool.Backoff(time.Hour, time.Hour)}
		l := h.start()
		delayed := acting.Submit(t.Context(), ref, []byte("a"), again...)
		l.begin("a")
		l.die()
		wantOpen(t, delayed)
		l = h.start()
		running := acting.Submit(t.Context(), ref, []byte("b"), again...)
		l.begin("b")
		waits := act(ref, "c")[0]
		var held *procpool.Future[[]byte]
		var submitters sync.WaitGroup
		submitters.Go(func() { held = act(ref, "d")[0] })
		synctest.Wait()
		over = true
		l.die()
		submitters.Wait()
		for _, f := range []*procpool.Future[[]byte]{delayed, running, waits, held} {
			wantError(t, f, errActor)
		}
		<-h.Drain()
	})
}

// A worker that was asked to leave is no loss, nor is one at the end.
func TestLeavingIsNoLoss(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, func(sched.Loss) error { t.Error("it was asked"); return nil }, nil)
		l := h.start()
		<-h.Drain()
		gone := h.Stop()
		l.die()
		<-gone
	})
}

// GiveUp ends the calls of one actor, wherever they are, and nobody else's.
func TestGiveUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, func(cfg *sched.Config) { cfg.Concurrency, cfg.QueueSize = 2, 4 })
		mine, ref := h.actor(true)
		_, other := h.actor(true)
		l := h.startWith(func(l *script) { l.lanes(2) })
		warm := act(other, "warm")
		l.laneOf("warm").answer(time.Microsecond, "warm")
		wantResult(t, warm[0], "warm")
		given := act(ref, "a", "b", "c")
		kept := act(other, "x", "y")
		on := l.laneOf("a")
		on.begin("a")
		mine.Refuse(errActor)
		h.GiveUp(mine)
		for _, f := range append(given, act(ref, "d")...) {
			wantError(t, f, errActor)
		}
		wantOpen(t, kept[1])
		if got := on.saw().cancels; len(got) != 1 {
			t.Errorf("cancelled %v", got)
		}
		closing := mine.NewClose(0)
		ended := make(chan error, 1)
		closing.AfterFinish(func(err error) { ended <- err })
		h.Enqueue(context.Background(), closing, 1)
		on.answer(time.Microsecond, "a")
		for range 4 {
			l.answerEverywhere()
		}
		if err := <-ended; err != nil {
			t.Errorf("closing: %v", err)
		}
		wantResult(t, kept[0], "x")
		wantResult(t, kept[1], "y")
	})
}

// laneOf returns the lane of the worker that was sent a call.
func (l *script) laneOf(text string) *script {
	l.h.t.Helper()
	for _, lane := range append([]*script{l}, l.more...) {
		if slices.Contains(lane.got(), text) {
			return lane
		}
	}
	l.h.t.Fatalf("no lane was sent %q", text)
	return nil
}

// answerEverywhere answers all that was sent on all lanes.
func (l *script) answerEverywhere() {
	for _, lane := range append([]*script{l}, l.more...) {
		lane.answerAll(time.Microsecond)
	}
}

// The calls of an actor that shares a worker run one at a time in their order, nested ones
// too, while others run beside them.
func TestActorsShareLanes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, func(cfg *sched.Config) { cfg.Concurrency = 2 })
		a, refA := h.actor(true)
		_, refB := h.actor(true)
		l := h.startWith(func(l *script) { l.lanes(2) })
		act(refA, "a1", "a2")
		n := h.nested("a3", func(r *procpool.Relay) {
			r.Task, r.Kind, r.Actor, r.Method = "actor", procpool.KindActor, procpool.NewInstance("actor", 7), "work"
		})
		n.Join(a)
		if err := h.EnqueueNested(n.Call, sched.Parent{}, 1); err != nil {
			t.Fatal(err)
		}
		act(refB, "b1", "b2")
		on, beside := l.laneOf("a1"), l.laneOf("b1")
		if on == beside {
			t.Fatal("they don't run beside each other")
		}
		on.wantSent("a1")
		on.answer(time.Second, "a1")
		on.wantSent("a1", "a3") // nested calls go first
		on.answer(time.Second, "a3")
		on.wantSent("a1", "a3", "a2")
		beside.wantSent("b1")
		n.wantResult("a3")
	})
}

// When the process of actors that share it dies, what waits for a lane there may go to the
// next one: calls of tasks, however deep, and others.
func TestActorsLeaveLanes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		a, ref := h.actor(true)
		l := h.start()
		runs := act(ref, "runs")[0]
		l.begin("runs")
		waits := act(ref, "waits")[0]
		var nested []*inner
		for depth := 1; depth <= 3; depth++ {
			n := h.nested("n", func(r *procpool.Relay) {
				r.Task, r.Kind, r.Actor, r.Method = "actor", procpool.KindActor, procpool.NewInstance("actor", 7), "work"
			})
			n.Join(a)
			if err := h.EnqueueNested(n.Call, sched.Parent{}, depth); err != nil {
				t.Fatal(err)
			}
			nested = append(nested, n)
		}
		h.check()
		l.die()
		wantError(t, runs, procpool.ErrCrashed)
		l = h.start()
		for _, n := range slices.Backward(nested) { // the deepest first
			l.answer(time.Second, "n")
			n.wantResult("n")
		}
		l.answer(time.Second, "waits")
		wantResult(t, waits, "waits")
	})
}

// A method that does not stop has no other worker started, which would know none of the
// actors: theirs goes on, and dies when nothing else runs there, or after RetireGrace.
func TestStuckMethodOfSeveralActors(t *testing.T) {
	for _, how := range []string{"the others end", "RetireGrace", "it stops after all"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				losses := 0
				h := homeOf(t, func(sched.Loss) error { losses++; return errActor }, func(cfg *sched.Config) {
					cfg.Concurrency, cfg.RetireGrace = 2, 10*time.Second
				})
				_, refA := h.actor(true)
				_, refB := h.actor(true)
				l := h.startWith(func(l *script) { l.lanes(2) })
				stuck, other := act(refA, "stuck")[0], act(refB, "other")[0]
				on, beside := l.laneOf("stuck"), l.laneOf("other")
				on.begin("stuck")
				beside.begin("other")
				stuck.Cancel()
				pass(time.Second)
				more := act(refB, "more")[0]
				behind := act(refA, "behind")[0]
				if h.pending() != 0 || l.saw().kills != 0 || h.Stats().Retiring != 0 {
					t.Errorf("%d others were launched, %+v", h.pending(), h.Stats())
				}
				beside.answer(time.Second, "other")
				wantResult(t, other, "other")
				beside.wantSent("other", "more")
				beside.begin("more")
				switch how {
				case "the others end":
					beside.answer(time.Second, "more")
					wantResult(t, more, "more")
				case "RetireGrace":
					pass(10 * time.Second)
				default:
					on.answer(time.Second, "stuck")
					on.answer(time.Second, "behind")
					wantResult(t, behind, "behind")
					pass(time.Minute)
					if saw := l.saw(); saw.kills+saw.stops+losses != 0 {
						t.Errorf("%+v, and %d losses", saw, losses)
					}
					return
				}
				if l.saw().kills != 1 {
					t.Fatal("it was not killed")
				}
				l.die()
				wantError(t, behind, errActor)
				if losses != 1 || h.pending() != 0 {
					t.Errorf("%d losses, %d others were launched", losses, h.pending())
				}
			})
		})
	}
}

// A call of which nobody knows yet whether it is run again is not, when its actor takes no
// more by then.
func TestGiveUpMeetsADecision(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		mine, ref := h.actor(false)
		l := h.start()
		decide := make(chan struct{})
		f := acting.Submit(context.Background(), ref, []byte("a"), procpool.Retries(1), procpool.Backoff(0, 0),
			procpool.RetryOn(procpool.TaskFailure, func(error) bool { <-decide; return true }))
		l.reply(sched.Reply{Seq: l.seq("a"), Kind: sched.Failed, Err: &procpool.TaskError{Message: "no"}})
		l.answered = 1
		mine.Refuse(errActor)
		h.GiveUp(mine)
		close(decide)
		wantError(t, f, errActor)
		l.wantSent("a")
		if s := h.Stats(); s.Refused != 1 || s.Retried != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Quiet tells when no call is left, again and again, and ends nothing.
func TestQuiet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		<-h.Quiet()
		l := h.start()
		for range 2 {
			f := h.submit("a")[0]
			quiet := h.Quiet()
			select {
			case <-quiet:
				t.Error("it is quiet while a call runs")
			default:
			}
			l.answer(time.Second, "a")
			wantResult(t, f, "a")
			<-quiet
		}
		if err := h.EnqueueNested(h.nested("b", nil).Call, sched.Parent{}, 1); err != nil {
			t.Errorf("calls are refused: %v", err)
		}
	})
}

// A closing call is taken from an actor that takes no others, also of a scheduler that is
// being shut down, but not at its end.
func TestClosingIsTakenLast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		i, ref := h.actor(false)
		l := h.start()
		i.Refuse(errActor)
		h.Refuse()
		wantError(t, act(ref, "a")[0], errActor)
		closing := func() <-chan error {
			c := i.NewClose(0)
			ended := make(chan error, 1)
			c.AfterFinish(func(err error) { ended <- err })
			h.Enqueue(context.Background(), c, 1)
			return ended
		}
		first := closing()
		l.answerAll(time.Second)
		if err := <-first; err != nil {
			t.Error(err)
		}
		gone := h.Stop()
		if err := <-closing(); !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
		l.die()
		<-gone
	})
}

// A call that a task makes of an actor that has ended is told so, also when the actor's
// home is at its end and has not been forgotten yet.
func TestNestedCallMeetsTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		i, _ := h.actor(false)
		l := h.start()
		nested := func() error {
			n := h.nested("a", func(r *procpool.Relay) {
				r.Task, r.Kind, r.Actor, r.Method = "actor", procpool.KindActor, procpool.NewInstance("actor", 7), "work"
			})
			n.Join(i)
			return h.EnqueueNested(n.Call, sched.Parent{}, 1)
		}
		i.Refuse(errActor)
		if err := nested(); !errors.Is(err, errActor) {
			t.Errorf("of an actor that ends: %v", err)
		}
		<-h.Drain()
		if err := nested(); !errors.Is(err, errActor) {
			t.Errorf("when its home is drained: %v", err)
		}
		gone := h.Stop()
		if err := nested(); !errors.Is(err, errActor) {
			t.Errorf("when its home has ended: %v", err)
		}
		l.die()
		<-gone
	})
}

// Caller tells which call runs, and how deeply it is nested.
func TestCaller(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := homeOf(t, nil, nil)
		l := h.start()
		h.submit("a")
		p := l.parent("a")
		l.begin("a")
		if c, depth := h.Caller(p); c == nil || string(c.Payload()) != "a" || depth != 0 {
			t.Errorf("%v, %d", c, depth)
		}
		l.answer(time.Second, "a")
		if c, _ := h.Caller(p); c != nil {
			t.Error("it has ended")
		}
	})
}
