package executor_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// A pool keeps the crash of each attempt, its error names the folder, and the call
// can be run again from there: of a plain call, of the item of a Map.
func TestPoolKeepsCrashes(t *testing.T) {
	crashes := filepath.Join(t.TempDir(), "crashes")
	pool := newPool(t, executor.Config{CrashDir: crashes})
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
