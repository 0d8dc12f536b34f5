package procpooltest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/workerproc"
)

// Main runs a package's tests so that they can start pools whose workers are the
// test program itself. Call it from TestMain with the tasks that the tests call;
// it does not return.
//
//	func TestMain(m *testing.M) { procpooltest.Main(m, Square, Decode) }
//
// It is workerproc.Init for tests. With the race detector on it has the workers
// report data races to a file, and the run fails with their reports if there is
// any: without it a race in a worker would pass for a crash, or for nothing.
func Main(m *testing.M, tasks ...procpool.Task) {
	workerproc.Init(tasks...)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !raceDetector {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "procpooltest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "procpooltest.Main: no place for the reports of data races:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The detector reads it when a process starts, so this one is not affected.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" log_path="+filepath.Join(dir, "race")); err != nil {
		fmt.Fprintln(os.Stderr, "procpooltest.Main:", err)
		return 1
	}
	code := m.Run()
	reports, _ := filepath.Glob(filepath.Join(dir, "race.*"))
	for _, path := range reports {
		report, err := os.ReadFile(path) //nolint:gosec // our own folder
		if err != nil || len(report) == 0 {
			continue
		}
		fmt.Fprintf(os.Stderr, "procpooltest.Main: a worker process has a data race:\n%s\n", report)
		code = max(code, 1)
	}
	return code
}
