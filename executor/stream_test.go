package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// values takes what a stream yields, but not for ever.
func values[T any](t *testing.T, seq func(func(T, error) bool)) (got []T, err error) {
	t.Helper()
	for v, e := range seq {
		if err != nil {
			t.Fatalf("the stream goes on after its error: %v, %v", v, e)
		}
		if err = e; err == nil {
			got = append(got, v)
		}
	}
	return got, err
}

// below returns the numbers below n.
func below(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// A stream yields what its task emits, in order, and ends when it returns.
func TestStream(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for _, n := range []int{0, 1, 10, 100_000} {
		if got, err := values(t, count.All(t.Context(), pool, n)); err != nil || !slices.Equal(got, below(n)) {
			t.Errorf("%d values of %d, %v", len(got), n, err)
		}
	}
	s := pool.Stats()
	if s.Succeeded != 4 || s.Submitted != 4 {
		t.Errorf("%+v", s)
	}
}

// The first value comes while the task goes on, and its neighbours are not held up by
// a reader that is slow.
func TestStreamYieldsAtOnce(t *testing.T) {
	pool := newPool(t, executor.Config{})
	gate := filepath.Join(t.TempDir(), "gate")
	n := 0
	for v, err := range ends.All(t.Context(), pool, ending{N: 3, Gate: gate}) {
		if err != nil || v != n {
			t.Fatalf("value %d: %d, %v", n, v, err)
		}
		if n++; n == 3 { // the task waits for us now
			if got, err := values(t, count.All(t.Context(), pool, 50_000)); err != nil || len(got) != 50_000 {
				t.Errorf("beside it: %d values, %v", len(got), err)
			}
			open(t, gate)
		}
	}
	if n != 3 {
		t.Errorf("%d values", n)
	}
}

// A reader that takes nothing stops its task, which sends no more than it may.
func TestStreamWaitsForItsReader(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 2})
	path := filepath.Join(t.TempDir(), "left")
	for v, err := range endless.All(t.Context(), pool, path, procpool.Window(1)) {
		if err != nil {
			t.Fatal(err)
		}
		if v == 2 {
			works(t, pool) // in the same worker
			if exists(path) {
				t.Error("the task could not wait")
			}
			break
		}
	}
	eventually(t, "the task ends", func() bool { return exists(path) })
	eventually(t, "it has said why", func() bool {
		why, err := os.ReadFile(path)
		return err == nil && len(why) > 0
	})
	if why, _ := os.ReadFile(path); !strings.HasSuffix(string(why), "cancelled: true") {
		t.Errorf("emit told it: %s", why)
	}
	eventually(t, "the pool has nothing to do", func() bool { s := pool.Stats(); return s.Running == 0 && s.Cancelled == 1 })
	if s := pool.Stats(); s.Killed != 0 {
		t.Errorf("the worker was killed although its task left: %+v", s)
	}
}

// What ends a stream comes behind its values.
func TestStreamErrors(t *testing.T) {
	for how, fine := range map[string]func(error) bool{
		"error": func(err error) bool {
			te, ok := errors.AsType[*procpool.TaskError](err)
			return ok && errors.Is(err, errNoSuchThing) && te.Task == "ends"
		},
		"panic": func(err error) bool {
			pe, ok := errors.AsType[*procpool.PanicError](err)
			return ok && !pe.Goexit
		},
		"goexit": func(err error) bool {
			pe, ok := errors.AsType[*procpool.PanicError](err)
			return ok && pe.Goexit
		},
		"exit 3": func(err error) bool {
			ce, ok := errors.AsType[*procpool.CrashError](err)
			return ok && ce.ExitCode == 3 && ce.Task == "ends" && ce.Suspects == 1
		},
	} {
		t.Run(how, func(t *testing.T) {
			pool := newPool(t, executor.Config{})
			got, err := values(t, ends.All(t.Context(), pool, ending{N: 5, How: how}))
			// What a process has emitted just before it dies may be lost.
			if !fine(err) || !slices.Equal(got, below(len(got))) || how != "exit 3" && len(got) != 5 {
				t.Errorf("%v, %v", got, err)
			}
			works(t, pool)
		})
	}
}

// What was read before a crash is a prefix; a crash that the reader waits for, and one
// of a task that waits for credit, end the stream.
func TestStreamCrashes(t *testing.T) {
	pool := newPool(t, executor.Config{})
	dir := t.TempDir()
	for name, in := range map[string]struct {
		ending
		window int
	}{
		"before the first value":  {ending{How: "kill"}, 1024},
		"while the reader waits":  {ending{N: 3, How: "kill"}, 1024},
		"behind many":             {ending{N: 10_000, How: "kill"}, 1024},
		"with a window of one":    {ending{N: 10, How: "kill"}, 1},
		"when it is to be killed": {ending{N: 1, Gate: filepath.Join(dir, "never")}, 1},
	} {
		var got []int
		var err error
		for v, e := range ends.All(t.Context(), pool, in.ending, procpool.Window(in.window)) {
			if err = e; e == nil {
				got = append(got, v)
			}
			if in.Gate != "" && e == nil {
				break
			}
		}
		if !slices.Equal(got, below(len(got))) || in.Gate == "" && !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("%s: %d values, %v", name, len(got), err)
		}
		if in.window == 1 && in.Gate == "" && len(got) < in.N-1 {
			t.Errorf("%s: of %d values %d came", name, in.N, len(got))
		}
	}
	works(t, pool)
}

