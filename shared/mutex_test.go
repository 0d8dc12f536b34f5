package shared_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

// Program and tasks count under one lock, and no step is lost.
func TestMutexGuards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		count := func(ctx context.Context, ex procpool.Executor) error {
			for range 20 {
				err := guard.Do(ctx, ex, func(ctx context.Context) error {
					was := n
					<-time.After(time.Microsecond) // long enough for everybody else to look, too
					n = was + 1
					return ctx.Err()
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		ex, call := inTask(count)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := call(t.Context()).Result(t.Context()); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if err := count(t.Context(), ex); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n != 400 {
			t.Errorf("%d steps were counted, want 400", n)
		}
	})
}

// Do returns the error of its function, and unlocks also when that panics.
func TestMutexDo(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	wrong := errors.New("wrong")
	must(t, "Do", guard.Do(t.Context(), ex, func(context.Context) error { return wrong }), wrong)
	func() {
		defer func() { _ = recover() }()
		_ = guard.Do(t.Context(), ex, func(context.Context) error { panic("in Do") })
	}()
	held, err := guard.TryLock(t.Context(), ex)
	must(t, "TryLock", err, nil)
	held.Unlock()
}

// A lock that its call does not give back is free when the call has ended, and not
// before: not when its future is resolved.
func TestLockEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
			_, err := guard.Lock(ctx, ex)
			<-goOn // deaf to its context
			return err
		})
		f := call(t.Context())
		synctest.Wait()
		f.Cancel()
		synctest.Wait()
		_, err := guard.TryLock(t.Context(), ex)
		must(t, "TryLock while the call runs that was given up", err, shared.ErrWouldBlock)
		close(goOn)
		held, err := guard.Lock(t.Context(), ex)
		must(t, "Lock", err, nil)
		if !held.Abandoned() {
			t.Error("nobody says that the lock was abandoned")
		}
		held.Unlock()
		held.Unlock()
		held, err = guard.TryLock(t.Context(), ex)
		must(t, "TryLock", err, nil)
		if held.Abandoned() {
			t.Error("the lock counts as abandoned again")
		}
		held.Unlock()
	})
}

// What a call held is free when its future is resolved by its end.
func TestFreeWhenResolved(t *testing.T) {
	t.Parallel()
	ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
		_, err := guard.Lock(ctx, ex)
		return err
	})
	for range 100 {
		_, err := call(t.Context()).Result(t.Context())
		must(t, "the task", err, nil)
		held, err := guard.TryLock(t.Context(), ex)
		must(t, "TryLock behind the task", err, nil)
		held.Unlock()
	}
}

// Who gives up waiting gets nothing, and keeps nobody else from it, however often and
// in whatever moment.
func TestLockGivenUp(t *testing.T) {
	t.Parallel()
	ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
		for i := range 200 {
			short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Microsecond)
			held, err := guard.Lock(short, ex)
			if cancel(); err == nil {
				held.Unlock()
			} else if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `mutex "guard" was not locked`) {
				return err
			}
		}
		return nil
	})
	fs := []*procpool.Future[int]{call(t.Context()), call(t.Context()), call(t.Context())}
	for _, f := range fs {
		_, err := f.Result(t.Context())
		must(t, "the task", err, nil)
	}
	held, err := guard.TryLock(t.Context(), ex)
	must(t, "TryLock when all is over", err, nil)
	if held.Abandoned() {
		t.Error("it counts as abandoned, and everybody has unlocked it")
	}
	held.Unlock()
}

// A lock of the program's that it has lost is free when that is noticed.
func TestLostLock(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	_, err := guard.Lock(t.Context(), ex)
	must(t, "Lock", err, nil)
	deadline := time.Now().Add(time.Minute)
	for {
		runtime.GC()
		held, err := guard.TryLock(t.Context(), ex)
		if err == nil {
			if !held.Abandoned() {
				t.Error("nobody says that the lock was abandoned")
			}
			runtime.GC() // it is in use, so it is kept
			_, err := guard.TryLock(t.Context(), ex)
			must(t, "TryLock while it is held", err, shared.ErrWouldBlock)
			held.Unlock()
			return
		}
		must(t, "TryLock", err, shared.ErrWouldBlock)
		if time.Now().After(deadline) {
			t.Fatal("a lock that nobody has any more is still locked")
		}
		runtime.Gosched()
	}
}

// A task may hold a lock by not giving it back: what it forgets it keeps to its end.
func TestTasksKeepWhatTheyForget(t *testing.T) {
	t.Parallel()
	_, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
		if _, err := guard.Lock(ctx, ex); err != nil {
			return err
		}
		for range 5 {
			runtime.GC()
			runtime.Gosched()
		}
		_, err := guard.TryLock(ctx, ex)
		return err
	})
	_, err := call(t.Context()).Result(t.Context())
	must(t, "the task", err, shared.ErrWouldBlock)
}

// A goroutine that a task has left behind can't lock anything any more.
func TestOutlivingGoroutine(t *testing.T) {
	t.Parallel()
	var left procpool.Executor
	ex, call := inTask(func(_ context.Context, ex procpool.Executor) error {
		left = ex
		return nil
	})
	_, err := call(t.Context()).Result(t.Context())
	must(t, "the task", err, nil)
	_, err = guard.Lock(context.Background(), left)
	must(t, "Lock behind the task", err, procpool.ErrNestingLimit)
	held, err := guard.TryLock(t.Context(), ex)
	must(t, "TryLock", err, nil)
	held.Unlock()
}
