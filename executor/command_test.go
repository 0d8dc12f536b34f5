package executor_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

func TestResolveTellsWhatWouldRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "worker.py")
	for _, path := range []string{filepath.Join(dir, "worker"), script} {
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		command executor.Command
		want    []string
	}{
		"absolute": {executor.Program(self, "-v", "x y"), []string{self, "-v", "x y"}},
		"in PATH":  {executor.Program("go", "run"), []string{goTool, "run"}},
		"in dir":   {executor.Program("." + string(filepath.Separator) + "worker"), []string{filepath.Join(dir, "worker")}},
	} {
		got, err := test.command.Resolve(dir, nil)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
		}
	}
	got, err := executor.Python("worker.py", "-v").Resolve(dir, nil)
	if err == nil && (len(got) != 3 || !filepath.IsAbs(got[0]) || got[1] != script || got[2] != "-v") {
		t.Errorf("Python: %q", got)
	}
	for _, missing := range []executor.Command{executor.Program("no-such-program"), executor.Python("missing.py"), {}} {
		if got, err := missing.Resolve(dir, nil); got != nil || !isA[*procpool.StartError](err) {
			t.Errorf("%v: %q, %v", missing, got, err)
		}
	}
	if _, err := executor.Program("no-such-program").Resolve(dir, nil); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("it fails with %v", err)
	}
}
