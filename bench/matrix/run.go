package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed python/matrix.py
var pythonScript []byte

// The pools, as the table and -only call them.
const (
	ours                = "procpool"
	executorPool        = "ProcessPoolExecutor"
	multiprocessingPool = "multiprocessing.Pool"
)

// pools are in the order of the table.
func pools() []string { return []string{ours, executorPool, multiprocessingPool} }

const (
	// hostDeadline is after how long a host that does not end is killed.
	hostDeadline = 90 * time.Second
	// leaveWithin is how long a pool's processes have to go away once their host
	// is gone; a host that was killed is looked at a second time.
	leaveWithin = time.Second
	secondLook  = 7 * time.Second
)

// cannot is the verdict on a pool that has no such thing.
const cannot = "it can't"

// runner runs the lines of the matrix.
type runner struct {
	folder   string
	parallel int
	chosen   *regexp.Regexp

	python, script string // empty where there is no interpreter
	version        string
}

// findPython looks for the interpreter and writes the script for it.
func (r *runner) findPython(ctx context.Context, name string) error {
	interpreter, err := exec.LookPath(name)
	if err != nil {
		return nil //nolint:nilerr // the table says that there is none
	}
	version, err := exec.CommandContext(ctx, interpreter, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", interpreter, err)
	}
	r.python, r.version = interpreter, strings.TrimSpace(string(version))
	r.script = filepath.Join(r.folder, "matrix.py")
	if err := os.WriteFile(r.script, pythonScript, 0o600); err != nil {
		return fmt.Errorf("the Python script could not be written: %w", err)
	}
	return nil
}

// runAll runs every chosen line, some at once, and returns them in the order of
// the table.
func (r *runner) runAll(ctx context.Context) []line {
	var lines []line
	for _, e := range events() {
		for _, pool := range pools() {
			if r.chosen.MatchString(e.Key+"/"+pool) && (pool == ours || r.python != "") {
				lines = append(lines, line{Event: e.Key, What: e.What, Pool: pool, event: e})
			}
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, r.parallel)
	for i := range lines {
		slots <- struct{}{}
		wg.Go(func() {
			r.run(ctx, i, &lines[i])
			<-slots
		})
	}
	wg.Wait()
	return lines
}

// run lets the event happen in a host of its own and fills the line.
func (r *runner) run(ctx context.Context, number int, l *line) {
	if slices.Contains(l.event.Lacks, l.Pool) {
		l.Verdict = cannot
		return
	}
	if err := r.observe(ctx, number, l); err != nil {
		l.Trouble = strings.Join(strings.Fields(err.Error()), " ")
	}
	l.judge()
}

// observe runs the host, takes its report, and looks at what is left after it.
func (r *runner) observe(ctx context.Context, number int, l *line) error {
	// Short, because a socket's path has little room.
	folder := filepath.Join(r.folder, strconv.Itoa(number))
	temp := filepath.Join(folder, "t")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return fmt.Errorf("no folder for the host: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, hostDeadline)
	defer cancel()
	cmd, err := r.command(ctx, l, folder)
	if err != nil {
		return err
	}
	mark := "CRASH_MATRIX=" + folder
	cmd.Env = append(os.Environ(), mark, "TMPDIR="+temp)
	defer killMarked(mark)
	// Files and no pipes: orphans would hold a pipe open.
	report, complaints := filepath.Join(folder, "report"), filepath.Join(folder, "stderr")
	stdout, err := os.Create(report)
	if err != nil {
		return fmt.Errorf("no place for the host's report: %w", err)
	}
	defer stdout.Close()
	stderr, err := os.Create(complaints)
	if err != nil {
		return fmt.Errorf("no place for the host's complaints: %w", err)
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the host: %w", err)
	}
	if l.event.KillHost {
		go killWhenReady(ctx, cmd.Process, report)
	}
	waitErr := cmd.Wait()
	text, err := os.ReadFile(report)
	if err != nil {
		return fmt.Errorf("the host's report: %w", err)
	}
	if err := l.read(text); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the host did not end within %v", hostDeadline)
	case l.event.KillHost && l.Ready == "":
		return fmt.Errorf("the host was never ready: %s", lastLine(complaints))
	case !l.event.KillHost && waitErr != nil:
		return fmt.Errorf("the host: %w: %s", waitErr, lastLine(complaints))
	}
	l.Left = whatIsLeft(ctx, mark, temp, l.event.KillHost)
	return nil
}

// command is the host: this program run again, or the Python script.
func (r *runner) command(ctx context.Context, l *line, folder string) (*exec.Cmd, error) {
	if l.Pool != ours {
		return exec.CommandContext(ctx, r.python, r.script, l.Pool, l.Event, folder, fmt.Sprint(patience.Seconds())), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program's own path is unknown: %w", err)
	}
	return exec.CommandContext(ctx, self, hostPart, l.Event, folder), nil
}

// killWhenReady kills a host as soon as its report says that it is ready. A host
// that ends before that is not killed: its process is then waited for.
func killWhenReady(ctx context.Context, host *os.Process, report string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if text, err := os.ReadFile(report); err == nil && bytes.Contains(text, []byte(`"ready"`)) {
			_ = host.Kill()
			return
		}
		if host.Signal(syscall.Signal(0)) != nil {
			return
		}
	}
}

// lastLine is where a program that failed says why.
func lastLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
