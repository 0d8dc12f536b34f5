package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	main "github.com/procpool/procpool/cmd/procpool"
	"github.com/procpool/procpool/internal/conformance/standard"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/workerproc"
)

// asCommand makes the test binary the program that is tested. Variables that begin
// like that are not passed on to workers, which are the test binary as it is.
const asCommand = "PROCPOOL_AS_COMMAND"

// asStandard makes it a worker that serves the standard functions of the conformance
// kit.
const asStandard = "STANDARD_WORKER_OF_THE_COMMAND_TEST"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asCommand) != "":
		main.Main()
	case os.Getenv(asStandard) != "":
		if err := workerproc.Serve(context.Background(), standard.Tasks()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	procpooltest.Main(m, served...)
}

var errKnown = errors.New("there is no such customer")

// served are the tasks of the worker that the tests call.
var served = []procpool.Task{
	procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil },
		procpool.Doc("Squares a number.\nThe second line is for those who read on.")),
	procpool.Define("echo", func(_ context.Context, v any) (any, error) { return v, nil }),
	procpool.Define("echo_bytes", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw)),
	procpool.Define("nan", func(context.Context, any) (float64, error) { return math.NaN(), nil }),
	procpool.Define("environment", func(_ context.Context, name string) (string, error) { return os.Getenv(name), nil }),
	procpool.Define("folder", func(context.Context, any) (string, error) { return os.Getwd() }),
	procpool.Define("fail", func(_ context.Context, text string) (int, error) { return 0, fmt.Errorf("%s: %w", text, errKnown) },
		procpool.Errors(map[string]error{"no_customer": errKnown})),
	procpool.Define("panic", func(_ context.Context, text string) (int, error) { panic(text) }),
	procpool.Define("exit", func(_ context.Context, code int) (int, error) {
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(code)
		return 0, nil
	}),
	procpool.Define("exit_at_first", func(ctx context.Context, _ any) (int, error) {
		if procpool.AttemptFrom(ctx) == 1 {
			os.Exit(9)
		}
		return procpool.AttemptFrom(ctx), nil
	}),
	procpool.Define("talk", func(ctx context.Context, _ any) (string, error) {
		fmt.Println("printed")
		procpool.Report(ctx, 0.5, "half way")
		procpool.Logger(ctx).Debug("logged finely")
		procpool.Logger(ctx).Info("logged", "colour", "red")
		return "said", nil
	}),
	procpool.Define("hold", func(ctx context.Context, mark string) (string, error) {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return "", err
		}
		<-ctx.Done()
		return "", os.WriteFile(mark+".cancelled", nil, 0o600)
	}),
	procpool.Define("hold_out", func(_ context.Context, mark string) (string, error) {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return "", err
		}
		select {}
	}),
	procpool.DefineStream("count", func(_ context.Context, n int, emit func(int) error) error {
		for i := 0; i != n; i++ {
			if err := emit(i); err != nil {
				return err
			}
		}
		if n == 3 {
			return errors.New("three is too many")
		}
		return nil
	}),
	procpool.DefineSession("sum", func(_ context.Context, start int, recv iter.Seq[int], send func(int) error) error {
		for v := range recv {
			start += v
			if err := send(start); err != nil {
				return err
			}
		}
		if start < 0 {
			return errors.New("below zero")
		}
		return nil
	}, procpool.Doc("Adds up.")),
	procpool.DefineSession("upper", func(_ context.Context, _ []byte, recv iter.Seq[[]byte], send func([]byte) error) error {
		for v := range recv {
			if err := send(bytes.ToUpper(v)); err != nil {
				return err
			}
		}
		return nil
	}, procpool.WithCodec(procpool.Raw)),
	heap,
}

// stack is the state of an actor.
type stack []string

var heap = procpool.DefineActor("heap", func(context.Context, int) (*stack, error) { return new(stack), nil }, procpool.Doc("Keeps things."))

var _ = procpool.DefineMethod(heap, "push", func(s *stack, _ context.Context, v string) (any, error) {
	*s = append(*s, v)
	return len(*s), nil
}, procpool.Doc("Puts one on top."))

// processes is called first by tests that start processes. They leave nothing
// behind, and are not run with -short, which is for what takes milliseconds.
func processes(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	procpooltest.NoOrphans(t)
}

// on completes a command line by a worker which serves the tasks above.
func on(t *testing.T, args ...string) []string {
	t.Helper()
	return append(args, "--", self(t))
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// A run is what came of running the program.
type run struct {
	code           int
	stdout, stderr string
}

// command is the program with arguments, not yet started. Nothing that it starts
// outlives the test by much.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self(t), args...)
	cmd.Env = append(os.Environ(), asCommand+"=1",
		// Under the race detector a program sleeps for a second before it ends.
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	return cmd
}

// invoke runs the program with that on standard input.
func invoke(t *testing.T, stdin string, args ...string) run {
	t.Helper()
	cmd := command(t, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return finish(t, cmd)
}

func finish(t *testing.T, cmd *exec.Cmd) run {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return run{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// mustBe checks the exit code, all of the results, and that notes has the words.
func (r run) mustBe(t *testing.T, code int, stdout string, words ...string) {
	t.Helper()
	if r.code != code || r.stdout != stdout {
		t.Errorf("exit code %d, want %d; it printed\n%s\nwant\n%s\nstandard error:\n%s", r.code, code, r.stdout, stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("standard error lacks %q:\n%s", word, r.stderr)
		}
	}
}

// jsonText is a text as JSON.
func jsonText(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}
