package executor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// soon makes re-runs come quickly.
var soon = procpool.Backoff(time.Millisecond, 5*time.Millisecond)

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// #63, #103, T138: a call is run again after crashes when its caller permits that,
// as often as that says, and every attempt can be seen. Rule 6.3.
func TestRetriesAfterCrashes(t *testing.T) {
	for name, test := range map[string]struct {
		opts  []procpool.Option
		dies  int
		runs  int
		fails bool
	}{
		"never":            {nil, 1, 1, true},
		"idempotent":       {[]procpool.Option{procpool.Idempotent()}, 2, 3, false},
		"idempotent, worn": {[]procpool.Option{procpool.Idempotent()}, 3, 3, true},
		"five times":       {[]procpool.Option{procpool.Retries(5)}, 5, 6, false},
		"forbidden again":  {[]procpool.Option{procpool.Idempotent(), procpool.Retries(0)}, 1, 1, true},
		"not for a crash": {
			[]procpool.Option{procpool.Retries(3), procpool.RetryOn(procpool.CrashFailure, func(err error) bool {
				var crash *procpool.CrashError
				return errors.As(err, &crash) && crash.ExitCode != 3
			})}, 1, 1, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, executor.Config{})
			path := filepath.Join(t.TempDir(), "ledger")
			f := flaky.Submit(t.Context(), pool, trial{path, test.dies, "exit 3"}, append(test.opts, soon)...)
			attempt, err := result(t, f)
			if got := len(lines(t, path)); got != test.runs {
				t.Errorf("it ran %d times, want %d", got, test.runs)
			}
			info := f.Info()
			if info.Attempts != test.runs || len(info.Failed) != test.runs-1 {
				t.Errorf("%+v", info)
			}
			for i, a := range info.Failed {
				var crash *procpool.CrashError
				if !errors.As(a.Err, &crash) || crash.Attempt != i+1 || crash.ExitCode != 3 || a.PID != crash.PID || a.Worker == 0 || a.Run <= 0 {
					t.Errorf("attempt %d: %+v", i+1, a)
				}
			}
			if !test.fails {
				if attempt != test.runs || err != nil {
					t.Errorf("%d, %v", attempt, err)
				}
				return
			}
			var crash *procpool.CrashError
			if !errors.As(err, &crash) || crash.Attempt != test.runs || !errors.Is(err, procpool.ErrCrashed) {
				t.Errorf("%v", err)
			}
			if poison := errors.Is(err, procpool.ErrPoison); poison != (test.runs > 1) {
				t.Errorf("poison: %v in %v", poison, err)
			}
			works(t, pool)
		})
	}
}

// Items of a Map are run again one by one; those beside them are not.
func TestRetriesInsideMap(t *testing.T) {
	pool := newPool(t, executor.Config{})
	dir := t.TempDir()
	const items = 300
	in := func(yield func(trial) bool) {
		for i := range items {
			how := trial{Ledger: filepath.Join(dir, "calm"), How: "kill"}
			if i%50 == 20 {
				how.Ledger, how.Times = filepath.Join(dir, "wild"), 2
			}
			if !yield(how) {
				return
			}
		}
	}
	i := 0
	for attempt, err := range flaky.With(procpool.Idempotent(), soon).Map(t.Context(), pool, in) {
		want := 1
		if i%50 == 20 {
			want = 3
		}
		if attempt != want || err != nil {
			t.Errorf("item %d: attempt %d, %v", i, attempt, err)
		}
		i++
	}
	if calm, wild := len(lines(t, filepath.Join(dir, "calm"))), len(lines(t, filepath.Join(dir, "wild"))); calm != items-6 || wild != 18 {
		t.Errorf("%d calm and %d wild runs", calm, wild)
	}
	if s := pool.Stats(); s.Retried != 12 || s.Crashes != 12 || s.Succeeded != items || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// A task's own failure is run again where its caller says so.
func TestRetriesAfterTaskFailures(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	path := filepath.Join(t.TempDir(), "ledger")
	before, _ := pid.Call(t.Context(), pool, struct{}{})
	again := flaky.With(procpool.Retries(3), soon)
	if _, err := again.Call(t.Context(), pool, trial{path, 1, "error"}); !errors.Is(err, errNoSuchThing) {
		t.Errorf("without RetryOn: %v", err)
	}
	again = again.With(procpool.RetryOn(procpool.TaskFailure, func(err error) bool { return errors.Is(err, errNoSuchThing) }))
	if attempt, err := again.Call(t.Context(), pool, trial{path, 2, "error"}); attempt != 3 || err != nil {
		t.Errorf("%d, %v", attempt, err)
	}
	_, err := again.Call(t.Context(), pool, trial{path, 9, "error"})
	if !errors.Is(err, errNoSuchThing) || errors.Is(err, procpool.ErrPoison) {
		t.Errorf("%v", err)
	}
	mustContain(t, err, "attempt 4")
	if after, _ := pid.Call(t.Context(), pool, struct{}{}); after != before {
		t.Errorf("the worker was replaced: %d, then %d", before, after)
	}
}

// Rule 6.3: where several calls ran in the worker that died, each that may be run
// again is run alone, so the innocent finish and the culprit is found.
func TestSuspectsRunAlone(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 4})
	dir := t.TempDir()
	innocent := gate.With(procpool.Idempotent(), soon)
	var fs []*procpool.Future[int]
	for _, name := range []string{"a", "b"} {
		fs = append(fs, innocent.Submit(t.Context(), pool, filepath.Join(dir, name)))
		eventually(t, "it runs", func() bool { return exists(filepath.Join(dir, name+".started")) })
	}
	once := gate.Submit(t.Context(), pool, filepath.Join(dir, "once"))
	eventually(t, "it runs", func() bool { return exists(filepath.Join(dir, "once.started")) })
	culprit := flaky.Submit(t.Context(), pool, trial{filepath.Join(dir, "ledger"), 9, "kill"}, procpool.Idempotent(), soon)

	var crash *procpool.CrashError
	if _, err := result(t, once); !errors.As(err, &crash) || crash.Suspects != 4 {
		t.Errorf("what may not be run again: %v", err)
	}
	open(t, filepath.Join(dir, "a"))
	open(t, filepath.Join(dir, "b"))
	for _, f := range fs {
		if _, err := result(t, f); err != nil || f.Info().Attempts != 2 {
			t.Errorf("an innocent call: %v, %+v", err, f.Info())
		}
	}
	if _, err := result(t, culprit); !errors.Is(err, procpool.ErrPoison) || !errors.As(err, &crash) || crash.Suspects != 1 {
		t.Errorf("the culprit: %v", err)
	}
	works(t, pool)
}
