package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed python/*.py
var scripts embed.FS

// What the table shows where there is no interpreter, or where that lacks our SDK.
var (
	errNoPython = errors.New("no python3")
	errNoSDK    = errors.New("the Python SDK is not installed: make python")
)

// findSDK prints the version of grpcio. It also does what pip does when it installs a
// package, but not for one that stays where its source is: compile it. Python itself
// would not keep what it has compiled if PYTHONDONTWRITEBYTECODE is set, and each worker
// would do it again.
const findSDK = `
import compileall, os, procpool, grpc
compileall.compile_dir(os.path.dirname(procpool.__file__), quiet=2)
print(grpc.__version__)`

// python runs the measurements of CPython's ProcessPoolExecutor, each round in
// a fresh interpreter, and is what Python workers are run by.
type python struct {
	interpreter string
	folder      string // with the scripts
	version     string
	hasSDK      bool
}

// findPython looks for the virtual environment in the repository, which has our SDK,
// else for python3, and writes the scripts into folder: the spawn start method needs
// them as files. Without an interpreter it returns a value whose measurements all fail
// with errNoPython.
func findPython(ctx context.Context, folder, root string) (*python, error) {
	interpreter := filepath.Join(root, ".venv", "bin", "python")
	if _, err := os.Stat(interpreter); root == "" || err != nil {
		if interpreter, _ = exec.LookPath("python3"); interpreter == "" {
			return &python{version: errNoPython.Error()}, nil
		}
	}
	files, err := fs.Sub(scripts, "python")
	if err == nil {
		err = os.CopyFS(folder, files)
	}
	if err != nil {
		return nil, fmt.Errorf("the Python scripts could not be written: %w", err)
	}
	p := &python{interpreter: interpreter, folder: folder, version: orUnknown(firstLine(ctx, "", interpreter, "--version"))}
	if grpcio := firstLine(ctx, "", interpreter, "-c", findSDK); grpcio != "" {
		p.hasSDK = true
		p.version += ", grpcio " + grpcio
	}
	return p, nil
}

func (p *python) script(name string) string { return filepath.Join(p.folder, name) }

// usable returns why Python workers can't run, nil if they can.
func (p *python) usable() error {
	switch {
	case p.interpreter == "":
		return errNoPython
	case !p.hasSDK:
		return errNoSDK
	}
	return nil
}

// measures returns a side that runs one measure of the script.
func (p *python) measures(name, measure string, arguments ...int) side {
	return side{Name: name, Open: func(context.Context) (subject, error) {
		if p.interpreter == "" {
			return nil, errNoPython
		}
		command := []string{p.script("ppe.py"), measure}
		for _, argument := range arguments {
			command = append(command, strconv.Itoa(argument))
		}
		return &scriptRun{python: p, arguments: command}, nil
	}}
}

// scriptRun is one measure of the script, run anew each round.
type scriptRun struct {
	*python
	arguments []string
}

// Round runs the script once and returns what it printed.
func (r *scriptRun) Round(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.interpreter, r.arguments...)
	// Its workers may outlive a killed interpreter and hold the pipe.
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ppe.py %s: %w: %s", r.arguments[1], err, lastLine(stderr.String()))
	}
	var got figures
	if err := json.Unmarshal(out, &got); err != nil {
		return nil, fmt.Errorf("ppe.py %s printed %q: %w", r.arguments[1], out, err)
	}
	return got, nil
}

// Close does nothing: an interpreter lasts for a round.
func (*scriptRun) Close() error { return nil }

// lastLine is where Python puts the error.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
