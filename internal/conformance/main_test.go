package conformance_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/procpool/procpool/internal/conformance"
	"github.com/procpool/procpool/internal/conformance/standard"
	"github.com/procpool/procpool/workerproc"
)

// workerEnv makes the test binary a worker.
const workerEnv = "CONFORMANCE_TEST_WORKER"

func TestMain(m *testing.M) {
	conformance.Init()
	if os.Getenv(workerEnv) == "go" {
		if err := workerproc.Serve(context.Background(), standard.Tasks()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
