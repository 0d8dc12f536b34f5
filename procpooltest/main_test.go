package procpooltest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/procpooltest"
)

// innerEnv has TestInner do something in a run of the test binary by a test.
const innerEnv = "INNER_RUN_OF_PROCPOOLTEST"

var (
	pid = procpool.Define("pid", func(context.Context, int) (int, error) { return os.Getpid(), nil })

	racy = procpool.Define("racy", func(context.Context, int) (int, error) {
		n := 0
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { n++ })
		}
		both.Wait()
		return n, nil
	})

	settings = procpool.Define("settings", func(context.Context, int) (string, error) { return os.Getenv("GORACE"), nil })
)

func TestMain(m *testing.M) { procpooltest.Main(m, pid, racy, settings) }

// processes is called first by tests that start processes. They leave nothing
// behind, and are not run with -short, which is for what takes milliseconds.
func processes(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	procpooltest.NoOrphans(t)
}

func TestMainStartsRealWorkers(t *testing.T) {
	processes(t)
	pool, err := executor.New(t.Context(), executor.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got, err := pid.Call(t.Context(), pool, 0); err != nil || got == os.Getpid() {
		t.Errorf("the task ran in process %d, this is %d, error %v", got, os.Getpid(), err)
	}
}

// TestInner is run by the tests below in a program of its own.
func TestInner(t *testing.T) {
	what := os.Getenv(innerEnv)
	if what == "" {
		return
	}
	pool, err := executor.New(t.Context(), executor.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	switch what {
	case "race":
		_, err = racy.Call(t.Context(), pool, 0)
	case "settings":
		var s string
		s, err = settings.Call(t.Context(), pool, 0)
		fmt.Printf("GORACE=%s\n", s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func runInner(t *testing.T, what string, env ...string) (output string, err error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestInner$", "-test.count=1")
	cmd.Env = append(append(os.Environ(), innerEnv+"="+what), env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func TestMainFailsWhenAWorkerRaces(t *testing.T) {
	processes(t)
	output, err := runInner(t, "race")
	if !procpooltest.RaceEnabled {
		if err != nil {
			t.Errorf("without the race detector: %v\n%s", err, output)
		}
		return
	}
	if err == nil || !strings.Contains(output, "data race in worker process") || !strings.Contains(output, "WARNING: DATA RACE") {
		t.Errorf("the run ended with %v and printed:\n%s", err, output)
	}
	if !strings.Contains(output, "main_test.go") {
		t.Errorf("the report does not say where:\n%s", output)
	}
}

func TestMainKeepsTheUsersRaceSettings(t *testing.T) {
	processes(t)
	output, err := runInner(t, "settings", "GORACE=atexit_sleep_ms=7")
	if err != nil || !strings.Contains(output, "GORACE=atexit_sleep_ms=7") {
		t.Errorf("error %v, printed:\n%s", err, output)
	}
	if procpooltest.RaceEnabled != strings.Contains(output, "log_path=") {
		t.Errorf("the place for reports, with the race detector %v:\n%s", procpooltest.RaceEnabled, output)
	}
}
