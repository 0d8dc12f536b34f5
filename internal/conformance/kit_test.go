package conformance_test

import (
	"os"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/conformance"
)

// config is the kit's for a worker that the test binary is.
func config(t *testing.T, worker string) conformance.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Config{Command: []string{self}, Env: append(os.Environ(), workerEnv+"="+worker)}
}

func TestGoWorker(t *testing.T) {
	began := time.Now()
	err := conformance.Run(t.Context(), config(t, "go"), conformance.Cases(), func(r conformance.Result) {
		t.Logf("%s %s/%s (%v) %s", r.Outcome, r.Section, r.Name, r.Duration.Round(time.Millisecond), r.Reason)
		if r.Outcome != conformance.Pass {
			t.Errorf("%s/%s: %s: %s", r.Section, r.Name, r.Outcome, r.Reason)
		}
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("all in %v", time.Since(began))
}
