package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

func patienceOf(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

// follow has the pool take steps.
func follow(t *testing.T, pool procpool.Executor, in ...string) *procpool.Future[string] {
	t.Helper()
	return steps.Submit(t.Context(), pool, in)
}

// said fails the test unless steps ended well, having said that.
func said(t *testing.T, f *procpool.Future[string], want string) {
	t.Helper()
	if got, err := result(t, f); got != want || err != nil {
		t.Errorf("the steps said %q, %v; want %q", got, err, want)
	}
}

// free fails the test unless the lock is free at this moment, and was abandoned or not.
func free(t *testing.T, pool procpool.Executor, abandoned bool) {
	t.Helper()
	held, err := guard.TryLock(t.Context(), pool)
	if err != nil {
		t.Errorf("the lock is not free: %v", err)
		return
	}
	if held.Abandoned() != abandoned {
		t.Errorf("the lock was abandoned: %v, want %v", held.Abandoned(), abandoned)
	}
	held.Unlock()
}

// taken fails the test unless somebody holds the lock.
func taken(t *testing.T, pool procpool.Executor) {
	t.Helper()
	if _, err := guard.TryLock(t.Context(), pool); !errors.Is(err, shared.ErrWouldBlock) {
		t.Errorf("the lock was to be held: %v", err)
	}
}

// Program and tasks use the same objects under the same names, and count exactly.
func TestSharedByProgramAndTasks(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, Concurrency: 2})
	path := filepath.Join(t.TempDir(), "number")
	if err := os.WriteFile(path, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	const each = 100
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range each {
				err := guard.Do(t.Context(), pool, func(context.Context) error {
					_, err := tallyOne(path)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := total.Add(t.Context(), pool, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var calls []*procpool.Future[int]
	var adds []*procpool.Future[string]
	for range each {
		calls = append(calls, tally.Submit(t.Context(), pool, path))
		adds = append(adds, follow(t, pool, "add", "add", "add"))
	}
	for i := range calls {
		if _, err := result(t, calls[i]); err != nil {
			t.Error(err)
		}
		said(t, adds[i], "")
	}
	wg.Wait()
	if b, err := os.ReadFile(path); string(b) != strconv.Itoa(3*each) || err != nil {
		t.Errorf("%s, %v; want %d", b, err, 3*each)
	}
	if n, err := total.Value(t.Context(), pool); n != 5*each || err != nil {
		t.Errorf("%d, %v; want %d", n, err, 5*each)
	}
	if s := pool.Stats(); s.Submitted != 2*each || s.Failed != 0 {
		t.Errorf("operations count as calls: %+v", s)
	}
}

// What a task does not unlock is free when its future is resolved by its end, not later,
// and the next is told.
func TestLockEndsWithItsCall(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for range 50 {
		said(t, follow(t, pool, "lock", "unlock"), "")
		free(t, pool, false)
		said(t, follow(t, pool, "lock"), "")
		free(t, pool, true)
		said(t, follow(t, pool, "lock"), "")
		said(t, follow(t, pool, "lock", "unlock", "lock"), "abandoned")
		said(t, follow(t, pool, "lock", "unlock", "acquire"), "abandoned")
		said(t, follow(t, pool, "acquire", "release", "acquire"), "abandoned")
		said(t, follow(t, pool, "acquire", "release"), "abandoned")
	}
}

// A call that was given up keeps its lock for as long as it runs: to its return, or to
// the death of its process.
func TestLockOfACancelledCall(t *testing.T) {
	dir := t.TempDir()
	locked, goOn := filepath.Join(dir, "locked"), filepath.Join(dir, "go on")
	t.Run("it returns", func(t *testing.T) {
		pool := newPool(t, executor.Config{Workers: 1, CancelGrace: time.Hour})
		f := follow(t, pool, "lock", "mark "+locked, "sit "+goOn)
		eventually(t, "it has the lock", func() bool { return exists(locked) })
		f.Cancel()
		if _, err := result(t, f); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		taken(t, pool)
		// While it waits there, another waits for the lock, in the program.
		next := make(chan bool, 1)
		go func() {
			held, err := guard.Lock(t.Context(), pool)
			next <- err == nil && held.Abandoned()
			if err == nil {
				held.Unlock()
			}
		}()
		taken(t, pool)
		open(t, goOn)
		if !<-next {
			t.Error("the next holder was not told")
		}
		works(t, pool)
	})
	t.Run("it is killed", func(t *testing.T) {
		pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 200 * time.Millisecond})
		at := filepath.Join(dir, "locked again")
		f := follow(t, pool, "lock", "mark "+at, "sit "+filepath.Join(dir, "never"))
		eventually(t, "it has the lock", func() bool { return exists(at) })
		f.Cancel()
		held, err := guard.Lock(t.Context(), pool)
		if err != nil || !held.Abandoned() {
			t.Fatalf("%v", err)
		}
		if s := pool.Stats(); s.Killed != 1 {
			t.Errorf("it was free before its process was dead: %+v", s)
		}
		held.Unlock()
		works(t, pool)
	})
}

// A task whose call was given up can still put things in order.
func TestUnlockWhenGivenUp(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: time.Hour})
	dir := t.TempDir()
	locked, goOn := filepath.Join(dir, "locked"), filepath.Join(dir, "go on")
	f := follow(t, pool, "lock", "mark "+locked, "sit "+goOn, "unlock")
	eventually(t, "it has the lock", func() bool { return exists(locked) })
	f.Cancel()
	open(t, goOn)
	held, err := guard.Lock(t.Context(), pool)
	if err != nil || held.Abandoned() {
		t.Errorf("%v, %+v", err, held)
	}
}

