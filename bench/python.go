package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed python/ppe.py
var executorScript []byte

// errNoPython is what the table shows where there is no interpreter.
var errNoPython = errors.New("no python3")

// python runs the measurements of CPython's ProcessPoolExecutor, each round in
// a fresh interpreter.
type python struct {
	interpreter string
	script      string
	version     string
}

// findPython looks for python3 and writes the script into folder: the spawn
// start method needs it as a file. Without an interpreter it returns a value
// whose measurements all fail with errNoPython.
func findPython(ctx context.Context, folder string) (*python, error) {
	interpreter, _ := exec.LookPath("python3")
	if interpreter == "" {
		return &python{version: errNoPython.Error()}, nil
	}
	p := &python{interpreter: interpreter, script: filepath.Join(folder, "ppe.py")}
	if err := os.WriteFile(p.script, executorScript, 0o600); err != nil {
		return nil, fmt.Errorf("the Python script could not be written: %w", err)
	}
	p.version = orUnknown(firstLine(ctx, "", interpreter, "--version"))
	return p, nil
}

// measures returns a side that runs one measure of the script.
func (p *python) measures(name, measure string, arguments ...int) side {
	return side{Name: name, Open: func(context.Context) (subject, error) {
		if p.interpreter == "" {
			return nil, errNoPython
		}
		command := []string{p.script, measure}
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
