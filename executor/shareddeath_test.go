package executor_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

// died fails the test unless a call died with its worker.
func died(t *testing.T, f *procpool.Future[string]) {
	t.Helper()
	if got, err := result(t, f); !errors.Is(err, procpool.ErrCrashed) {
		t.Errorf("%q, %v; want it to have crashed", got, err)
	}
}

// killIts kills the worker that runs a call, from outside.
func killIts(t *testing.T, f *procpool.Future[string]) {
	t.Helper()
	eventually(t, "the call runs", func() bool { return f.State() == procpool.Started })
	if err := sendSignal(f.Info().PID, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// Whoever dies with the lock, or with permits, leaves them to the next, who is told; and
// they are free as soon as anybody can know of the death.
func TestDeathOfAHolder(t *testing.T) {
	for _, how := range []string{"kill", "exit 0", "segv", "goroutine panic", "throw"} {
		t.Run(how, func(t *testing.T) {
			pool := newPool(t, executor.Config{Workers: 2})
			died(t, follow(t, pool, "lock", "acquire", "die "+how))
			free(t, pool, true)
			free(t, pool, false)
			said(t, follow(t, pool, "acquire", "release"), "abandoned")
			works(t, pool)
		})
	}
	t.Run("from outside, with others waiting", func(t *testing.T) {
		pool := newPool(t, executor.Config{Workers: 2})
		locked := filepath.Join(t.TempDir(), "locked")
		holder := follow(t, pool, "lock", "mark "+locked, "sit "+locked+" never")
		eventually(t, "it has the lock", func() bool { return exists(locked) })
		next := follow(t, pool, "lock", "unlock")
		eventually(t, "the next one runs", func() bool { return next.State() == procpool.Started })
		killIts(t, holder)
		died(t, holder)
		said(t, next, "abandoned")
		works(t, pool)
	})
	t.Run("stopped", func(t *testing.T) {
		pool := newPool(t, executor.Config{Workers: 1, HungAfter: 2 * time.Second})
		locked := filepath.Join(t.TempDir(), "locked")
		holder := follow(t, pool, "lock", "mark "+locked, "sit "+locked+" never")
		eventually(t, "it has the lock", func() bool { return exists(locked) })
		if err := sendSignal(holder.Info().PID, stopSignal); err != nil {
			t.Fatal(err)
		}
		taken(t, pool)
		held, err := guard.Lock(t.Context(), pool)
		if err != nil || !held.Abandoned() {
			t.Fatal(err)
		}
		held.Unlock()
		died(t, holder)
	})
}

// Whoever dies while it waits gets nothing, and those behind it do.
func TestDeathOfWaiters(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	held, err := guard.Lock(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Put(t.Context(), pool, "of the program"); err != nil {
		t.Fatal(err)
	}
	item, err := jobs.Get(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	permits, err := slots.Acquire(t.Context(), pool, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []string{"lock", "get", "join", "acquire"} {
		f := follow(t, pool, "add", step)
		eventually(t, "it waits", func() bool { n, err := total.Value(t.Context(), pool); return n == int64(i+1) && err == nil })
		killIts(t, f)
		died(t, f)
	}
	// One that waits for room in a queue.
	for range 10 {
		if err := jobs.Put(t.Context(), pool, "filling"); err != nil {
			t.Fatal(err)
		}
	}
	f := follow(t, pool, "add", "put never")
	eventually(t, "it waits", func() bool { n, err := total.Value(t.Context(), pool); return n == 5 && err == nil })
	killIts(t, f)
	died(t, f)
	// None of them has got anything.
	held.Unlock()
	free(t, pool, false)
	permits.Release()
	said(t, follow(t, pool, "acquire", "release"), "")
	if err := item.Done(t.Context()); err != nil {
		t.Error(err)
	}
	for range 10 {
		said(t, follow(t, pool, "get", "done"), "filling#1")
	}
	info, err := jobs.Info(t.Context(), pool)
	if info != (shared.QueueInfo{}) || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	works(t, pool)
}

// An item that was taken by the dead comes back to the front, before its death can be
// known; and is a dead letter when that was its last delivery.
func TestDeathWithAnItem(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	for _, item := range []string{"a", "b", "c"} {
		if err := jobs.Put(t.Context(), pool, item); err != nil {
			t.Fatal(err)
		}
	}
	died(t, follow(t, pool, "get", "get", "die kill"))
	info, err := jobs.Info(t.Context(), pool)
	if info != (shared.QueueInfo{Queued: 3}) || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	said(t, follow(t, pool, "get"), "a#2") // not done, in peace
	said(t, follow(t, pool, "get", "done"), "b#2")
	letters, err := jobs.DeadLetters(t.Context(), pool)
	if len(letters) != 1 || letters[0].Value != "a" || letters[0].Deliveries != 2 || err != nil {
		t.Errorf("%+v, %v", letters, err)
	}
	join := make(chan error, 1)
	go func() { join <- jobs.Join(t.Context(), pool) }()
	died(t, follow(t, pool, "get", "die exit 3"))
	select {
	case err := <-join:
		t.Errorf("Join has ended, and an item is left: %v", err)
	default:
	}
	said(t, follow(t, pool, "get", "done"), "c#2")
	if err := <-join; err != nil {
		t.Error(err)
	}
}

// The same of several that were put, taken and done at a time: each goes its own way.
func TestDeathWithABatch(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	died(t, follow(t, pool, "put_all a,b,c,d,e", "die kill"))
	died(t, follow(t, pool, "get_many 2", "done_all", "get_many 2", "die kill"))
	info, err := jobs.Info(t.Context(), pool)
	if info != (shared.QueueInfo{Queued: 3}) || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	said(t, follow(t, pool, "get_many 10", "done_all"), "c#2 d#2 e#1")

	// One that waits for room for all dies, and nobody waits behind it.
	said(t, follow(t, pool, "put_all 1,2,3,4,5,6,7,8"), "")
	waits := follow(t, pool, "add", "put_all x,y,z")
	eventually(t, "it waits", func() bool { n, err := total.Value(t.Context(), pool); return n == 1 && err == nil })
	killIts(t, waits)
	died(t, waits)
	said(t, follow(t, pool, "put_all 9,10", "get_many 10", "done_all"), "1#1 2#1 3#1 4#1 5#1 6#1 7#1 8#1 9#1 10#1")
	if err := jobs.Join(t.Context(), pool); err != nil {
		t.Error(err)
	}
}

// Done that was acknowledged holds, whatever becomes of who has said it.
func TestDeathBehindDone(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for i := range 20 {
		if err := jobs.Put(t.Context(), pool, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		died(t, follow(t, pool, "get", "done", "add", "die kill"))
	}
	if err := jobs.Join(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if n, err := total.Value(t.Context(), pool); n != 20 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What the program lost is free, too, in a pool as inline.
func TestLostByTheProgram(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	if _, err := guard.Lock(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	waiting := follow(t, pool, "lock", "unlock")
	eventually(t, "somebody notices", func() bool { runtime.GC(); return waiting.State() == procpool.Done })
	said(t, waiting, "abandoned")
}

// share is what a host does whose workers hold and wait for things when it dies.
func share(ctx context.Context, pool *executor.Pool, dir string) {
	locked := filepath.Join(dir, "locked")
	steps.Submit(ctx, pool, []string{"lock", "mark " + locked, "sit " + filepath.Join(dir, "never")})
	if err := untilFile(ctx, locked); err != nil {
		fmt.Println(err)
	}
	waiting := filepath.Join(dir, "waiting")
	steps.Submit(ctx, pool, []string{"mark " + waiting, "lock"})
	if err := untilFile(ctx, waiting); err != nil {
		fmt.Println(err)
	}
	if _, err := jobs.TryGet(ctx, pool); err == nil || !strings.Contains(err.Error(), "wait") {
		fmt.Println(err)
	}
}