// A stream is run again before its first value and not after it. Rule 6.3.
func TestStreamRunsAgain(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for n, runs := range map[int]int{0: 2, 4: 1} {
		ledger := filepath.Join(t.TempDir(), "ledger")
		gate := filepath.Join(t.TempDir(), "gate")
		in := ending{N: n, How: "once", Ledger: ledger}
		if n > 0 {
			in.Gate = gate // so that the values are there
		}
		var got []int
		var last error
		for v, err := range ends.All(t.Context(), pool, in, procpool.Idempotent(), procpool.Backoff(0, 0)) {
			if last = err; err == nil {
				got = append(got, v)
			}
			if len(got) == n && n > 0 {
				open(t, gate)
			}
		}
		if ran := lines(t, ledger); len(ran) != runs {
			t.Errorf("%d values: it ran %d times, want %d: %q", n, len(ran), runs, ran)
		}
		if n == 0 && (last != nil || !slices.Equal(got, []int{0})) || n > 0 && (!errors.Is(last, procpool.ErrCrashed) || len(got) != n) {
			t.Errorf("%d values: %v, %v", n, got, last)
		}
	}
}

// The end of its context ends a stream at once, whatever its task does.
func TestStreamContextEnds(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: longGrace})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	n := 0
	for _, err := range endless.All(ctx, pool, filepath.Join(t.TempDir(), "left")) {
		if n++; n == 3 {
			cancel(why)
		}
		if err != nil && (!errors.Is(err, context.Canceled) || !errors.Is(err, why)) {
			t.Error(err)
		}
		if err == nil && n > 3 {
			t.Error("a value after the end")
		}
	}
	if _, err := values(t, count.All(ctx, pool, 3)); !errors.Is(err, why) {
		t.Errorf("of a context that has ended: %v", err)
	}
	works(t, pool)
}

// Timeout counts what the task computes, not what it waits for its reader. Rule 6.4.
func TestStreamTimeout(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: 50 * time.Millisecond})
	limit := 300 * time.Millisecond
	begun, n := time.Now(), 0
	for _, err := range endless.All(t.Context(), pool, filepath.Join(t.TempDir(), "left"), procpool.Window(1), procpool.Timeout(limit)) {
		if err != nil {
			t.Fatalf("after %v and %d values: %v", time.Since(begun), n, err)
		}
		n++
		if time.Since(begun) > 3*limit {
			break
		}
		_ = nap(t.Context(), 50*time.Millisecond)
	}
	_, err := values(t, ends.All(t.Context(), pool, ending{N: 1, Gate: filepath.Join(t.TempDir(), "never")}, procpool.Timeout(limit)))
	if te, ok := errors.AsType[*procpool.TimeoutError](err); !ok || te.Limit != limit {
		t.Error(err)
	}
	works(t, pool)
}

// Values of any size up to MaxPayload come through; a larger one ends the stream.
func TestStreamOfLargeValues(t *testing.T) {
	pool := newPool(t, executor.Config{MaxPayload: 4 << 20})
	sizes := []int{0, 1, 100, 16 << 10, 1 << 20, 3 << 20, 5, 4<<20 - 16}
	got, err := values(t, blobs.All(t.Context(), pool, sizes))
	if err != nil || len(got) != len(sizes) {
		t.Fatalf("%d values, %v", len(got), err)
	}
	for i, b := range got {
		if len(b) != sizes[i] || slices.ContainsFunc(b, func(c byte) bool { return c != byte(i) }) {
			t.Errorf("value %d has %d bytes", i, len(b))
		}
	}
	got, err = values(t, blobs.All(t.Context(), pool, []int{10, 5 << 20}))
	if len(got) != 1 || !errors.Is(err, procpool.ErrTooLarge) {
		t.Errorf("%d values, %v", len(got), err)
	}
	mustContain(t, err, "blobs", "MaxPayload")
}

// What is no stream can't be called as one, nor a stream as a function; the error
// says what each side means.
func TestStreamCalledAsWhatItIsNot(t *testing.T) {
	pool := newPool(t, executor.Config{})
	_, err := values(t, procpool.RemoteStream[int, int]("square").All(t.Context(), pool, 1))
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	mustContain(t, err, "square", "stream", "function")
	_, err = procpool.Remote[int, int]("count").Call(t.Context(), pool, 1)
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	mustContain(t, err, "count", "stream", "function")
	talk := procpool.RemoteSession[int, int, int]("count").Open(t.Context(), pool, 1)
	defer talk.Close()
	_, err = talk.Recv(t.Context())
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	works(t, pool)
}

// The pool's end ends streams.
func TestStreamOfClosedPool(t *testing.T) {
	pool := newPool(t, executor.Config{})
	next := 0
	var last error
	for v, err := range endless.All(t.Context(), pool, filepath.Join(t.TempDir(), "left")) {
		if last = err; err != nil {
			break
		}
		if v != next {
			t.Fatalf("value %d is %d", next, v)
		}
		if next++; next == 10 {
			pool.Close()
		}
	}
	if !errors.Is(last, procpool.ErrClosed) {
		t.Error(last)
	}
	if _, err := values(t, count.All(t.Context(), pool, 3)); !errors.Is(err, procpool.ErrClosed) {
		t.Errorf("of a closed pool: %v", err)
	}
}

// Shutdown waits for streams.
func TestStreamAtShutdown(t *testing.T) {
	pool := newPool(t, executor.Config{})
	done := make(chan error, 1)
	n := 0
	for _, err := range count.All(t.Context(), pool, 20_000) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			go func() { done <- pool.Shutdown(context.WithoutCancel(t.Context())) }()
		}
	}
	if err := <-done; err != nil || n != 20_000 {
		t.Errorf("%d values, %v", n, err)
	}
}
