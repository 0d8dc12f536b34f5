package workerproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/workerproc"
)

// mode makes this program another one: a worker that calls Serve, or a program
// that calls Init wrongly.
const mode = "MODE_OF_THE_WORKERPROC_TEST"

var (
	square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	pid    = procpool.Define("pid", func(context.Context, int) (int, error) { return os.Getpid(), nil })
)

func TestMain(m *testing.M) {
	switch os.Getenv(mode) {
	case "serve":
		if err := workerproc.Serve(context.Background(), square, pid); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	case "serve twice the same":
		fmt.Fprintln(os.Stderr, workerproc.Serve(context.Background(), square, square))
		os.Exit(4)
	case "nil":
		workerproc.Init(square, nil)
	case "remote":
		workerproc.Init(procpool.Remote[int, int]("elsewhere"))
	case "same":
		workerproc.Init(square, pid, square.With(procpool.NoWait()))
	case "twice":
		workerproc.Init(square)
		workerproc.Init(pid)
	}
	procpooltest.Main(m, square, pid)
}

// processes is called first by tests that start processes. They leave nothing
// behind, and are not run with -short, which is for what takes milliseconds.
func processes(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	procpooltest.NoOrphans(t)
}

// again returns the command that runs this program in another mode.
func again(t *testing.T, as string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), mode+"="+as)
	return cmd
}

func TestInitServesWhereThisProgramIsAWorker(t *testing.T) {
	processes(t)
	pool, err := executor.New(t.Context(), executor.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got, err := square.Call(t.Context(), pool, 9); got != 81 || err != nil {
		t.Errorf("square(9) = %d, %v", got, err)
	}
	if got, err := pid.Call(t.Context(), pool, 0); got == os.Getpid() || err != nil {
		t.Errorf("it ran in process %d, %v", got, err)
	}
}

func TestInitPanicsForWrongTasks(t *testing.T) {
	processes(t)
	for as, want := range map[string]string{
		"nil":    "task 2 is nil",
		"remote": `task "elsewhere" is a handle made by procpool.Remote`,
		"same":   `two tasks have the name "square"`,
		"twice":  "it was called before; call it once, with all tasks",
	} {
		output, err := again(t, as).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "panic: procpool: workerproc.Init: ") || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v, it printed:\n%s", as, err, output)
		}
	}
}

func TestServeInAProgramOfItsOwn(t *testing.T) {
	processes(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := executor.New(t.Context(), executor.Config{
		Workers: 1, Command: executor.Program(exe), Env: append(os.Environ(), mode+"=serve"), Output: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got, err := square.Call(t.Context(), pool, 9); got != 81 || err != nil {
		t.Errorf("square(9) = %d, %v", got, err)
	}
}

// A worker that serves nothing useful tells its host why.
func TestServeRefusalReachesTheHost(t *testing.T) {
	processes(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := executor.New(t.Context(), executor.Config{
		Workers: 1, Command: executor.Program(exe), Env: append(os.Environ(), mode+"=serve twice the same"), Output: io.Discard,
	})
	if err == nil {
		t.Error(pool.Close())
	}
	if start, ok := errors.AsType[*procpool.StartError](err); !ok || start.ExitCode != 4 || !strings.Contains(err.Error(), `two tasks have the name "square"`) {
		t.Errorf("New = %v", err)
	}
}

func TestServeByHandSaysWhatTheProgramIs(t *testing.T) {
	processes(t)
	cmd := again(t, "serve")
	stdin, err := cmd.StdinPipe() // a terminal stays open, too
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(output), "this program is a procpool worker") || !strings.Contains(string(output), "executor.Program") {
		t.Errorf("%v, it printed:\n%s", err, output)
	}
}

func TestServeRefusesWrongTasks(t *testing.T) {
	t.Parallel()
	for want, tasks := range map[string][]procpool.Task{
		"task 1 is nil":                               {nil},
		"a handle made by procpool.Remote":            {procpool.Remote[int, int]("elsewhere")},
		`workerproc.Serve: two tasks have the name "`: {square, square},
	} {
		if err := workerproc.Serve(t.Context(), tasks...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