// Tasks that wait for the lock, or for an item, leave the workers to those that will
// give it to them.
func TestWaitingTasksLendTheirSlot(t *testing.T) {
	for _, cfg := range []executor.Config{{Workers: 1}, {Workers: 2, Concurrency: 2}} {
		t.Run(fmt.Sprint(cfg.Workers, cfg.Concurrency), func(t *testing.T) {
			pool := newPool(t, cfg)
			var consumers []*procpool.Future[string]
			for range 20 {
				consumers = append(consumers, follow(t, pool, "get", "done"))
			}
			for i := range 20 {
				said(t, follow(t, pool, fmt.Sprint("put ", i)), "")
			}
			got := make(map[string]bool)
			for _, f := range consumers {
				item, err := result(t, f)
				if got[item] || err != nil {
					t.Errorf("%q, %v", item, err)
				}
				got[item] = true
			}
			// The program holds a lock that tasks wait for, and calls other tasks.
			held, err := guard.Lock(t.Context(), pool)
			if err != nil {
				t.Fatal(err)
			}
			var waiting []*procpool.Future[string]
			for range 10 {
				waiting = append(waiting, follow(t, pool, "lock", "unlock"))
			}
			works(t, pool)
			held.Unlock()
			for _, f := range waiting {
				said(t, f, "")
			}
			works(t, pool)
		})
	}
}

