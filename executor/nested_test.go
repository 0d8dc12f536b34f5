package executor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// Tasks that wait for calls of their own do not wait for each other in a circle,
// however few workers there are. Rule 6.12.
func TestNestedRecursion(t *testing.T) {
	for _, cfg := range []executor.Config{{Workers: 1}, {Workers: 2}, {Workers: 2, Concurrency: 3}, {MinWorkers: 1, Workers: 3}} {
		t.Run(fmt.Sprint(cfg.MinWorkers, cfg.Workers, cfg.Concurrency), func(t *testing.T) {
			pool := newPool(t, cfg)
			if n, err := dive.Call(t.Context(), pool, 50); n != 50 || err != nil {
				t.Errorf("a recursion of depth 50 came to %d, %v", n, err)
			}
			if n, err := fib.Call(t.Context(), pool, 12); n != 144 || err != nil {
				t.Errorf("fib(12) = %d, %v", n, err)
			}
			// Beside other calls, and several at once.
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if n, err := fib.Call(t.Context(), pool, 8); n != 21 || err != nil {
						t.Errorf("fib(8) = %d, %v", n, err)
					}
				})
				wg.Go(func() {
					for v, err := range square.Map(t.Context(), pool, seqOf(200)) {
						if err != nil {
							t.Errorf("%d, %v", v, err)
						}
					}
				})
			}
			wg.Wait()
			s := pool.Stats()
			if s.Nested != 0 || s.Submitted != s.Succeeded {
				t.Errorf("%+v", s)
			}
		})
	}
}

func seqOf(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// Recycling and killing workers does not stop a recursion that is allowed to be run
// again, nor lose a slot.
func TestNestedWhileWorkersGo(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, MaxCalls: 7})
	if n, err := fib.Call(t.Context(), pool, 10); n != 55 || err != nil {
		t.Errorf("fib(10) = %d, %v", n, err)
	}
	if s := pool.Stats(); s.Starts < 177/7 {
		t.Errorf("no worker was replaced: %+v", s)
	}
}

// Depth of nested calls is bounded.
func TestNestingDepth(t *testing.T) {
	pool := newPool(t, executor.Config{NestingDepth: 5})
	if n, err := dive.Call(t.Context(), pool, 5); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	_, err := dive.Call(t.Context(), pool, 6)
	if !errors.Is(err, procpool.ErrNestingLimit) {
		t.Error(err)
	}
	mustContain(t, err, "NestingDepth", "5")
}

// The number of nested calls is bounded.
func TestNestedCalls(t *testing.T) {
	pool := newPool(t, executor.Config{NestedCalls: 3})
	dir := t.TempDir()
	f := within.Submit(t.Context(), pool, inner{Task: "gates", Arg: dir, N: 10})
	eventually(t, "two run", func() bool { return exists(filepath.Join(dir, "0.started")) })
	eventually(t, "three are there", func() bool { return pool.Stats().Nested == 3 })
	f.Cancel()
	works(t, pool)
}

// The errors of nested calls are in the task what they are in the program.
func TestNestedErrors(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, CancelGrace: 50 * time.Millisecond})
	for _, c := range []struct {
		in   inner
		want string
	}{
		{inner{Task: "fail", Arg: "sentinel"}, "task looking for it: no such thing true"},
		{inner{Task: "fail", Arg: "other"}, "task other false"},
		{inner{Task: "unserved"}, "unknown task"},
		{inner{Task: "stream", N: 1000}, "499500"},
		{inner{Task: "session", Arg: "abc"}, "> ABC"},
	} {
		if got, err := within.Call(t.Context(), pool, c.in); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c.in, got, err)
		}
	}
}

