package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPolyglot runs the programs whose workers are a Python script, in the folder from
// which the README runs them.
func TestPolyglot(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves out")
	}
	if _, err := os.Stat(filepath.Join("..", ".venv")); err != nil {
		t.Skip("there is no .venv with the Python SDK: make python")
	}
	for _, name := range []string{"polyglot", "ledger"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs, name))
			cmd.Dir = ".."
			r := finish(t, name, cmd)
			r.check(t, 0)
			compare(t, name, r.stdout)
			if r.stderr != "" {
				t.Errorf("it prints on standard error:\n%s", r.stderr)
			}
		})
	}
}
