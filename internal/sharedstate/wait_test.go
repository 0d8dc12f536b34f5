package sharedstate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
	"github.com/procpool/procpool/internal/sharedstate"
)

// elapse lets that much of a bubble's time pass.
func elapse(d time.Duration) { <-time.After(d) }

func lockOf(ticket uint64) sharedop.Args { return sharedop.Args{Name: "guard", Ticket: ticket} }

// The context of an operation ends its wait, and nothing else's.
func TestContextEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sharedstate.New(10)
		program := caller{r: r}
		program.must(t, "mutex.lock", lockOf(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := program.start(ctx, "mutex.lock", lockOf(2))
		second := program.start(t.Context(), "mutex.lock", lockOf(3))
		elapse(time.Second - 1)
		synctest.Wait()
		if first.State() == procpool.Done {
			t.Fatal("it ended before its context")
		}
		elapse(time.Nanosecond)
		synctest.Wait()
		if _, err := outcome(t, first); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		program.must(t, "mutex.unlock", lockOf(1))
		if _, err := outcome(t, second); err != nil {
			t.Error(err)
		}
		if _, err := program.do(t, "mutex.unlock", lockOf(2)); codeOf(err) != sharedop.CodeNotHeld {
			t.Errorf("the one that was given up holds it: %v", err)
		}
	})
}

// A context that has ended makes an operation do nothing, also one that would not wait.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	ctx, cancel := context.WithCancel(t.Context())
	f := caller{r: r}.start(t.Context(), "counter.add", sharedop.Args{Name: "n", Delta: 1})
	cancel()
	if reply, err := outcome(t, f); err != nil || reply.Total != 1 {
		t.Fatalf("%+v, %v", reply, err)
	}
	late := ended{caller{r: r}}
	if _, err := procpool.Operation[sharedop.Args, sharedop.Reply]("counter.add").Call(ctx, late, sharedop.Args{Name: "n", Delta: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if reply := (caller{r: r}).must(t, "counter.add", sharedop.Args{Name: "n"}); reply.Total != 1 {
		t.Errorf("it is at %d", reply.Total)
	}
}

// ended hands calls on with a context that has ended.
type ended struct{ caller }

func (e ended) Enqueue(_ context.Context, c *procpool.Call, n int) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.caller.Enqueue(ctx, c, n)
}

// lender counts how a slot is lent and taken back.
type lender struct{ lent, back atomic.Int32 }

func (l *lender) lend() func() {
	l.lent.Add(1)
	return func() { l.back.Add(1) }
}

func (l *lender) is(t *testing.T, when string, lent, back int32) {
	t.Helper()
	synctest.Wait()
	if l.lent.Load() != lent || l.back.Load() != back {
		t.Errorf("%s: lent %d times and taken back %d times, want %d and %d", when, l.lent.Load(), l.back.Load(), lent, back)
	}
}

// A call that waits for longer than a moment lends its slot, and takes it back once,
// however its wait ends.
func TestLending(t *testing.T) {
	const moment = 10 * time.Millisecond
	for name, end := range map[string]func(r *sharedstate.Registry, f *procpool.Future[sharedop.Reply], cancel func()){
		"granted": func(r *sharedstate.Registry, _ *procpool.Future[sharedop.Reply], _ func()) {
			caller{r: r}.start(context.Background(), "mutex.unlock", lockOf(1))
		},
		"given up":   func(_ *sharedstate.Registry, f *procpool.Future[sharedop.Reply], _ func()) { f.Cancel() },
		"context":    func(_ *sharedstate.Registry, _ *procpool.Future[sharedop.Reply], cancel func()) { cancel() },
		"call ended": func(r *sharedstate.Registry, _ *procpool.Future[sharedop.Reply], _ func()) { r.EndCall(call(1, 1)) },
		"death":      func(r *sharedstate.Registry, _ *procpool.Future[sharedop.Reply], _ func()) { r.EndWorker(1) },
		"closed":     func(r *sharedstate.Registry, _ *procpool.Future[sharedop.Reply], _ func()) { r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := sharedstate.New(10)
				caller{r: r}.must(t, "mutex.lock", lockOf(1))
				l := new(lender)
				task := caller{r: r, owner: call(1, 1), lend: l.lend}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				task.must(t, "counter.add", sharedop.Args{Name: "n"})
				f := task.start(ctx, "mutex.lock", lockOf(2))
				elapse(moment - 1)
				l.is(t, "a short wait", 0, 0)
				elapse(time.Nanosecond)
				l.is(t, "a long wait", 1, 0)
				end(r, f, cancel)
				l.is(t, "after the wait", 1, 1)
				if f.State() != procpool.Done {
					t.Error("it still waits")
				}
				elapse(time.Minute)
				l.is(t, "a minute later", 1, 1)
				if r.EndCall(call(1, 1)); r.Busy() {
					t.Error("something is held or waited for")
				}
			})
		})
	}
}

