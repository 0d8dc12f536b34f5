//go:build unix

package conformance_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/procpool/procpool/internal/conformance"
	"github.com/procpool/procpool/internal/conformance/standard"
	"github.com/procpool/procpool/internal/wire/plainworker"
	"github.com/procpool/procpool/workerproc"
)

// workerEnv makes the test binary a worker: the Go SDK's, or the plain one, with a
// fault perhaps.
const workerEnv = "CONFORMANCE_TEST_WORKER"

const (
	goWorker    = "go"
	plainWorker = "plain"
)

func TestMain(m *testing.M) {
	conformance.Init()
	worker, fault, _ := strings.Cut(os.Getenv(workerEnv), ":")
	var err error
	switch worker {
	case goWorker:
		err = workerproc.Serve(context.Background(), standard.Tasks()...)
	case plainWorker:
		err = plainworker.Serve(standard.Tasks(), plainworker.Fault(fault))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