// A nested call that kills its worker, or runs too long, is an error for the task that
// made it, unless both are in one process; then the task dies with it.
func TestNestedCrash(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, CancelGrace: 50 * time.Millisecond})
	for _, in := range []inner{{Arg: "exit 3"}, {Task: "spin", Limit: 200 * time.Millisecond}} {
		want := "crash 3 "
		if in.Task == "spin" {
			want = "timeout"
		}
		got, err := within.Call(t.Context(), pool, in)
		if got != want && !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("%+v: %q, %v", in, got, err)
		}
		works(t, pool)
	}
	// It may be run again, by its own option, and then in a worker where nobody waits.
	// Only its first attempt can take its caller with it, if no other worker is there.
	ledger := filepath.Join(t.TempDir(), "ledger")
	again := []procpool.Option{procpool.Retries(10), procpool.Backoff(time.Second, time.Second)}
	got, err := within.Call(t.Context(), pool, inner{Task: "flaky", Arg: ledger, N: 2, Retries: 3}, again...)
	if !strings.HasPrefix(got, "fine") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	works(t, pool)
}

// Nested calls do not outlive the call that made them, whatever ends it.
func TestNestedEndWithTheirParent(t *testing.T) {
	for _, by := range []string{"return", "cancel", "crash"} {
		t.Run(by, func(t *testing.T) {
			pool := newPool(t, executor.Config{Workers: 2, Concurrency: 2})
			dir := t.TempDir()
			f := within.Submit(t.Context(), pool, inner{Task: "gates", Arg: dir, N: 20})
			eventually(t, "some run, others wait", func() bool {
				return exists(filepath.Join(dir, "0.started")) && pool.Stats().Nested == 20
			})
			switch by {
			case "return":
				open(t, filepath.Join(dir, "parent"))
				if _, err := result(t, f); err != nil {
					t.Error(err)
				}
			case "cancel":
				f.Cancel()
			case "crash":
				p := f.Info().PID
				if err := sendSignal(p, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				if _, err := result(t, f); !errors.Is(err, procpool.ErrCrashed) {
					t.Error(err)
				}
			}
			eventually(t, "none is left", func() bool { s := pool.Stats(); return s.Nested == 0 && s.Running == 0 && s.Queued == 0 })
			started, err := filepath.Glob(filepath.Join(dir, "*.started"))
			if err != nil || len(started) == 20 {
				t.Errorf("all were started: %v", err)
			}
			works(t, pool)
		})
	}
}

// An initializer can't wait for the workers that wait for it.
func TestInitializerMakesNoCalls(t *testing.T) {
	processes(t)
	_, err := executor.New(t.Context(), executor.Config{Workers: 1, Initializer: prepareNested.Bind(1)})
	mustContain(t, err, "prepare_nested", "initializer", "identity")
}

// A session and a stream make calls of the pool as other tasks do.
func TestNestedInSession(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for v, err := range delegate.All(t.Context(), pool, 5) {
		if err != nil || v != 5 {
			t.Errorf("%d, %v", v, err)
		}
	}
	works(t, pool)
}

// delegate yields what a nested call returns.
var delegate = procpool.DefineStream("delegate", delegates)

func TestNestedPriorities(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	dir := t.TempDir()
	hold := gate.Submit(t.Context(), pool, filepath.Join(dir, "hold"))
	eventually(t, "the worker is busy", func() bool { return exists(filepath.Join(dir, "hold.started")) })
	ledgerPath := filepath.Join(dir, "ledger")
	parent := writesNested.Submit(t.Context(), pool, ledgerPath, procpool.Priority(1))
	var others []*procpool.Future[int]
	for i := range 3 {
		others = append(others, ledger.Submit(t.Context(), pool, [2]string{ledgerPath, fmt.Sprint("top ", i)}))
	}
	open(t, filepath.Join(dir, "hold"))
	if _, err := result(t, hold); err != nil {
		t.Error(err)
	}
	if _, err := result(t, parent); err != nil {
		t.Error(err)
	}
	for _, f := range others {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	got := strings.Join(lines(t, ledgerPath), ", ")
	if got != "nested 0, nested 1, nested 2, top 0, top 1, top 2" {
		t.Errorf("they ran as %s", got)
	}
	if _, err := os.Stat(ledgerPath); err != nil {
		t.Error(err)
	}
}
