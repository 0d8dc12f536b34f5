package executor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// #35, T036: every bad setting is an error that names its field.
func TestBadConfig(t *testing.T) {
	processes(t)
	for field, cfg := range map[string]executor.Config{
		"Workers":          {Workers: -1},
		"QueueSize":        {QueueSize: -1},
		"QueueBytes":       {QueueBytes: -1},
		"MaxPayload":       {MaxPayload: -1},
		"CancelGrace":      {CancelGrace: -1},
		"StartTimeout":     {StartTimeout: -time.Second},
		"MemoryLimit":      {MemoryLimit: -1},
		"ThreadsPerWorker": {ThreadsPerWorker: -1},
		"Env":              {Env: []string{"NOT A PAIR"}},
		"Workers ":         {Workers: 1 << 20},
		"MaxPayload ":      {MaxPayload: 1 << 40},
		"MemoryLimit ":     {MemoryLimit: 4096},
	} {
		pool, err := executor.New(t.Context(), cfg)
		if err == nil {
			pool.Close()
		}
		mustContain(t, err, "Config."+field[:len(field)-countSpaces(field)])
	}
}

func countSpaces(s string) (n int) {
	for _, c := range s {
		if c == ' ' {
			n++
		}
	}
	return n
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

// #77, #83, #108, T111: a worker program that can't become ready is a typed error
// with what it printed and how it ended, and nothing of it is left.
func TestBadPrograms(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.txt")
	open(t, plain)
	for name, c := range map[string]struct {
		command executor.Command
		words   []string
		code    int
	}{
		"no such name":      {executor.Program("no-such-program-anywhere"), []string{"no-such-program-anywhere", "not found"}, -1},
		"no such file":      {executor.Program(filepath.Join(dir, "missing")), []string{"missing", "no such file"}, -1},
		"not executable":    {executor.Program(plain), []string{"plain.txt", "permission"}, -1},
		"a folder":          {executor.Program(dir), []string{filepath.Base(dir)}, -1},
		"exits at once":     {executor.Program(script(t, "echo it is broken >&2; exit 3")), []string{"exit status 3", "it is broken"}, 3},
		"exits with 0":      {executor.Program(script(t, "exit 0")), []string{"exit status 0"}, 0},
		"is killed":         {executor.Program(script(t, "kill -9 $$")), []string{"killed"}, -1},
		"prints and stays":  {executor.Program(script(t, "echo hello there; exec sleep 1000")), []string{"hello there"}, -1},
		"never answers":     {executor.Program(script(t, "exec sleep 1000")), []string{"300ms"}, -1},
		"is no worker":      {executor.Program("true"), []string{"true"}, 0},
		"shows a false one": {executor.Program(script(t, "echo '1|1|unix|/nowhere/at.all|grpc'; exec sleep 1000")), []string{"worker.sh"}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			processes(t)
			cfg := executor.Config{Command: c.command, Workers: 2, StartTimeout: 300 * time.Millisecond, Output: io.Discard}
			if c.code == 3 || c.code == 0 {
				cfg.StartTimeout = time.Minute // it is to be seen, not waited for
			}
			pool, err := executor.New(t.Context(), cfg)
			var se *procpool.StartError
			if !errors.As(err, &se) {
				if pool != nil {
					pool.Close()
				}
				t.Fatalf("%#v", err)
			}
			mustContain(t, err, c.words...)
			if se.ExitCode != c.code {
				t.Errorf("exit code %d, want %d: %v", se.ExitCode, c.code, err)
			}
		})
	}
}

// A program that prints before its handshake, without a newline too, is a worker
// all the same.
func TestPrintsBeforeHandshake(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool := newPool(t, executor.Config{Workers: 1, Command: executor.Program("sh", "-c",
		`echo a banner; printf 'no end of line'; exec "$0"`, self)})
	if v, err := square.Call(t.Context(), pool, 5); v != 25 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

// otherTasks makes the test binary serve other tasks, as a worker of an older
// version would.
const otherTasks = "EXECUTOR_TEST_OTHER_TASKS"

// A later worker that serves other tasks than the first is not taken: a failed
// start, like any other.
func TestOtherTasks(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	pool := newPool(t, executor.Config{
		Command: executor.Program("sh", "-c", `mkdir "$1" 2>/dev/null || export `+otherTasks+`=1; exec "$0"`, self, filepath.Join(t.TempDir(), "first")),
		OnEvent: func(e executor.Event) {
			if e.Kind == executor.WorkerStartFailed {
				select {
				case refused <- e.Err:
				default:
				}
			}
		},
	})
	mustContain(t, <-refused, "other tasks")
	if v, err := result(t, square.Submit(t.Context(), pool, 5)); v != 25 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

// The end of New's context ends the start at once.
func TestNewContextEnds(t *testing.T) {
	processes(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := executor.New(ctx, executor.Config{Command: executor.Program(script(t, "exec sleep 1000"))})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// #53: Close while the other workers are still starting.
func TestCloseDuringStart(t *testing.T) {
	processes(t)
	for range 10 {
		pool, err := executor.New(t.Context(), executor.Config{Workers: 4, Output: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		pool.Close()
	}
}

// #35: settings that can't be are refused by name.
func TestBadLimits(t *testing.T) {
	for name, cfg := range map[string]executor.Config{
		"Nice":        {Nice: 20},
		"Concurrency": {Concurrency: 1 << 20},
		"MinWorkers":  {Workers: 2, MinWorkers: 3},
		"Spares":      {Spares: -1},
		"MaxCalls":    {MaxCalls: -1},
		"OpenFiles":   {OpenFiles: 3},
		"CPULimit":    {CPULimit: -time.Second},
		"HungAfter":   {HungAfter: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			processes(t)
			_, err := executor.New(t.Context(), cfg)
			mustContain(t, err, "Config."+name)
		})
	}
}
