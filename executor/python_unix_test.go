//go:build unix

package executor_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// A worker that is a Python script is run by the Python of its project. The ones here
// only say who they are, which is what New then reports as their output.
func TestPythonIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		venvs  []string // folders with a virtual environment, below a folder of the test's
		mark   string   // a file that shows the project's topmost folder
		dir    string   // Config.Dir
		script string   // as given to Python
		active string   // VIRTUAL_ENV
		want   string   // the environment that is to be used
	}{
		"beside":         {venvs: []string{"p/w/.venv", "p/.venv", "a"}, mark: "p/go.mod", script: "p/w/worker.py", active: "a", want: "p/w/.venv"},
		"project":        {venvs: []string{"p/.venv", "a"}, mark: "p/pyproject.toml", script: "p/w/worker.py", active: "a", want: "p/.venv"},
		"not above it":   {venvs: []string{".venv", "a"}, mark: "p/go.mod", dir: "d", script: "../p/w/worker.py", active: "a", want: "a"},
		"no project":     {venvs: []string{".venv", "a"}, dir: "d", script: "../p/w/worker.py", active: "a", want: "a"},
		"Config.Dir":     {venvs: []string{"d/.venv", "a"}, script: "../p/w/worker.py", dir: "d", active: "a", want: "d/.venv"},
		"relative to it": {venvs: []string{"p/.venv"}, mark: "p/.git", dir: "p", script: "w/worker.py", want: "p/.venv"},
		"VIRTUAL_ENV":    {venvs: []string{"a"}, script: "p/w/worker.py", active: "a", want: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			processes(t)
			root := t.TempDir()
			for _, venv := range test.venvs {
				fakePython(t, filepath.Join(root, venv, "bin/python"), `echo "run by $0 with $1"; exit 1`)
			}
			write(t, filepath.Join(root, "p/w/worker.py"), "", 0o600)
			if test.mark != "" {
				write(t, filepath.Join(root, test.mark), "", 0o600)
			}
			cfg := executor.Config{Workers: 1, Output: io.Discard, Env: []string{"PATH=/bin:/usr/bin"}, Dir: filepath.Join(root, test.dir)}
			if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if test.active != "" {
				cfg.Env = append(cfg.Env, "VIRTUAL_ENV="+filepath.Join(root, test.active))
			}
			cfg.Command = executor.Python(test.script)
			_, err := executor.New(t.Context(), cfg)
			mustContain(t, err, "run by "+filepath.Join(root, test.want, "bin/python")+" with "+filepath.Join(root, "p/w/worker.py"))
		})
	}
}

// What keeps a Python worker from running is said, with what to do about it.
func TestPythonWorkerThatCantRun(t *testing.T) {
	for name, test := range map[string]struct {
		python string // what the Python of the project does
		script string
		env    []string
		words  []string
		not    string // a word that would mislead
		is     error
	}{
		"no script":     {script: "missing.py", words: []string{"there is no such script", "missing.py"}, is: fs.ErrNotExist},
		"a folder":      {script: ".", words: []string{"is a folder"}},
		"broken":        {script: "worker.py", env: []string{"VIRTUAL_ENV=/nowhere"}, words: []string{"VIRTUAL_ENV is /nowhere", "unset it"}},
		"no SDK":        {script: "worker.py", python: lacks("procpool"), words: []string{`no module "procpool"`, "bin/python -m pip install procpool"}},
		"other name":    {script: "worker.py", python: lacks("sklearn.svm"), words: []string{`no module "sklearn"`, "pip install scikit-learn"}},
		"no dependency": {script: "worker.py", python: lacks("grpc._cython"), words: []string{"pip install grpcio"}, not: "serve"},
		"a traceback":   {script: "worker.py", python: `echo "SyntaxError: invalid syntax" >&2; exit 1`, words: []string{"exit status 1; it printed", "SyntaxError"}, not: "serve"},
		"no serve":      {script: "worker.py", python: `echo loaded; exit 0`, words: []string{"exit status 0; a worker script ends with procpool.serve()"}, not: "workerproc"},
		"a silent exit": {script: "worker.py", python: `exit 7`, words: []string{"exit status 7; a worker script ends with procpool.serve()"}},
	} {
		t.Run(name, func(t *testing.T) {
			processes(t)
			dir := t.TempDir()
			write(t, filepath.Join(dir, "worker.py"), "", 0o600)
			if test.python != "" {
				fakePython(t, filepath.Join(dir, ".venv/bin/python"), test.python)
			}
			_, err := executor.New(t.Context(), executor.Config{
				Workers: 1, Output: io.Discard, Command: executor.Python(test.script), Dir: dir, Env: append([]string{"PATH=/bin:/usr/bin"}, test.env...),
			})
			mustContain(t, err, test.words...)
			if test.not != "" && strings.Contains(err.Error(), test.not) {
				t.Errorf("it mentions %s: %v", test.not, err)
			}
			if !isA[*procpool.StartError](err) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

// lacks is what Python says when a module is missing.
func lacks(module string) string {
	return `echo "Traceback (most recent call last):
  File \"worker.py\", line 1, in <module>
ModuleNotFoundError: No module named '` + module + `'" >&2; exit 1`
}

// fakePython makes a program that is called as a virtual environment's Python is.
func fakePython(t *testing.T, path, does string) {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+does+"\n", 0o700)
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
