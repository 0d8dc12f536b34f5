package executor_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T091, #46, #85: a Timeout counts the run time alone; the future gets its error at
// once, a task that heeds its context keeps its worker, one that does not loses it.
// Rule 6.4.
func TestTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		task *procpool.Func[string, int]
		kept bool
	}{"polite": {gate, true}, "deaf": {deaf, false}} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 50 * time.Millisecond})
			before, err := pid.Call(t.Context(), pool, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			const limit = 200 * time.Millisecond
			path := filepath.Join(t.TempDir(), "gate")
			f := test.task.Submit(t.Context(), pool, path, procpool.Timeout(limit))
			began := time.Now()
			// It has waited in the queue for as long as the one before it ran.
			behind := square.Submit(t.Context(), pool, 3, procpool.Timeout(limit/2))
			_, err = result(t, f)
			if took := time.Since(began); took < limit {
				t.Errorf("it was over after %v, before its time", took)
			}
			var te *procpool.TimeoutError
			if !errors.As(err, &te) || te.Task != test.task.Name() || te.Limit != limit || te.Attempt != 1 ||
				!errors.Is(err, context.DeadlineExceeded) || errors.Is(err, procpool.ErrCrashed) {
				t.Errorf("%v", err)
			}
			if v, err := result(t, behind); v != 9 || err != nil {
				t.Errorf("the call behind it: %d, %v", v, err)
			}
			after, err := pid.Call(t.Context(), pool, struct{}{})
			if err != nil || (after == before) != test.kept {
				t.Errorf("worker %d, then %d, %v", before, after, err)
			}
			s := pool.Stats()
			if s.TimedOut != 1 || s.Failed != 1 || s.Crashes != 0 || (s.Killed == 0) != test.kept {
				t.Errorf("%+v", s)
			}
		})
	}
}

// T094, #46: each item of a Map has its own time, and the iteration goes on.
func TestTimeoutInsideMap(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: 50 * time.Millisecond})
	in := func(yield func(trial) bool) {
		for i := range 60 {
			how := trial{Ledger: filepath.Join(t.TempDir(), "ledger")}
			if i%20 == 7 {
				how.Times, how.How = 1, "timeout"
			}
			if i == 30 {
				how.Times, how.How = 1, "deaf"
			}
			if !yield(how) {
				return
			}
		}
	}
	i := 0
	for attempt, err := range flaky.With(procpool.Timeout(150*time.Millisecond)).Map(t.Context(), pool, in) {
		var te *procpool.TimeoutError
		if slow := i%20 == 7 || i == 30; slow != errors.As(err, &te) || !slow && (attempt != 1 || err != nil) {
			t.Errorf("item %d: %d, %v", i, attempt, err)
		}
		i++
	}
	if i != 60 {
		t.Errorf("%d items came", i)
	}
}

// A timeout is run again only where its caller says so, and only once the attempt
// before has ended.
func TestTimeoutIsRetried(t *testing.T) {
	for _, how := range []string{"timeout", "deaf"} {
		t.Run(how, func(t *testing.T) {
			pool := newPool(t, executor.Config{Workers: 2, CancelGrace: 50 * time.Millisecond})
			path := filepath.Join(t.TempDir(), "ledger")
			again := flaky.With(procpool.Timeout(100*time.Millisecond), procpool.Retries(3), procpool.Backoff(time.Millisecond, time.Millisecond))
			_, err := result(t, again.Submit(t.Context(), pool, trial{path, 1, how}))
			var te *procpool.TimeoutError
			if !errors.As(err, &te) {
				t.Errorf("without RetryOn: %v", err)
			}
			f := again.Submit(t.Context(), pool, trial{path, 2, how}, procpool.RetryOn(procpool.TimeoutFailure, nil))
			if attempt, err := result(t, f); attempt != 3 || err != nil {
				t.Errorf("%d, %v", attempt, err)
			}
			info := f.Info()
			if info.Attempts != 3 || len(info.Failed) != 2 || !errors.As(info.Failed[1].Err, &te) || te.Attempt != 2 {
				t.Errorf("%+v", info)
			}
		})
	}
}