// The time in which a task waits is not run time, and its own context ends the wait.
func TestWaitsAndTime(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	held, err := guard.Lock(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	limited := steps.Submit(t.Context(), pool, []string{"lock", "unlock"}, procpool.Timeout(300*time.Millisecond))
	short := follow(t, pool, "patience 100ms", "lock")
	if _, err := result(t, short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	mustContain(t, func() error { _, err := result(t, short); return err }(), `mutex "guard" was not locked`, "deadline")
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if _, err := guard.Lock(ctx, pool); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if limited.State() == procpool.Done {
		_, err := result(t, limited)
		t.Errorf("the call that waits has ended: %v", err)
	}
	held.Unlock()
	said(t, limited, "")
	free(t, pool, false)
}

// That is so also for a call that keeps its slot while it waits, since another goes on.
func TestWaitThatKeepsItsSlot(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	dir := t.TempDir()
	busy := gate.Submit(t.Context(), pool, filepath.Join(dir, "gate"))
	eventually(t, "the other one runs", func() bool { return exists(filepath.Join(dir, "gate.started")) })
	held, err := guard.Lock(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	limited := steps.Submit(t.Context(), pool, []string{"lock", "unlock"}, procpool.Timeout(150*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // it lends its slot meanwhile
	defer cancel()
	if _, err := guard.Lock(ctx, pool); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	held.Unlock()
	said(t, limited, "")
	open(t, filepath.Join(dir, "gate"))
	if _, err := result(t, busy); err != nil {
		t.Error(err)
	}
}

// Who gives up in the moment in which he gets it does not keep it.
func TestLockGivenUpJustThen(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	var calls []*procpool.Future[string]
	for i := range 400 {
		calls = append(calls, follow(t, pool, fmt.Sprintf("patience %dus", 10*(i%60)), "lock", "unlock"))
	}
	in := 0
	for _, f := range calls {
		_, err := result(t, f)
		if err == nil {
			in++
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	t.Logf("%d of %d got the lock", in, len(calls))
	free(t, pool, false)
}

// A session, an initializer and nested calls use the same state.
func TestSharedElsewhere(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Initializer: initialStep.Bind([]string{"lock", "put from the initializer"})})
	free(t, pool, true)
	talk := stepsBeside.Open(t.Context(), pool, []string{"lock", "get", "done"})
	defer talk.Close()
	got, err := talk.Recv(t.Context())
	if got != "from the initializer#1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	<-talk.Done()
	free(t, pool, true)
	if n, err := total.Value(t.Context(), pool); n < 2 || err != nil {
		t.Errorf("%d processes have counted: %v", n, err)
	}
	works(t, pool)
}

// Errors mean the same to tasks and to the program.
func TestSharedErrors(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxPayload: 1 << 20})
	if err := jobs.Put(t.Context(), pool, strings.Repeat("x", 1<<20)); !errors.Is(err, procpool.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := result(t, follow(t, pool, fmt.Sprint("put_large ", 1<<20))); !errors.Is(err, procpool.ErrTooLarge) {
		t.Error(err)
	}
	said(t, follow(t, pool, fmt.Sprint("put_large ", 1<<20-200)), "")
	if err := jobs.Close(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if _, err := result(t, follow(t, pool, "put a")); !errors.Is(err, shared.ErrQueueClosed) {
		t.Error(err)
	}
	if _, err := result(t, follow(t, pool, "get", "done", "done")); !errors.Is(err, shared.ErrNotHeld) {
		t.Error(err)
	}
	if _, err := shared.DefineCounter("jobs").Add(t.Context(), pool, 1); !errors.Is(err, shared.ErrMismatch) {
		t.Error(err)
	}
	works(t, pool)
}

// Shared state lives as long as the pool: it serves those who run while the pool shuts
// down, and then all waits end.
func TestSharedAtTheEnd(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	consumer := follow(t, pool, "add", "get", "done", "get")
	eventually(t, "it runs", func() bool { n, err := total.Value(t.Context(), pool); return n == 1 && err == nil })
	ended := make(chan error, 1)
	go func() { ended <- pool.Shutdown(context.Background()) }()
	eventually(t, "no more calls are taken", func() bool {
		_, err := square.Call(t.Context(), pool, 1)
		return errors.Is(err, procpool.ErrClosed)
	})
	if err := jobs.Put(t.Context(), pool, "late"); err != nil {
		t.Error(err)
	}
	if err := jobs.Join(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if err := jobs.Close(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if got, err := result(t, consumer); !errors.Is(err, shared.ErrQueueClosed) {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := guard.Lock(t.Context(), pool); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
}

// Close ends whoever waits.
func TestCloseEndsWaits(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	held, err := guard.Lock(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock() // so that it is kept
	said(t, follow(t, pool, "put a"), "")
	waits := make(chan error, 3)
	go func() { _, err := guard.Lock(t.Context(), pool); waits <- err }()
	go func() { waits <- jobs.Join(t.Context(), pool) }()
	go func() { _, err := slots.Acquire(t.Context(), pool, 2); waits <- err }()
	task := follow(t, pool, "add", "lock")
	eventually(t, "the task runs", func() bool { n, err := total.Value(t.Context(), pool); return n == 1 && err == nil })
	if err := <-waits; err != nil { // that of the semaphore
		t.Error(err)
	}
	pool.Close()
	for range 2 {
		if err := <-waits; !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := result(t, task); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
}
