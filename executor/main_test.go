package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/workerproc"
)

var errNoSuchThing = errors.New("no such thing")

// The tasks that the tests' workers serve.
var (
	identity = procpool.Define("identity", func(_ context.Context, n int) (int, error) { return n, nil })
	square   = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	pid      = procpool.Define("pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
	echo     = procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw))
	fail     = procpool.Define("fail", func(_ context.Context, how string) (int, error) {
		if how == "sentinel" {
			return 0, fmt.Errorf("looking for it: %w", errNoSuchThing)
		}
		return 0, errors.New(how)
	}, procpool.Errors(map[string]error{"no_such_thing": errNoSuchThing}))

	// gate says that it has started, by making the file <path>.started, and
	// runs until the file at path exists, or until its context ends.
	gate = procpool.Define("gate", func(ctx context.Context, path string) (int, error) {
		if err := os.WriteFile(path+".started", nil, 0o600); err != nil {
			return 0, err
		}
		return os.Getpid(), untilFile(ctx, path)
	})
	// deaf does as gate but ignores its context.
	deaf = procpool.Define("deaf", func(_ context.Context, path string) (int, error) {
		if err := os.WriteFile(path+".started", nil, 0o600); err != nil {
			return 0, err
		}
		return os.Getpid(), untilFile(context.Background(), path)
	})
	// spin never ends.
	spin = procpool.Define("spin", func(_ context.Context, n int) (int, error) {
		for {
			n++
		}
	})
	// ledger appends a line to a file, which shows how often a call ran.
	ledger = procpool.Define("ledger", func(_ context.Context, entry [2]string) (int, error) {
		f, err := os.OpenFile(entry[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		_, err = fmt.Fprintln(f, entry[1])
		return os.Getpid(), errors.Join(err, f.Close())
	})

	die    = procpool.Define("die", dieOf)
	mayDie = procpool.Define("may_die", func(ctx context.Context, how string) (int, error) {
		if how == "none" {
			return 1, nil
		}
		return dieOf(ctx, how)
	})
	panics     = procpool.Define("panics", func(_ context.Context, how string) (int, error) { return panicOf(how) })
	unwritable = procpool.Define("unwritable", func(context.Context, int) (chan int, error) { return make(chan int), nil })
	big        = procpool.Define("big", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
	prints     = procpool.Define("prints", printSome)
	stdin      = procpool.Define("stdin", func(context.Context, int) (int, error) {
		b, err := io.ReadAll(os.Stdin)
		return len(b), err
	})
	environment = procpool.Define("environment", func(context.Context, int) ([]string, error) { return os.Environ(), nil })
	arguments   = procpool.Define("arguments", func(context.Context, int) ([]string, error) { return os.Args, nil })
	allocate    = procpool.Define("allocate", func(_ context.Context, n int) (int, error) {
		b := make([]byte, n)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return int(b[0]), nil
	})
	look = procpool.Define("look", func(ctx context.Context, _ int) (seen, error) {
		s := seen{Tenant: procpool.MetadataFrom(ctx)["tenant"]}
		if d, ok := ctx.Deadline(); ok {
			s.Left = time.Until(d)
		}
		return s, nil
	})
	nested = procpool.Define("nested", startNested)

	// unserved is defined here and not given to Main.
	unserved = procpool.Define("unserved", func(_ context.Context, n int) (int, error) { return n, nil })
)

func TestMain(m *testing.M) {
	tasks := []procpool.Task{
		square, identity, unwrap, pid, echo, fail, gate, deaf, ledger, die, mayDie, panics, unwritable, big,
		prints, stdin, environment, arguments, allocate, look, nested, spin, documented,
	}
	tasks = slices.Concat(tasks, superviseTasks(), flowTasks(), sharedTasks(), actorTasks(), chaosTasks, chaosFlowTasks, chaosActorTasks)
	if os.Getenv(otherTasks) != "" {
		tasks = tasks[:1]
	}
	if os.Getenv(hostRole) != "" {
		workerproc.Init(tasks...)
		beHost()
	}
	procpooltest.Main(m, tasks...)
}

// seen is what a task sees of its call.
type seen struct {
	Tenant string
	Left   time.Duration
}

func untilFile(ctx context.Context, path string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dieOf ends the process in the way asked for.
func dieOf(_ context.Context, how string) (int, error) {
	switch how {
	case "exit 0":
		os.Exit(0)
	case "exit 3":
		os.Exit(3)
	case "segv":
		signalSelf(syscall.SIGSEGV)
	case "kill":
		signalSelf(syscall.SIGKILL)
	case "abort":
		signalSelf(syscall.SIGABRT)
	case "term":
		signalSelf(syscall.SIGTERM)
	case "goroutine panic":
		go func() { panic("in a goroutine of the task") }()
	case "stack":
		return deeper(1), nil
	case "throw":
		new(sync.Mutex).Unlock() // the runtime's fatal error, which no recover sees
	case "stderr":
		fmt.Fprintln(os.Stderr, "the last words")
		os.Exit(7)
	}
	select {} // the end is under way
}

func signalSelf(s syscall.Signal) {
	_ = sendSignal(os.Getpid(), s)
	select {}
}

//go:noinline
func deeper(n int) int {
	var pad [1024]byte
	pad[n%len(pad)] = 1
	return deeper(n+1) + int(pad[(n+1)%len(pad)]) //nolint:staticcheck // it is to overflow the stack
}

func panicOf(how string) (int, error) {
	switch how {
	case "error":
		panic(errors.New("an error as panic"))
	case "nil map":
		var m map[string]int
		m["x"] = 1 //nolint:govet,staticcheck // it is to panic
	case "goexit":
		runtime.Goexit()
	case "runtime":
		var s []int
		return s[len(how)], nil //nolint:govet // it is to panic
	}
	panic(how)
}

// printSome prints n times size bytes on both outputs.
func printSome(_ context.Context, in struct {
	N, Size int
	Newline bool
},
) (int, error) {
	line := bytes.Repeat([]byte("x"), in.Size)
	if in.Newline {
		line = append(line, '\n')
	}
	for range in.N {
		_, _ = os.Stdout.Write(line)
		_, _ = os.Stderr.Write(line)
	}
	return os.Getpid(), nil
}

// startNested starts a pool in the worker, and a pool in its worker, and so on;
// it returns how deep it came and why it ended there.
func startNested(ctx context.Context, depth int) (string, error) {
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		return fmt.Sprintf("%d: %v", depth, err), nil
	}
	defer pool.Close()
	return procpool.Remote[int, string]("nested").Call(ctx, pool, depth+1)
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

// newPool starts a pool that ends with the test, which leaves nothing behind.
func newPool(t *testing.T, cfg executor.Config) *executor.Pool {
	t.Helper()
	processes(t)
	if cfg.Workers == 0 {
		cfg.Workers = 2
	}
	if cfg.Output == nil {
		cfg.Output = io.Discard
	}
	pool, err := executor.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// patience bounds every wait of a test.
const patience = 60 * time.Second

// result waits for a future, but not for ever.
func result[T any](t *testing.T, f *procpool.Future[T]) (T, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := f.Result(ctx)
	if errors.Is(err, procpool.ErrNotDone) {
		t.Fatalf("the future was not resolved in %v", patience)
	}
	return v, err
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// open lets a gate's calls go on.
func open(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// works fails the test unless the pool runs calls, on all its workers.
func works(t *testing.T, pool *executor.Pool) {
	t.Helper()
	for i := range 20 {
		if v, err := result(t, square.Submit(t.Context(), pool, i)); err != nil || v != i*i {
			t.Fatalf("the pool does not work any more: square(%d) = %d, %v", i, v, err)
		}
	}
	want := pool.Stats().Workers + pool.Stats().Starting
	eventually(t, "the pool is at full size", func() bool { s := pool.Stats(); return s.Workers >= want && s.Starting == 0 })
}

// mustContain fails the test unless the error's text has all the words.
func mustContain(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error lacks %q:\n%v", w, err)
		}
	}
}
