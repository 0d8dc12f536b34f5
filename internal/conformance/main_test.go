//go:build unix

package conformance_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/conformance"
	"github.com/procpool/procpool/internal/conformance/standard"
	"github.com/procpool/procpool/internal/wire/plainworker"
	"github.com/procpool/procpool/workerproc"
)

// workerEnv makes the test binary a worker. Behind a colon may stand the fault of the
// plain one, and which functions the one lacks that serves few.
const workerEnv = "CONFORMANCE_TEST_WORKER"

const (
	goWorker      = "go"
	plainWorker   = "plain"
	minimalWorker = "minimal"
	fewWorker     = "few"
)

// tasks are the standard functions that pass.
func tasks(pass func(procpool.TaskInfo) bool) []procpool.Task {
	return slices.DeleteFunc(standard.Tasks(), func(t procpool.Task) bool { return !pass(t.Describe()) })
}

func TestMain(m *testing.M) {
	conformance.Init()
	worker, detail, _ := strings.Cut(os.Getenv(workerEnv), ":")
	var err error
	switch worker {
	case goWorker:
		err = workerproc.Serve(context.Background(), standard.Tasks()...)
	case plainWorker:
		err = plainworker.Serve(standard.Tasks(), plainworker.Options{Fault: plainworker.Fault(detail)})
	case minimalWorker:
		functions := tasks(func(i procpool.TaskInfo) bool { return i.Kind == procpool.KindFunction })
		err = plainworker.Serve(functions, plainworker.Options{Minimal: true})
	case fewWorker:
		lacks := strings.Split(detail, ",")
		err = workerproc.Serve(context.Background(), tasks(func(i procpool.TaskInfo) bool { return !slices.Contains(lacks, i.Name) })...)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
