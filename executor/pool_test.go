package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T024, #71: a call's argument and result pass the boundary.
func TestCall(t *testing.T) {
	pool := newPool(t, executor.Config{})
	if v, err := square.Call(t.Context(), pool, -7); v != 49 || err != nil {
		t.Errorf("square(-7) = %d, %v", v, err)
	}
	for _, size := range []int{0, 1, 1 << 10, 64<<10 - 1, 64 << 10, 1 << 20, 16 << 20} {
		in := make([]byte, size)
		for i := range in {
			in[i] = byte(i * 31)
		}
		out, err := echo.Call(t.Context(), pool, in)
		if err != nil || !slices.Equal(in, out) {
			t.Errorf("echo of %d bytes: %d bytes, %v", size, len(out), err)
		}
	}
}

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// T025, T031: order is kept, for windows below and above what is in flight.
func TestMapKeepsOrder(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for _, window := range []int{1, 2, 3, 64, 5000} {
		next := 0
		for v, err := range square.With(procpool.Window(window)).Map(t.Context(), pool, numbers(2000)) {
			if err != nil || v != next*next {
				t.Fatalf("window %d: item %d is %d, %v", window, next, v, err)
			}
			next++
		}
		if next != 2000 {
			t.Errorf("window %d: %d items", window, next)
		}
	}
}

// T136: the results come as they finish, each with its input.
func TestMapUnordered(t *testing.T) {
	pool := newPool(t, executor.Config{})
	seen := make(map[int]bool)
	for item := range square.MapUnordered(t.Context(), pool, numbers(5000)) {
		if item.Err != nil || item.Out != item.In*item.In || item.Index != item.In || seen[item.In] {
			t.Fatalf("bad item %+v", item)
		}
		seen[item.In] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d items", len(seen))
	}
}

// T029: a reader that leaves cancels the rest and the pool goes on.
func TestMapLeftEarly(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for v, err := range square.Map(t.Context(), pool, numbers(1<<30)) {
		if err != nil {
			t.Fatal(err)
		}
		if v == 100 {
			break
		}
	}
	works(t, pool)
	eventually(t, "nothing is left to run", func() bool { s := pool.Stats(); return s.Queued == 0 && s.Running == 0 })
}

// T037, #14: many blocked calls start exactly the configured number of processes,
// and the rest waits.
func TestSaturation(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 3})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*procpool.Future[int]
	for range 45 {
		futures = append(futures, gate.Submit(t.Context(), pool, path))
	}
	eventually(t, "three calls run", func() bool { return pool.Stats().Busy == 3 })
	if s := pool.Stats(); s.Workers+s.Starting != 3 || s.Queued+s.Running != 45 {
		t.Errorf("%+v", s)
	}
	open(t, path)
	pids := make(map[int]int)
	for _, f := range futures {
		v, err := result(t, f)
		if err != nil {
			t.Fatal(err)
		}
		pids[v]++
	}
	if len(pids) > 3 {
		t.Errorf("the calls ran in %d processes", len(pids))
	}
}

// T038: one call at a time uses one process, the most recently used.
func TestIdleWorkerIsReused(t *testing.T) {
	pool := newPool(t, executor.Config{})
	eventually(t, "both workers are there", func() bool { return pool.Stats().Idle == 2 })
	first, err := pid.Call(t.Context(), pool, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if v, err := pid.Call(t.Context(), pool, struct{}{}); v != first || err != nil {
			t.Fatalf("ran in %d, then in %d (%v)", first, v, err)
		}
	}
}

// T039, #42, #72: an error's type and text survive, a named sentinel keeps its
// identity, and the worker lives.
func TestTaskError(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	before, _ := pid.Call(t.Context(), pool, struct{}{})
	_, err := fail.Call(t.Context(), pool, "out of paper")
	var te *procpool.TaskError
	if !errors.As(err, &te) || te.Task != "fail" || te.Type != "*errors.errorString" || te.Message != "out of paper" || te.Language != "go" {
		t.Errorf("%#v", err)
	}
	if _, err := fail.Call(t.Context(), pool, "sentinel"); !errors.Is(err, errNoSuchThing) {
		t.Errorf("the sentinel is lost: %v", err)
	}
	if after, _ := pid.Call(t.Context(), pool, struct{}{}); after != before {
		t.Error("a task's error cost its worker")
	}
}

// #96, T082: panics of all kinds are the call's error, with the stack, and the
// worker lives. Rule 6.9.
func TestPanicIsNoCrash(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	before, _ := pid.Call(t.Context(), pool, struct{}{})
	for how, text := range map[string]string{
		"text": "panicked: text", "error": "an error as panic", "nil map": "assignment to entry in nil map",
		"runtime": "index out of range", "goexit": "runtime.Goexit",
	} {
		_, err := panics.Call(t.Context(), pool, how)
		var pe *procpool.PanicError
		if !errors.As(err, &pe) || pe.Task != "panics" || pe.Goexit != (how == "goexit") {
			t.Errorf("%s: %#v", how, err)
			continue
		}
		mustContain(t, err, text)
		if !strings.Contains(pe.Stack, "panicOf") {
			t.Errorf("%s: the stack does not show where:\n%s", how, pe.Stack)
		}
	}
	if after, _ := pid.Call(t.Context(), pool, struct{}{}); after != before {
		t.Error("a panic cost its worker")
	}
}

