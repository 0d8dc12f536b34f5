package executor_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T053, T056, #57: every worker makes the initializer with its argument before it
// takes calls, the replacements too.
func TestInitializer(t *testing.T) {
	pool := newPool(t, executor.Config{Initializer: prepare.Bind("model.bin")})
	seen := make(map[int]bool)
	for round := range 3 {
		for range 20 {
			f := preparedAs.Submit(t.Context(), pool, struct{}{})
			if how, err := result(t, f); how != "model.bin" || err != nil {
				t.Errorf("round %d: %q, %v", round, how, err)
			}
			seen[f.Info().PID] = true
		}
		_, _ = die.Call(t.Context(), pool, "kill")
	}
	if len(seen) < 2 {
		t.Error("no worker was replaced")
	}
}

// T054, T058, T059: a worker whose initializer fails has failed to start, however it
// fails. Rule 6.7.
func TestFailingInitializer(t *testing.T) {
	unencodable := procpool.Remote[chan int, int]("prepare")
	for name, test := range map[string]struct {
		initializer procpool.Bound
		words       []string
		is          func(error) bool
	}{
		"error":       {prepare.Bind("error"), []string{`initializer, task "prepare"`, "the model is missing"}, isA[*procpool.TaskError]},
		"panic":       {prepare.Bind("panic"), []string{"no model"}, isA[*procpool.PanicError]},
		"exit":        {prepare.Bind("exit"), []string{"exit status 3", "no licence"}, isA[*procpool.CrashError]},
		"too long":    {prepare.Bind("hang"), []string{"300ms"}, isA[*procpool.TimeoutError]},
		"own timeout": {prepare.Bind("hang", procpool.Timeout(100*time.Millisecond)), []string{"100ms"}, isA[*procpool.TimeoutError]},
		"not served":  {unserved.Bind(1), []string{"unserved"}, func(err error) bool { return errors.Is(err, procpool.ErrUnknownTask) }},
		"unencodable": {unencodable.Bind(nil), []string{"Initializer"}, isA[*procpool.CodecError]},
	} {
		t.Run(name, func(t *testing.T) {
			processes(t)
			_, err := executor.New(t.Context(), executor.Config{Workers: 2, Initializer: test.initializer, InitTimeout: 300 * time.Millisecond})
			mustContain(t, err, test.words...)
			if !test.is(err) || name != "unencodable" && !isA[*procpool.StartError](err) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// New's context and Close end an initializer that goes on.
func TestInitializerIsGivenUp(t *testing.T) {
	processes(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := executor.New(ctx, executor.Config{Workers: 1, Initializer: prepare.Bind("hang")})
	if !errors.Is(err, context.DeadlineExceeded) || !isA[*procpool.StartError](err) {
		t.Errorf("%v", err)
	}
}

// #43, T057: a worker makes its finalizer when it leaves in peace, whatever for, and
// not when it is killed.
func TestFinalizer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "said")
	pool := newPool(t, executor.Config{Workers: 2, Finalizer: farewell.Bind(path), FinalTimeout: patience})
	first := pids(t, pool)
	if err := pool.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := pids(t, pool)
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	var want []string
	for _, pid := range append(first, second...) {
		want = append(want, strconv.Itoa(pid))
	}
	got := lines(t, path)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the finalizer ran in %v, want %v", got, want)
	}

	other := filepath.Join(t.TempDir(), "said")
	pool = newPool(t, executor.Config{Workers: 2, Finalizer: farewell.Bind(other)})
	_, _ = die.Call(t.Context(), pool, "kill")
	pool.Close()
	if exists(other) {
		t.Errorf("it ran at Close or in a worker that died: %v", lines(t, other))
	}
}

// pids returns the ids of the pool's workers.
func pids(t *testing.T, pool *executor.Pool) (ids []int) {
	t.Helper()
	eventually(t, "all workers are there", func() bool {
		s := pool.Stats()
		return s.Starting == 0 && s.Retiring == 0
	})
	dir := t.TempDir()
	var fs []*procpool.Future[int]
	for i := range pool.Stats().Workers - pool.Stats().Spares {
		fs = append(fs, gate.Submit(t.Context(), pool, filepath.Join(dir, strconv.Itoa(i))))
	}
	for i := range fs {
		eventually(t, "it runs", func() bool { return exists(filepath.Join(dir, strconv.Itoa(i)+".started")) })
	}
	for i, f := range fs {
		open(t, filepath.Join(dir, strconv.Itoa(i)))
		id, err := result(t, f)
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// A finalizer that fails or does not end is an event, and the worker leaves.
func TestFailingFinalizer(t *testing.T) {
	for name, final := range map[string]procpool.Bound{
		"error": farewell.Bind("error"),
		"hang":  prepare.Bind("hang"),
		"exit":  prepare.Bind("exit"),
	} {
		t.Run(name, func(t *testing.T) {
			events := newEventLog()
			pool := newPool(t, executor.Config{
				Workers: 1, Finalizer: final, FinalTimeout: 200 * time.Millisecond, OnEvent: events.hear,
			})
			before, _ := pid.Call(t.Context(), pool, struct{}{})
			if err := pool.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			e, err := events.await(executor.FinalizerFailed)
			if err != nil || e.PID != before || e.Err == nil {
				t.Errorf("%+v, %v", e, err)
			}
			works(t, pool)
			if s := pool.Stats(); s.Workers != 1 {
				t.Errorf("the worker lives on: %+v", s)
			}
		})
	}
}
