package executor_test

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// blockers submits so many calls that run until the returned function is called.
func blockers(t *testing.T, pool *executor.Pool, n int, opts ...procpool.Option) (fs []*procpool.Future[int], release func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	task := gate.With(opts...)
	for range n {
		fs = append(fs, task.Submit(t.Context(), pool, path))
	}
	return fs, func() { open(t, path) }
}

// T037, #22, #24: a pool grows when calls wait, up to Workers, and shrinks to
// MinWorkers when it idles. Rule 6.11.
func TestGrowsAndShrinks(t *testing.T) {
	events := newEventLog()
	pool := newPool(t, executor.Config{
		MinWorkers: 1, Workers: 4, GrowAfter: time.Millisecond, IdleTimeout: 200 * time.Millisecond, OnEvent: events.hear,
	})
	if s := pool.Stats(); s.Workers != 1 || s.Starting != 0 {
		t.Errorf("it begins with %+v", s)
	}
	fs, release := blockers(t, pool, 6)
	eventually(t, "it grows", func() bool { return pool.Stats().Busy == 4 })
	if s := pool.Stats(); s.Queued != 2 || s.Workers+s.Starting != 4 {
		t.Errorf("it has grown to %+v", s)
	}
	release()
	for _, f := range fs {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "it shrinks", func() bool { s := pool.Stats(); return s.Workers == 1 && s.Idle == 1 })
	for range 3 {
		if e, err := events.await(executor.WorkerRetired); err != nil || e.Reason != "idle" || e.Err != nil {
			t.Errorf("%+v, %v", e, err)
		}
	}
	works(t, pool)
}

// #38: a pool whose calls do not wait does not grow.
func TestDoesNotGrowForNothing(t *testing.T) {
	pool := newPool(t, executor.Config{MinWorkers: 1, Workers: 4, GrowAfter: time.Hour})
	for i := range 200 {
		if _, err := square.Call(t.Context(), pool, i); err != nil {
			t.Fatal(err)
		}
	}
	if s := pool.Stats(); s.Starts != 1 || s.Starting != 0 {
		t.Errorf("%+v", s)
	}
}

// #110: Resize waits for nobody, up or down, and costs no call.
func TestResize(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	fs, release := blockers(t, pool, 5)
	eventually(t, "both run", func() bool { return pool.Stats().Running == 2 })
	if err := pool.Resize(4); err != nil {
		t.Fatal(err)
	}
	eventually(t, "four run", func() bool { return pool.Stats().Running == 4 })
	if err := pool.Resize(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three retire", func() bool { s := pool.Stats(); return s.Retiring == 3 && s.Busy == 1 })
	release()
	for _, f := range fs {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "one is left", func() bool { s := pool.Stats(); return s.Workers == 1 && s.Idle == 1 })
	works(t, pool)
	for _, n := range []int{0, -1, 1 << 20} {
		mustContain(t, pool.Resize(n), "Resize("+strconv.Itoa(n)+")", "between 1 and")
	}
	pool.Close()
	if err := pool.Resize(3); err != nil {
		t.Error(err)
	}
}

// A rolling restart replaces every worker, the replacement first, while calls run,
// and loses none of them. Rule 6.11.
func TestRestart(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	before := pids(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	calls := make(chan error)
	go func() {
		defer close(calls)
		for i := 0; ctx.Err() == nil; i++ {
			if v, err := square.Call(t.Context(), pool, i); v != i*i || err != nil {
				calls <- err
			}
		}
	}()
	// One call runs on: its worker is not cut short.
	fs, release := blockers(t, pool, 1)
	eventually(t, "it runs", func() bool { return fs[0].State() == procpool.Started })
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	err := pool.Restart(short)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	mustContain(t, err, "the restart goes on")
	release()
	if id, err := result(t, fs[0]); err != nil || id != before[0] && id != before[1] {
		t.Errorf("the call that ran on: %d, %v", id, err)
	}
	if err := pool.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	for _, id := range pids(t, pool) {
		if id == before[0] || id == before[1] {
			t.Errorf("worker %d was not replaced", id)
		}
	}
	cancel()
	for err := range calls {
		t.Errorf("a call failed: %v", err)
	}
	if s := pool.Stats(); s.Crashes+s.Killed+s.Failed != 0 || s.Retired < 3 {
		t.Errorf("%+v", s)
	}
	pool.Close()
	if err := pool.Restart(t.Context()); err == nil {
		t.Error("a closed pool was restarted")
	}
}

// A spare takes a dead worker's place at once, and is itself replaced. T088, #74:
// nobody hears of an idle worker's death.
func TestSpares(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Spares: 1})
	ready := func() bool { s := pool.Stats(); return s.Idle == 1 && s.Spares == 1 && s.Starting == 0 }
	for round := range 5 {
		eventually(t, "the spare is ready", ready)
		before := pool.Stats().Starts
		if _, err := die.Call(t.Context(), pool, "kill"); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("%v", err)
		}
		f := square.Submit(t.Context(), pool, round)
		if v, err := result(t, f); v != round*round || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		if worker := f.Info().Worker; uint64(worker) > before {
			t.Errorf("round %d: worker %d served the call, which was no spare", round, worker)
		}
	}
	eventually(t, "the pool is whole", ready)
}

// T119, T120, #40, #75, #76: a worker runs MaxCalls calls at the most, and its
// recycling costs no call. Rule 6.11.
func TestMaxCalls(t *testing.T) {
	for _, most := range []int{1, 2, 7} {
		t.Run(strconv.Itoa(most), func(t *testing.T) {
			events := newEventLog()
			pool := newPool(t, executor.Config{MaxCalls: most, OnEvent: events.hear})
			const calls = 100
			var fs []*procpool.Future[int]
			for range calls {
				fs = append(fs, pid.Submit(t.Context(), pool, struct{}{}))
			}
			runs := make(map[int]int)
			for _, f := range fs {
				id, err := result(t, f)
				if err != nil {
					t.Fatal(err)
				}
				runs[id]++
			}
			for id, n := range runs {
				if n > most {
					t.Errorf("worker %d ran %d calls", id, n)
				}
			}
			if e, err := events.await(executor.WorkerRetired); err != nil || e.Reason != "calls" {
				t.Errorf("%+v, %v", e, err)
			}
			if s := pool.Stats(); s.Crashes+s.Killed+s.Failed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// #86, #89: a worker is replaced for its age, and its call is not cut short.
func TestMaxAge(t *testing.T) {
	events := newEventLog()
	pool := newPool(t, executor.Config{Workers: 1, MaxAge: 100 * time.Millisecond, OnEvent: events.hear})
	fs, release := blockers(t, pool, 1)
	eventually(t, "its replacement serves", func() bool { return pool.Stats().Retiring >= 1 })
	if v, err := result(t, square.Submit(t.Context(), pool, 5)); v != 25 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	release()
	if _, err := result(t, fs[0]); err != nil {
		t.Error(err)
	}
	if e, err := events.await(executor.WorkerRetired); err != nil || e.Reason != "age" {
		t.Errorf("%+v, %v", e, err)
	}
}