// Rule 6.10: a value that can't be encoded costs its call only.
func TestUnencodable(t *testing.T) {
	pool := newPool(t, executor.Config{})
	bad := procpool.Remote[chan int, int]("square")
	_, err := bad.Call(t.Context(), pool, make(chan int))
	var ce *procpool.CodecError
	if !errors.As(err, &ce) || ce.Op != "encode the argument" {
		t.Errorf("argument: %v", err)
	}
	if _, err = unwritable.Call(t.Context(), pool, 1); !errors.As(err, &ce) || ce.Op != "encode the result" {
		t.Errorf("result: %v", err)
	}
	text := procpool.Remote[string, int]("square")
	if _, err = text.Call(t.Context(), pool, "seven"); !errors.As(err, &ce) || ce.Op != "decode the argument" {
		t.Errorf("argument of the wrong type: %v", err)
	}
	wrong := procpool.Remote[int, string]("square")
	if _, err = wrong.Call(t.Context(), pool, 7); !errors.As(err, &ce) || ce.Op != "decode the result" {
		t.Errorf("result of the wrong type: %v", err)
	}
	works(t, pool)
}

// A name that nobody serves: the error lists what is served and the nearest name,
// and for a handle of this program says what to do.
func TestUnknownTask(t *testing.T) {
	pool := newPool(t, executor.Config{})
	_, err := procpool.Remote[int, int]("sqare").Call(t.Context(), pool, 7)
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	mustContain(t, err, `"sqare"`, `did you mean "square"?`, `"allocate"`)
	_, err = unserved.Call(t.Context(), pool, 7)
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	mustContain(t, err, "pass it to workerproc.Init")
}

// An argument or a result over MaxPayload fails its call, with both sizes.
func TestTooLarge(t *testing.T) {
	pool := newPool(t, executor.Config{MaxPayload: 64 << 10, Workers: 1})
	before, _ := pid.Call(t.Context(), pool, struct{}{})
	_, err := echo.Call(t.Context(), pool, make([]byte, 64<<10+1))
	if !errors.Is(err, procpool.ErrTooLarge) {
		t.Errorf("argument: %v", err)
	}
	mustContain(t, err, "65537", "65536")
	if _, err := big.Call(t.Context(), pool, 128<<10); !errors.Is(err, procpool.ErrTooLarge) {
		t.Errorf("result: %v", err)
	}
	if out, err := echo.Call(t.Context(), pool, make([]byte, 64<<10)); len(out) != 64<<10 || err != nil {
		t.Errorf("at the limit: %d bytes, %v", len(out), err)
	}
	if after, _ := pid.Call(t.Context(), pool, struct{}{}); after != before {
		t.Error("a payload that was too large cost its worker")
	}
}

// A worker's arguments hold only the program's name; its environment is the
// host's without our variables, with the threads bounded.
func TestWorkerEnvironment(t *testing.T) {
	t.Setenv("PROCPOOL_TEST_DROPPED", "1")
	t.Setenv("PLUGIN_TEST_DROPPED", "1")
	t.Setenv("SOME_VARIABLE", "kept")
	pool := newPool(t, executor.Config{Workers: 1, ThreadsPerWorker: 3})
	args, err := arguments.Call(t.Context(), pool, 0)
	if err != nil || len(args) != 1 {
		t.Errorf("arguments %q, %v", args, err)
	}
	env, err := environment.Call(t.Context(), pool, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SOME_VARIABLE=kept", "GOMAXPROCS=3", "OMP_NUM_THREADS=3"} {
		if !slices.Contains(env, want) {
			t.Errorf("the worker's environment lacks %s", want)
		}
	}
	for _, entry := range env {
		if strings.HasPrefix(entry, "PLUGIN_") || strings.HasPrefix(entry, "PROCPOOL_") && !strings.HasPrefix(entry, "PROCPOOL_DEPTH=") {
			t.Errorf("the worker's environment has %s", entry)
		}
	}
}

// #55: Config.Env replaces the host's environment, and wins over our variables.
func TestConfigEnv(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Env: []string{"ONLY=this", "GOMAXPROCS=2", "PATH=" + os.Getenv("PATH")}})
	env, err := environment.Call(t.Context(), pool, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(env, "ONLY=this") || !slices.Contains(env, "GOMAXPROCS=2") || slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		t.Errorf("%q", env)
	}
}

// T127: pools nest only so deep; the innermost says why.
func TestNestingIsBounded(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	end, err := nested.Call(t.Context(), pool, 1)
	if err != nil || !strings.HasPrefix(end, "3: ") || !strings.Contains(end, "nested 3 deep") {
		t.Errorf("%q, %v", end, err)
	}
}

// A pool that is dropped without Close finishes its calls and ends by itself.
// T107.
func TestDroppedPoolEnds(t *testing.T) {
	future, worker := func() (*procpool.Future[int], int) {
		processes(t)
		pool, err := executor.New(t.Context(), executor.Config{Workers: 1, Output: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		p, err := pid.Call(t.Context(), pool, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return square.Submit(t.Context(), pool, 5), p
	}()
	if v, err := result(t, future); v != 25 || err != nil {
		t.Errorf("the pending call: %d, %v", v, err)
	}
	eventually(t, "the dropped pool's worker is gone", func() bool {
		runtime.GC()
		return !exists("/proc/" + strconv.Itoa(worker))
	})
}

// T042: futures resolve while callbacks submit more.
func TestSubmitFromCallback(t *testing.T) {
	pool := newPool(t, executor.Config{})
	end := make(chan error, 1)
	var step func(n int)
	step = func(n int) {
		if n == 0 {
			end <- nil
			return
		}
		f := square.Submit(context.Background(), pool, n)
		f.OnDone(func() {
			if v, err := f.Result(context.Background()); err != nil || v != n*n {
				end <- fmt.Errorf("step %d: %d, %w", n, v, err)
				return
			}
			step(n - 1)
		})
	}
	step(100)
	if err := <-end; err != nil {
		t.Error(err)
	}
}
