package executor_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// Rule 6.14: a worker that has used up its processor time is ended by the kernel, and
// the error says so.
func TestCPULimit(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CPULimit: time.Second})
	_, err := result(t, burn.Submit(t.Context(), pool, patience))
	if !errors.Is(err, procpool.ErrCrashed) {
		t.Fatalf("%v", err)
	}
	mustContain(t, err, "processor time")
	works(t, pool)
}

// A worker can't open more files than it may.
func TestOpenFiles(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, OpenFiles: 64})
	if _, err := openMany.Call(t.Context(), pool, 20); err != nil {
		t.Errorf("%v", err)
	}
	_, err := openMany.Call(t.Context(), pool, 64)
	mustContain(t, err, "too many open files")
	works(t, pool)
}

// #34: niceness holds for every thread of a worker, whatever starts it.
func TestNice(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Nice: 7})
	id, err := pid.Call(t.Context(), pool, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	for thread, nice := range niceOfThreads(t, id) {
		if nice != 7 {
			t.Errorf("thread %s has niceness %d", thread, nice)
		}
	}
}

// niceOfThreads returns the niceness of each thread of a process.
func niceOfThreads(t *testing.T, pid int) map[string]int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	nice := make(map[string]int)
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, thread.Name()))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		n, err := strconv.Atoi(strings.Fields(rest)[16])
		if err != nil {
			t.Fatal(err)
		}
		nice[thread.Name()] = n
	}
	if len(nice) == 0 {
		t.Fatal("no thread was seen")
	}
	return nice
}

// T123, #41, #88: a worker is replaced after the reply when it uses too much memory,
// or has grown too much.
func TestMemoryRecycling(t *testing.T) {
	for name, cfg := range map[string]executor.Config{
		"limit":  {SoftMemoryLimit: 200 << 20},
		"growth": {MaxMemoryGrowth: 64 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			events := newEventLog()
			cfg.Workers, cfg.OnEvent = 1, events.hear
			pool := newPool(t, cfg)
			if _, err := leak.Call(t.Context(), pool, 1); err != nil {
				t.Fatal(err)
			}
			var before int
			eventually(t, "the worker has leaked and is replaced", func() bool {
				id, err := leak.Call(t.Context(), pool, 16<<20)
				if err != nil {
					t.Fatal(err)
				}
				old := before
				before = id
				return old != 0 && old != id
			})
			if e, err := events.await(executor.WorkerRetired); err != nil || e.Reason != "memory" {
				t.Errorf("%+v, %v", e, err)
			}
			if s := pool.Stats(); s.Crashes+s.Killed+s.Failed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