// While other calls go on, a call that waits has more patience. It is asked once who
// waits: calls that have a slot and have not lent it.
func TestPatienceWhileOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sharedstate.New(10)
		caller{r: r}.must(t, "mutex.lock", lockOf(1))
		l := new(lender)
		var waiting []int
		ask := func(answer bool) func(int) bool {
			return func(n int) bool { waiting = append(waiting, n); return answer }
		}
		caller{r: r}.start(t.Context(), "mutex.lock", lockOf(2))                    // has no slot
		caller{r: r, owner: call(1, 1)}.start(t.Context(), "mutex.lock", lockOf(3)) // nor this
		lends := caller{r: r, owner: call(1, 2), lend: l.lend, stuck: ask(true)}
		lends.start(t.Context(), "mutex.lock", lockOf(4))
		elapse(time.Millisecond)
		patient := caller{r: r, owner: call(1, 3), lend: l.lend, stuck: ask(false)}
		patient.start(t.Context(), "mutex.lock", lockOf(5))
		patient.start(t.Context(), "mutex.lock", lockOf(6))
		elapse(500 * time.Millisecond)
		l.is(t, "after half a second", 1, 0)
		if want := []int{2, 1, 1}; !slices.Equal(waiting, want) {
			t.Errorf("so many waited when it was asked: %d, want %d", waiting, want)
		}
		elapse(500 * time.Millisecond)
		l.is(t, "after a second", 3, 0)
		r.EndWorker(1)
		l.is(t, "in the end", 3, 3)
	})
}

// A short wait lends nothing, and neither does a call that has no slot to lend.
func TestNothingIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sharedstate.New(10)
		program := caller{r: r}
		program.must(t, "mutex.lock", lockOf(1))
		l := new(lender)
		f := caller{r: r, owner: call(1, 1), lend: l.lend}.start(t.Context(), "mutex.lock", lockOf(2))
		asked := 0
		g := caller{r: r, owner: call(2, 1), lend: func() func() { asked++; return nil }}.start(t.Context(), "mutex.lock", lockOf(3))
		program.must(t, "mutex.unlock", lockOf(1))
		elapse(time.Minute)
		l.is(t, "a wait that was over at once", 0, 0)
		if _, err := outcome(t, f); err != nil {
			t.Error(err)
		}
		if g.State() == procpool.Done || asked != 1 {
			t.Errorf("the call that can't lend its slot was asked for it %d times and is %v", asked, g.State())
		}
		r.EndWorker(1)
		if reply, err := outcome(t, g); err != nil || !reply.Abandoned {
			t.Errorf("%+v, %v", reply, err)
		}
	})
}

// A slot that is lent just when the wait ends is taken back.
func TestLentTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sharedstate.New(10)
		caller{r: r}.must(t, "mutex.lock", lockOf(1))
		l := new(lender)
		f := caller{r: r, owner: call(1, 1), lend: func() func() {
			caller{r: r}.start(context.Background(), "mutex.unlock", lockOf(1))
			return l.lend()
		}}.start(t.Context(), "mutex.lock", lockOf(2))
		elapse(time.Second)
		l.is(t, "after the wait", 1, 1)
		if _, err := outcome(t, f); err != nil {
			t.Error(err)
		}
	})
}

// The operations of tasks that wait are bounded, and those of the program are not.
func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(2)
	program := caller{r: r}
	program.must(t, "mutex.lock", lockOf(1))
	for i := range uint64(5) {
		if f := program.start(t.Context(), "mutex.lock", lockOf(10+i)); f.State() == procpool.Done {
			t.Error(f.Result(t.Context()))
		}
	}
	waiting := []*procpool.Future[sharedop.Reply]{
		caller{r: r, owner: call(1, 1)}.start(t.Context(), "mutex.lock", lockOf(2)),
		caller{r: r, owner: call(1, 2)}.start(t.Context(), "mutex.lock", lockOf(3)),
	}
	third := caller{r: r, owner: call(1, 3)}
	if _, err := third.do(t, "mutex.lock", lockOf(4)); !errors.Is(err, procpool.ErrNestingLimit) {
		t.Error(err)
	}
	third.must(t, "counter.add", sharedop.Args{Name: "n"}) // what does not wait is none of that
	waiting[0].Cancel()
	if f := third.start(t.Context(), "mutex.lock", lockOf(4)); f.State() == procpool.Done {
		t.Error(f.Result(t.Context()))
	}
	r.Close()
	for _, f := range waiting[1:] {
		if _, err := outcome(t, f); !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := program.do(t, "counter.add", sharedop.Args{Name: "n"}); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
}

// Everybody at once: what the lock guards is touched by one at a time.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sharedstate.New(1 << 10)
		inside, total := 0, 0
		const callers, rounds = 20, 50
		done := make(chan error, callers)
		for i := range callers {
			go func() {
				as := caller{r: r, owner: sharedstate.Owner{Worker: i % 4, Seq: uint64(i)}}
				if i%4 == 0 {
					as.owner = sharedstate.Owner{}
				}
				for n := range rounds {
					ticket := uint64(i*rounds + n + 1)
					if _, err := as.start(context.Background(), "mutex.lock", lockOf(ticket)).Result(context.Background()); err != nil {
						done <- err
						return
					}
					if inside++; inside != 1 {
						done <- fmt.Errorf("%d are inside", inside)
						return
					}
					total++
					inside--
					as.start(context.Background(), "mutex.unlock", lockOf(ticket))
				}
				done <- nil
			}()
		}
		for range callers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if total != callers*rounds {
			t.Errorf("%d, want %d", total, callers*rounds)
		}
	})
}
