package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// A pool keeps the crash of each attempt, its error names the folder, and the call
// can be run again from there: of a plain call, of the item of a Map.
func TestPoolKeepsCrashes(t *testing.T) {
	crashes := filepath.Join(t.TempDir(), "crashes")
	pool := newPool(t, executor.Config{CrashDir: crashes, CancelGrace: 20 * time.Millisecond})
	ledger := filepath.Join(t.TempDir(), "ledger")
	f := flaky.Submit(t.Context(), pool, trial{ledger, 9, "exit 3"}, procpool.Retries(1), soon)
	_, err := result(t, f)
	var last, first *procpool.CrashError
	if !errors.As(err, &last) || !errors.Is(err, procpool.ErrPoison) || !errors.As(f.Info().Failed[0].Err, &first) {
		t.Fatalf("%v", err)
	}
	if first.Dir == "" || last.Dir == "" || first.Dir == last.Dir {
		t.Errorf("the folders are %q and %q", first.Dir, last.Dir)
	}
	i := 0
	for _, err := range mayDie.Map(t.Context(), pool, slices.Values([]string{"none", "none", "exit 3", "none"})) {
		if i == 2 && !errors.As(err, &last) || i != 2 && err != nil {
			t.Errorf("item %d: %v", i, err)
		}
		i++
	}
	// A worker that is killed for a call that was given up has not crashed.
	_, err = result(t, flaky.Submit(t.Context(), pool, trial{ledger, 1, "deaf"}, procpool.Timeout(50*time.Millisecond)))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	eventually(t, "the worker is killed", func() bool { return pool.Stats().Killed == 1 })
	works(t, pool)
	entries, err := os.ReadDir(crashes)
	if err != nil || len(entries) != 3 {
		t.Errorf("%d folders, %v", len(entries), err)
	}
	_, err = executor.Replay(t.Context(), last.Dir)
	var again *procpool.CrashError
	if !errors.As(err, &again) || again.ExitCode != 3 || again.Task != "may_die" || again.Dir != "" {
		t.Errorf("replayed: %v", err)
	}
}

// A directory that can't hold crashes is refused by New.
func TestBadCrashDir(t *testing.T) {
	processes(t)
	file := filepath.Join(t.TempDir(), "file")
	open(t, file)
	_, err := executor.New(t.Context(), executor.Config{CrashDir: file})
	mustContain(t, err, "Config.CrashDir", file)
}
