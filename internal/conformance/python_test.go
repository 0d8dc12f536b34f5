//go:build unix

package conformance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/procpool/procpool/internal/conformance"
)

// pythonLacks are what may be missing where a case of the kit is skipped for the Python
// SDK's worker: each is optional.
var pythonLacks = []string{
	"mutual TLS", "one lane", "echo_proto", "call_stream", "call_session",
}

// The Python SDK's worker passes every case but those that are about what it has not.
func TestPythonWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("there is no .venv with the Python SDK: make python")
	}
	failed, skipped := results(t, conformance.Config{
		Command: []string{python, filepath.Join(root, "sdk", "python", "tests", "standard_worker.py")}, Env: os.Environ(),
	})
	if len(failed) > 0 {
		t.Errorf("failed: %q", failed)
	}
	for id, why := range skipped {
		if !slices.ContainsFunc(pythonLacks, func(what string) bool { return strings.Contains(why, what) }) {
			t.Errorf("%s was skipped: %s", id, why)
		}
	}
}
