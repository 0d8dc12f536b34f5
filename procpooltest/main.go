package procpooltest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/workerproc"
)

// Main is the whole of a TestMain for tests and Examples that start worker
// processes, which are the test binary run again:
//
//	func TestMain(m *testing.M) { procpooltest.Main(m, Square, Cube) }
//
// In a worker it serves the tasks and never returns. Otherwise it runs the tests
// and ends the program. Under the race detector a data race that a worker reports
// makes the run fail too, and the report is printed; for that Main sets the
// workers' GORACE variable.
//
// Main panics where workerproc.Init does.
func Main(m *testing.M, tasks ...procpool.Task) {
	workerproc.Init(tasks...)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !raceEnabled {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "procpooltest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "procpooltest.Main: no place for the workers' race reports:", err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "procpooltest.Main: the folder of the race reports stays:", err)
		}
	}()
	// The race detector has read its settings when the process started, so
	// this changes those of the workers alone. The last of two log_paths wins.
	settings := strings.TrimSpace(os.Getenv("GORACE") + " log_path=" + filepath.Join(dir, "worker"))
	if err := os.Setenv("GORACE", settings); err != nil {
		fmt.Fprintln(os.Stderr, "procpooltest.Main: can't set GORACE for the workers:", err)
		return 1
	}
	code := m.Run()
	if raced := printReports(dir); raced && code == 0 {
		code = 1
	}
	return code
}

// printReports prints the race reports in dir, a file for each process, and
// reports whether there are any.
func printReports(dir string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "worker.*"))
	if err != nil {
		return false // the pattern is right
	}
	for _, file := range files {
		report, err := os.ReadFile(file)
		if err != nil {
			report = []byte(err.Error())
		}
		fmt.Fprintf(os.Stderr, "procpooltest.Main: data race in worker process %s:\n%s\n", strings.TrimPrefix(filepath.Ext(file), "."), report)
	}
	return len(files) > 0
}
