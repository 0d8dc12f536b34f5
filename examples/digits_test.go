package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDigits runs the demo of Python workers where `make demo-python` has set up its
// Python, which takes scikit-learn.
func TestDigits(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves out")
	}
	if _, err := os.Stat(filepath.Join("digits", ".venv")); err != nil {
		t.Skip("there is no examples/digits/.venv with scikit-learn: make demo-python")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "digits"))
	cmd.Dir = ".."
	r := finish(t, "digits", cmd)
	r.check(t, 0)
	compare(t, "digits", r.stdout)
}
