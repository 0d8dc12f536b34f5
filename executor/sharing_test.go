package executor_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// #18-20, #39: a worker runs Concurrency calls at once, and no more.
func TestConcurrency(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, Concurrency: 3})
	fs, release := blockers(t, pool, 8)
	eventually(t, "six run", func() bool {
		n := 0
		for _, f := range fs {
			if f.State() == procpool.Started {
				n++
			}
		}
		return n == 6
	})
	if s := pool.Stats(); s.Running != 6 || s.Queued != 2 || s.Workers != 2 {
		t.Errorf("%+v", s)
	}
	release()
	for _, f := range fs {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	works(t, pool)
}

// Shared fate, said plainly: a crash fails all that ran in the worker, and nothing
// that ran elsewhere. Rule 6.4.
func TestConcurrencySharesFate(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2, Concurrency: 2})
	fs, release := blockers(t, pool, 3)
	for _, f := range fs {
		eventually(t, "it runs", func() bool { return f.State() == procpool.Started })
	}
	_, err := result(t, die.Submit(t.Context(), pool, "exit 3"))
	var crash *procpool.CrashError
	if !errors.As(err, &crash) || crash.Suspects != 2 {
		t.Fatalf("%v", err)
	}
	release()
	hurt := 0
	for _, f := range fs {
		if _, err := result(t, f); err != nil {
			hurt++
			if !errors.Is(err, procpool.ErrCrashed) || f.Info().PID != crash.PID {
				t.Errorf("%v in worker %d", err, f.Info().PID)
			}
		}
	}
	if hurt != 1 {
		t.Errorf("%d other calls failed, want the one in the same worker", hurt)
	}
	works(t, pool)
}

// #3-6: a call that does not stop has its worker retired first, and killed only when
// the others in it have ended. Rule 6.4.
func TestDeafNeighbour(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 2, CancelGrace: 20 * time.Millisecond, RetireGrace: longGrace})
	dir := t.TempDir()
	f := deaf.Submit(t.Context(), pool, filepath.Join(dir, "deaf"))
	fs, release := blockers(t, pool, 1)
	eventually(t, "both run", func() bool { return f.State() == procpool.Started && fs[0].State() == procpool.Started })
	f.Cancel()
	eventually(t, "its worker is retired and replaced", func() bool { s := pool.Stats(); return s.Retiring == 1 && s.Idle == 1 })
	works(t, pool)
	if s := pool.Stats(); s.Killed != 0 {
		t.Errorf("%+v", s)
	}
	release()
	if _, err := result(t, fs[0]); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
	eventually(t, "the worker is killed", func() bool { s := pool.Stats(); return s.Killed == 1 && s.Workers == 1 })
}

// The same where the neighbour does not end either: RetireGrace bounds its time.
func TestDeafNeighboursTimeIsBounded(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 2, CancelGrace: 20 * time.Millisecond, RetireGrace: 50 * time.Millisecond})
	f := deaf.Submit(t.Context(), pool, filepath.Join(t.TempDir(), "deaf"))
	fs, _ := blockers(t, pool, 1)
	eventually(t, "both run", func() bool { return f.State() == procpool.Started && fs[0].State() == procpool.Started })
	f.Cancel()
	if _, err := result(t, fs[0]); !errors.Is(err, procpool.ErrCrashed) {
		t.Errorf("%v", err)
	} else {
		mustContain(t, err, "given up", "killed")
	}
	works(t, pool)
}

// #61, T138: of the calls that wait the ones with the highest priority run first,
// and among those the one that came first.
func TestPriorities(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	fs, release := blockers(t, pool, 1)
	path := filepath.Join(t.TempDir(), "ledger")
	var want []string
	for _, p := range []int{0, -5, 7, 0, 100, 7} {
		fs = append(fs, ledger.Submit(t.Context(), pool, [2]string{path, fmt.Sprint(p, " ", len(fs))}, procpool.Priority(p)))
	}
	release()
	for _, f := range fs {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	want = []string{"100 5", "7 3", "7 6", "0 1", "0 4", "-5 2"}
	if got := lines(t, path); !slices.Equal(got, want) {
		t.Errorf("ran in the order %q, want %q", got, want)
	}
}

// #58-60: calls with the same key run in the same worker in order, until it dies;
// others use all workers.
func TestKeys(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 3})
	path := filepath.Join(t.TempDir(), "ledger")
	byFirst := ledger.KeyBy(func(entry [2]string) string { return entry[1][:1] })
	run := func(round int) map[string]int {
		fs := make(map[string][]*procpool.Future[int])
		for i := range 90 {
			key := string(rune('a' + i%9))
			fs[key] = append(fs[key], byFirst.Submit(t.Context(), pool, [2]string{path, fmt.Sprintf("%s %d %03d", key, round, i)}))
		}
		workers := make(map[string]int)
		for key, all := range fs {
			for _, f := range all {
				id, err := result(t, f)
				if err != nil || workers[key] != 0 && workers[key] != id {
					t.Errorf("key %s ran in %d and %d, %v", key, workers[key], id, err)
				}
				workers[key] = id
			}
		}
		return workers
	}
	first, second := run(1), run(2)
	for key, id := range first {
		if second[key] != id {
			t.Errorf("key %s moved from worker %d to %d although it lives", key, id, second[key])
		}
	}
	order := make(map[string]string)
	for _, line := range lines(t, path) {
		key := line[:1]
		if line <= order[key] {
			t.Errorf("%q ran behind %q", line, order[key])
		}
		order[key] = line
	}
	if err := pool.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	for key, id := range run(3) {
		if id == first[key] {
			t.Errorf("key %s runs in the dead worker %d", key, id)
		}
	}
	used := make(map[int]bool)
	for i := range 3 {
		path := filepath.Join(t.TempDir(), strconv.Itoa(i))
		f := gate.KeyBy(func(s string) string { return s }).Submit(t.Context(), pool, path)
		eventually(t, "each takes an idle worker", func() bool { return exists(path + ".started") })
		used[f.Info().PID] = true
		defer open(t, path)
	}
	if len(used) != 3 {
		t.Errorf("three keys use %d workers", len(used))
	}
}
