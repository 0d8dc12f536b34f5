//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	main "github.com/procpool/procpool/cmd/procpool"
	"github.com/procpool/procpool/executor"
)

// running is the program at work.
type running struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr bytes.Buffer
}

// start starts the program, whose standard input stays open.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{cmd: command(t, args...)}
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *running) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the program's end.
func (r *running) wait() run {
	_ = r.cmd.Wait() // which says that the exit code is not 0
	return run{r.cmd.ProcessState.ExitCode(), r.stdout.String(), r.stderr.String()}
}

// await waits until there is a file of that name.
func await(t *testing.T, path string) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); !exists(t, path); {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s does not appear", path)
		}
	}
}

func TestSignalsStopACall(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		task   string
		signal syscall.Signal
		code   int
	}{
		{"hold", syscall.SIGINT, 130},
		{"hold", syscall.SIGTERM, 143},
		{"hold", syscall.SIGHUP, 129},
		{"hold_out", syscall.SIGINT, 130},
	} {
		mark := filepath.Join(t.TempDir(), "mark")
		r := start(t, on(t, "call", test.task, jsonText(t, mark))...)
		await(t, mark)
		r.signal(t, test.signal)
		r.wait().mustBe(t, test.code, "", `call of task "`+test.task+`" given up`, test.signal.String())
		if found := exists(t, mark+".cancelled"); found != (test.task == "hold") {
			t.Errorf("%s had the chance to stop: %v", test.task, found)
		}
	}
}

func TestSecondSignalKills(t *testing.T) {
	processes(t)
	mark := filepath.Join(t.TempDir(), "mark")
	r := start(t, on(t, "call", "hold_out", jsonText(t, mark))...)
	await(t, mark)
	r.signal(t, syscall.SIGINT)
	r.signal(t, syscall.SIGTERM) // two of the same may become one
	r.wait().mustBe(t, 130, "")
}

// The same in two parts, neither of which ends if the second signal does nothing.
func TestSecondSignalTakesTheTimeToStop(t *testing.T) {
	processes(t)
	pool, err := executor.New(t.Context(), executor.Config{Workers: 1, CancelGrace: time.Hour, Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	mark := filepath.Join(t.TempDir(), "mark")
	call := procpool.Remote[string, string]("hold_out").Submit(t.Context(), pool, mark)
	await(t, mark)
	if !call.Cancel() {
		t.Error("the call has ended by itself")
	}
	ask, kill := main.WatchInterrupts()
	for _, ctx := range []context.Context{ask, kill} {
		if ctx.Err() != nil {
			t.Fatalf("it ended before its signal: %v", context.Cause(ctx))
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		if code := main.ExitCode(context.Cause(ctx)); code != 130 {
			t.Errorf("%v: exit code %d", context.Cause(ctx), code)
		}
	}
	main.Leave(kill, pool, context.Canceled)
}

func TestSignalsStopWhateverItWaitsFor(t *testing.T) {
	processes(t)
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	script := filepath.Join(dir, "never")
	text := "#!/bin/sh\n: >" + mark + "\nexec sleep 1000\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"tasks", "--", script},
		{"call", "square", "7", "--", script},
		{"conform", "--", script},
		{"conform", "--json", "--run", "^start/hello$", "--", script},
	} {
		_ = os.Remove(mark)
		r := start(t, args...)
		await(t, mark)
		r.signal(t, syscall.SIGINT)
		got := r.wait()
		t.Logf("%q", args)
		got.mustBe(t, 130, got.stdout, "interrupt")
	}
	// An argument that does not come. That the worker was started is all that shows.
	r := start(t, "call", "square", "--", "/bin/sh", "-c", ": >"+mark+".started; exec "+self(t))
	await(t, mark+".started")
	r.signal(t, syscall.SIGINT)
	r.wait().mustBe(t, 130, "", "interrupt")
}

func TestReaderOfAStreamThatLeaves(t *testing.T) {
	processes(t)
	cmd := command(t, on(t, "call", "count", "-1")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "0\n" || err != nil {
		t.Errorf("the first line is %q, %v", line, err)
	}
	if err := stdout.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 141 || stderr.Len() > 0 {
		t.Errorf("exit code %d, it says %q", code, stderr.String())
	}
}

// Each answer of a session comes before the next question is asked.
func TestSessionIsAConversation(t *testing.T) {
	processes(t)
	cmd := command(t, on(t, "call", "sum", "0")...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(stdout)
	for _, want := range []string{"1\n", "2\n", "3\n"} {
		if _, err := io.WriteString(stdin, "1\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); got != want || err != nil {
			t.Fatalf("it answers %q, %v, want %q", got, err, want)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A session that ends first does not wait for standard input.
func TestSessionThatEndsFirst(t *testing.T) {
	processes(t)
	r := start(t, on(t, "call", "sum", `"x"`)...)
	r.wait().mustBe(t, 1, "", "can't decode the argument")
}

// A Python script is run by the Python of its virtual environment.
func TestPythonScript(t *testing.T) {
	processes(t)
	dir := t.TempDir()
	python := filepath.Join(dir, ".venv", "bin", "python")
	if err := os.MkdirAll(filepath.Dir(python), 0o700); err != nil {
		t.Fatal(err)
	}
	// It is no Python, but it serves.
	if err := os.WriteFile(python, []byte("#!/bin/sh\necho \"$1 is run with $2\"\nexec "+self(t)+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "worker.py")
	if err := os.WriteFile(script, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := invoke(t, "", "call", "square", "7", "--", script, "-v")
	got.mustBe(t, 0, "49\n", "[worker 1] "+script+" is run with -v\n")
	got = invoke(t, "", "conform", "--run", "^start/in a pool$", "--", script, "-v")
	if !strings.Contains(got.stdout, "in a pool") {
		t.Errorf("it printed\n%s\n%s", got.stdout, got.stderr)
	}
}
