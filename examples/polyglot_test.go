package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPolyglot runs the program whose workers are a Python script, in the folder from
// which the README runs it.
func TestPolyglot(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves out")
	}
	if _, err := os.Stat(filepath.Join("..", ".venv")); err != nil {
		t.Skip("there is no .venv with the Python SDK: make python")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "polyglot"))
	cmd.Dir = ".."
	r := finish(t, "polyglot", cmd)
	r.check(t, 0)
	compare(t, "polyglot", r.stdout)
	if r.stderr != "" {
		t.Errorf("it prints on standard error:\n%s", r.stderr)
	}
}
