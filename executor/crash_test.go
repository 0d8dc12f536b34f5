package executor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T060, T062, T065, T068, T080, #27, #49: however a call ends its process, the
// error says how, and only that call is hurt.
func TestCrashCostsItsCallOnly(t *testing.T) {
	for _, c := range []struct {
		how, signal string
		code        int
		stderr      string
	}{
		{"exit 0", "", 0, ""},
		{"exit 3", "", 3, ""},
		{"kill", "SIGKILL", -1, ""},
		{"abort", "", 2, "SIGABRT"}, // the Go runtime prints its stacks and exits with 2
		{"segv", "", 2, "SIGSEGV"},
		{"term", "SIGTERM", -1, ""},
		{"goroutine panic", "", 2, "in a goroutine of the task"},
		{"stack", "", 2, "stack overflow"},
		{"throw", "", 2, "unlock of unlocked mutex"},
		{"stderr", "", 7, "the last words"},
	} {
		t.Run(c.how, func(t *testing.T) {
			pool := newPool(t, executor.Config{})
			path := filepath.Join(t.TempDir(), "gate")
			neighbour := gate.Submit(t.Context(), pool, path)
			eventually(t, "the neighbour runs", func() bool { return exists(path + ".started") })
			victim := die.Submit(t.Context(), pool, c.how)
			var behind []*procpool.Future[int]
			for i := range 20 {
				behind = append(behind, square.Submit(t.Context(), pool, i))
			}
			_, err := result(t, victim)
			var ce *procpool.CrashError
			if !errors.As(err, &ce) || !errors.Is(err, procpool.ErrCrashed) {
				t.Fatalf("%#v", err)
			}
			if ce.Task != "die" || ce.PID == 0 || ce.Worker == 0 || ce.Attempt != 1 || ce.Suspects != 1 || ce.Finished ||
				ce.ExitCode != c.code || ce.Signal != c.signal || ce.OOM != procpool.OOMNo {
				t.Errorf("%+v", ce)
			}
			if !strings.Contains(ce.Stderr, c.stderr) {
				t.Errorf("the end of stderr lacks %q:\n%s", c.stderr, ce.Stderr)
			}
			for i, f := range behind {
				if v, err := result(t, f); v != i*i || err != nil {
					t.Errorf("a call behind the crash: square(%d) = %d, %v", i, v, err)
				}
			}
			open(t, path)
			if _, err := result(t, neighbour); err != nil {
				t.Errorf("the neighbour: %v", err)
			}
			works(t, pool)
		})
	}
}

// T088, #74: an idle worker's death is noticed by nobody.
func TestIdleWorkersDeath(t *testing.T) {
	var exits atomic.Int32
	pool := newPool(t, executor.Config{Workers: 1, OnEvent: func(e executor.Event) {
		if e.Kind == executor.WorkerExited {
			exits.Add(1)
		}
	}})
	for round := range 5 {
		p, err := pid.Call(t.Context(), pool, struct{}{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := sendSignal(p, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the death is an event", func() bool { return int(exits.Load()) == round+1 })
	}
	works(t, pool)
	if s := pool.Stats(); s.Crashes != 0 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// The same, with the next call on its way at that moment: it is not lost.
func TestDeathBetweenCalls(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for range 30 {
		p, err := pid.Call(t.Context(), pool, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		_ = sendSignal(p, syscall.SIGKILL)
		if v, err := square.Call(t.Context(), pool, 6); err != nil && !errors.Is(err, procpool.ErrCrashed) || err == nil && v != 36 {
			t.Fatalf("square(6) = %d, %v", v, err)
		}
	}
	works(t, pool)
}

// Rule 6.2: a started call is never run twice, and one that had not started runs
// all the same, whatever dies meanwhile. The tasks themselves keep the ledger.
func TestLedgerOfCrashes(t *testing.T) {
	pool := newPool(t, executor.Config{})
	path := filepath.Join(t.TempDir(), "ledger")
	futures := make(map[string]*procpool.Future[int])
	var victims []*procpool.Future[int]
	for i := range 400 {
		name := strconv.Itoa(i)
		futures[name] = ledger.Submit(t.Context(), pool, [2]string{path, name})
		if i%40 == 20 {
			victims = append(victims, die.Submit(t.Context(), pool, "kill"))
		}
	}
	for _, f := range victims {
		if _, err := result(t, f); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("a call that kills its worker: %v", err)
		}
	}
	for name, f := range futures {
		if _, err := result(t, f); err != nil {
			t.Errorf("call %s: %v", name, err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runs := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		runs[strings.TrimSpace(line)]++
	}
	for name := range futures {
		if runs[name] != 1 {
			t.Errorf("call %s ran %d times", name, runs[name])
		}
	}
	works(t, pool)
}

// Rule 6.2: quick calls that were finished when a later one killed the worker keep
// their results, though they were answered together.
func TestFinishedNeighboursKeepTheirResults(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for range 2000 { // until the task is known to be quick
		if _, err := square.Call(t.Context(), pool, 1); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		var futures []*procpool.Future[int]
		path := filepath.Join(t.TempDir(), "gate")
		first := gate.Submit(t.Context(), pool, path)
		for i := range 100 {
			futures = append(futures, square.Submit(t.Context(), pool, i))
		}
		victim := die.Submit(t.Context(), pool, "kill")
		for i := range 100 {
			futures = append(futures, square.Submit(t.Context(), pool, i))
		}
		open(t, path)
		if _, err := result(t, first); err != nil {
			t.Fatal(err)
		}
		if _, err := result(t, victim); !errors.Is(err, procpool.ErrCrashed) {
			t.Fatal(err)
		}
		for i, f := range futures {
			if v, err := result(t, f); err != nil || v != (i%100)*(i%100) {
				t.Fatalf("square(%d) = %d, %v", i%100, v, err)
			}
		}
	}
}

// Map reports the item that crashed and goes on with the others, in their order.
func TestCrashInsideMap(t *testing.T) {
	pool := newPool(t, executor.Config{})
	const n = 3000
	kinds := func(yield func(string) bool) {
		for i := range n {
			how := "none"
			if i%500 == 250 {
				how = "kill"
			}
			if !yield(how) {
				return
			}
		}
	}
	i, crashed := 0, 0
	for v, err := range mayDie.Map(t.Context(), pool, kinds) {
		switch {
		case i%500 == 250:
			if !errors.Is(err, procpool.ErrCrashed) {
				t.Errorf("item %d: %d, %v", i, v, err)
			}
			crashed++
		case err != nil || v != 1:
			t.Errorf("item %d: %d, %v", i, v, err)
		}
		i++
	}
	if i != n || crashed != n/500 {
		t.Errorf("%d items, %d crashed", i, crashed)
	}
	works(t, pool)
}

// #29, rule 6.14: a call that takes more memory than it may dies of it, says so,
// and costs nothing else.
func TestMemoryLimit(t *testing.T) {
	limit := int64(512 << 20)
	if raceEnabled {
		limit = 2 << 30 // the race detector's own memory counts too
	}
	pool := newPool(t, executor.Config{MemoryLimit: limit})
	hungry := allocate.Submit(t.Context(), pool, int(limit+limit/4))
	modest := allocate.Submit(t.Context(), pool, 16<<20)
	_, err := result(t, hungry)
	var ce *procpool.CrashError
	if !errors.As(err, &ce) || ce.OOM == procpool.OOMNo {
		t.Errorf("%+v", err)
	}
	mustContain(t, err, "out of memory", `"allocate"`) // "likely", where the runtime fell over its own feet
	if _, err := result(t, modest); err != nil {
		t.Error(err)
	}
	works(t, pool)
}
