package executor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// spawnBench makes an actor.
func spawnBench(t *testing.T, pool *executor.Pool, in benchOpening, opts ...procpool.Option) *procpool.Ref {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ref, err := workbench.Spawn(ctx, pool, in, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// awaitEnd waits until an actor has ended.
func awaitEnd(t *testing.T, ref *procpool.Ref) error {
	t.Helper()
	select {
	case <-ref.Done():
	case <-time.After(patience):
		t.Fatalf("the actor has not ended in %v", patience)
	}
	return ref.Err()
}

// nothingLeft waits until the pool has no process for itself of anybody.
func nothingLeft(t *testing.T, pool *executor.Pool) {
	t.Helper()
	eventually(t, "their processes are gone", func() bool {
		s := pool.Stats()
		return s.Dedicated == 0 && s.Actors == 0
	})
}

// An actor keeps its state in a process of its own, which goes with it.
func TestActor(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	ledger := filepath.Join(t.TempDir(), "ledger")
	worker, _ := pid.Call(t.Context(), pool, struct{}{})
	a, b := spawnBench(t, pool, benchOpening{Start: 5, Ledger: ledger}), spawnBench(t, pool, benchOpening{})
	var futures []*procpool.Future[int]
	for range 1000 {
		futures = append(futures, benchAdd.Submit(t.Context(), a, 1))
	}
	for i, f := range futures {
		if n, err := result(t, f); n != i+6 || err != nil {
			t.Fatalf("call %d: %d, %v", i, n, err)
		}
	}
	first, err := result(t, benchPID.Submit(t.Context(), a, struct{}{}))
	second, otherErr := result(t, benchPID.Submit(t.Context(), b, struct{}{}))
	if err != nil || otherErr != nil || first == second || first == worker || second == worker || first == os.Getpid() {
		t.Errorf("they live in %d and %d, the worker is %d: %v, %v", first, second, worker, err, otherErr)
	}
	if s := pool.Stats(); s.Dedicated != 2 || s.Actors != 2 || s.Workers != 1 || s.Succeeded != 1005 {
		t.Errorf("%+v", s)
	}
	if info := futures[9].Info(); info.Task != "bench.add" || info.PID != first || info.Attempts != 1 || info.State != procpool.Done {
		t.Errorf("%+v", info)
	}
	works(t, pool)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if alive(first) || !errors.Is(a.Err(), procpool.ErrActorEnded) || b.Err() != nil {
		t.Errorf("its process lives: %v; %v, %v", alive(first), a.Err(), b.Err())
	}
	mustContain(t, awaitEnd(t, a), "has ended")
	if got, want := lines(t, ledger), []string{"opened in attempt 1", "closed at 1005"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := benchAdd.Call(t.Context(), a, 1); !errors.Is(err, procpool.ErrActorEnded) || errors.Is(err, procpool.ErrCrashed) {
		t.Errorf("closed: %v", err)
	}
	if err := errors.Join(a.Close(), b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, pool)
}

// What a method fails of costs neither the actor nor its neighbours anything.
func TestMethodFailures(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 10 * time.Second})
	a := spawnBench(t, pool, benchOpening{})
	defer a.Close()
	do := func(what string, opts ...procpool.Option) error {
		_, err := result(t, benchDo.Submit(t.Context(), a, benchWork{What: what}, opts...))
		return err
	}
	if err := do("error"); !errors.Is(err, errNoSuchThing) {
		t.Error(err)
	}
	for _, how := range []string{"panic", "goexit"} {
		if panicked, ok := errors.AsType[*procpool.PanicError](do(how)); !ok || panicked.Task != "bench.do" {
			t.Error(how, panicked)
		}
	}
	gate := filepath.Join(t.TempDir(), "gate")
	f, behind := benchWait.Submit(t.Context(), a, gate), benchAdd.Submit(t.Context(), a, 1)
	eventually(t, "it runs", func() bool { return exists(gate + ".started") })
	f.Cancel()
	if _, err := result(t, f); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n, err := result(t, behind); n != 2 || err != nil { // the cancelled one has counted
		t.Errorf("behind it: %d, %v", n, err)
	}
	_, err := result(t, benchWait.Submit(t.Context(), a, gate, procpool.Timeout(time.Millisecond)))
	if timeout, ok := errors.AsType[*procpool.TimeoutError](err); !ok || timeout.Task != "bench.wait" {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := benchWait.Call(ctx, a, gate); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := do("error", procpool.Retries(1), procpool.Backoff(0, 0), procpool.RetryOn(procpool.TaskFailure, nil)); !errors.Is(err, errNoSuchThing) {
		t.Error(err)
	}
	if s := pool.Stats(); s.Retried != 1 || s.Actors != 1 {
		t.Errorf("%+v", s)
	}
	sub := procpool.RemoteMethod[int, int](workbench, "ad")
	if _, err := sub.Call(t.Context(), a, 1); !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), `"bench.add"`) {
		t.Error(err)
	}
	if a.Err() != nil {
		t.Error(a.Err())
	}
}

// Ways in which an actor is not opened. The function's error is Spawn's.
func TestActorIsNotOpened(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 50 * time.Millisecond})
	dir := t.TempDir()
	spawn := func(in benchOpening, opts ...procpool.Option) error {
		_, err := workbench.Spawn(t.Context(), pool, in, opts...)
		return err
	}
	if err := spawn(benchOpening{How: "error"}); !errors.Is(err, errNoSuchThing) {
		t.Error(err)
	}
	if _, ok := errors.AsType[*procpool.PanicError](spawn(benchOpening{How: "goexit"})); !ok {
		t.Error("Goexit opens")
	}
	ledger := filepath.Join(dir, "ledger")
	crash, ok := errors.AsType[*procpool.CrashError](spawn(benchOpening{How: "exit 3", Ledger: ledger}, procpool.Restarts(5)))
	if !ok || crash.Task != "bench" || crash.ExitCode != 3 {
		t.Errorf("%+v", crash)
	}
	if got := lines(t, ledger); len(got) != 1 {
		t.Errorf("an opening that crashed was tried again: %q", got)
	}
	if err := spawn(benchOpening{How: "deaf"}, procpool.Timeout(time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for _, how := range []string{"", "deaf"} {
		ctx, cancel := context.WithCancel(t.Context())
		gate := filepath.Join(dir, "gate"+how)
		go func() {
			eventually(t, "it opens", func() bool { return exists(gate + ".started") })
			cancel()
			open(t, gate) // it is too late
		}()
		if _, err := workbench.Spawn(ctx, pool, benchOpening{Gate: gate, How: how}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	// Retries is for the opening, as for any call.
	ref := spawnBench(t, pool, benchOpening{How: "once"}, procpool.Retries(1), procpool.Backoff(0, 0))
	if n, err := result(t, benchAdd.Submit(t.Context(), ref, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := ref.Close(); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		`"benc", did you mean "bench"?`: spawnErr(procpool.RemoteActor[int]("benc").Spawn(t.Context(), pool, 1)),
		`an actor: it is a function`:    spawnErr(procpool.RemoteActor[int]("square").Spawn(t.Context(), pool, 1)),
		`"unserved"`:                    spawnErr(procpool.RemoteActor[int]("unserved").Spawn(t.Context(), pool, 1)),
	} {
		if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := procpool.Remote[benchOpening, int]("bench").Call(t.Context(), pool, benchOpening{})
	if !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("an actor as function: %v", err)
	}
	nothingLeft(t, pool)
	works(t, pool)
}

func spawnErr(_ *procpool.Ref, err error) error { return err }

// MaxDedicated bounds how many actors there are: further ones wait, or are refused with
// NoWait.
func TestActorsAreBounded(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 2})
	a, b := spawnBench(t, pool, benchOpening{}), spawnBench(t, pool, benchOpening{})
	defer b.Close()
	if _, err := workbench.Spawn(t.Context(), pool, benchOpening{}, procpool.NoWait()); !errors.Is(err, procpool.ErrQueueFull) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := workbench.Spawn(ctx, pool, benchOpening{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := result(t, useBench.Submit(t.Context(), pool, benchWork{What: "spawn"})); !errors.Is(err, procpool.ErrNestingLimit) {
		t.Errorf("a task does not wait: %v", err)
	}
	spawned := make(chan *procpool.Ref)
	go func() {
		c, err := workbench.Spawn(t.Context(), pool, benchOpening{})
		if err != nil {
			t.Error(err)
		}
		spawned <- c
	}()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := (<-spawned).Close(); err != nil {
		t.Error(err)
	}
}

// Close gives up what runs and what waits, closes the state, and kills only what does not
// stop.
func TestActorIsClosed(t *testing.T) {
	patient := newPool(t, executor.Config{Workers: 1, CancelGrace: patience, FinalTimeout: patience})
	impatient := newPool(t, executor.Config{Workers: 1, CancelGrace: 50 * time.Millisecond, FinalTimeout: 50 * time.Millisecond})
	for name, c := range map[string]struct {
		opening benchOpening
		runs    *procpool.Method[string, int]
		want    func(error) bool
		closed  bool // the state was
		late    bool // the process has 50 ms for what is asked of it, so that it may not have begun with it
	}{
		"idle":     {want: isNil, closed: true},
		"running":  {runs: benchWait, want: isNil, closed: true},
		"deaf":     {runs: benchDeaf, want: isNil, late: true},
		"error":    {opening: benchOpening{Close: "error"}, want: is(errNoSuchThing), closed: true},
		"hanging":  {opening: benchOpening{Close: "hang"}, want: is(context.DeadlineExceeded), late: true},
		"crashing": {opening: benchOpening{Close: "die"}, want: is(procpool.ErrCrashed), closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.opening.Ledger = filepath.Join(dir, "ledger")
			pool := patient
			if c.late {
				pool = impatient
			}
			ref := spawnBench(t, pool, c.opening, procpool.Restarts(3))
			id, _ := benchPID.Call(t.Context(), ref, struct{}{})
			var given []*procpool.Future[int]
			if gate := filepath.Join(dir, "gate"); c.runs != nil {
				given = append(given, c.runs.Submit(t.Context(), ref, gate), benchAdd.Submit(t.Context(), ref, 1))
				eventually(t, "it runs", func() bool { return exists(gate + ".started") })
			}
			closed := make(chan error)
			for range 2 {
				go func() { closed <- ref.Close() }()
			}
			for range 2 {
				if err := <-closed; !c.want(err) {
					t.Errorf("Close: %v", err)
				}
			}
			for _, f := range append(given, benchAdd.Submit(t.Context(), ref, 1)) {
				if _, err := result(t, f); !errors.Is(err, procpool.ErrActorEnded) || errors.Is(err, procpool.ErrCrashed) {
					t.Error(err)
				}
			}
			if alive(id) {
				t.Error("its process outlives Close")
			}
			if got := lines(t, c.opening.Ledger); (len(got) == 2) != c.closed && c.opening.Close != "hang" {
				t.Errorf("%q", got)
			}
			mustContain(t, awaitEnd(t, ref), "it was closed")
		})
	}
	nothingLeft(t, patient)
	nothingLeft(t, impatient)
}

func isNil(err error) bool { return err == nil }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// One that is spawned in the moment in which a Shutdown begins is refused: else it took
// calls that the Shutdown does not wait for. Tasks still spawn.
func TestSpawnMeetsShutdown(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	pool.RefuseActors()
	for _, opts := range [][]procpool.Option{nil, {procpool.Shared()}} {
		if _, err := workbench.Spawn(t.Context(), pool, benchOpening{}, opts...); !errors.Is(err, procpool.ErrClosed) {
			t.Errorf("the program's: %v", err)
		}
	}
	if _, err := result(t, useBench.Submit(t.Context(), pool, benchWork{What: "spawn", N: 5})); err != nil {
		t.Errorf("a task's: %v", err)
	}
	nothingLeft(t, pool)
}

// The counts of an actor that ends go over to those of the past in one step: nobody who
// looks meanwhile sees them twice.
func TestStatsWhileActorsEnd(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	end := make(chan struct{})
	var looks sync.WaitGroup
	looks.Go(func() {
		for last := uint64(0); ; {
			select {
			case <-end:
				return
			default:
			}
			now := pool.Stats().Submitted
			if now < last {
				t.Errorf("%d calls were submitted, and later %d", last, now)
				return
			}
			last = now
		}
	})
	for range 8 {
		if err := spawnBench(t, pool, benchOpening{}).Close(); err != nil {
			t.Error(err)
		}
	}
	close(end)
	looks.Wait()
}

// A pool that is dropped finishes the calls of its actors, too, before these end.
func TestDroppedPoolsActors(t *testing.T) {
	dropped := make(chan struct{})
	gate := filepath.Join(t.TempDir(), "gate")
	future, home := func() (*procpool.Future[int], int) {
		processes(t)
		pool, err := executor.New(t.Context(), executor.Config{Workers: 1, Output: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(pool, func(dropped chan struct{}) { close(dropped) }, dropped)
		ref := spawnBench(t, pool, benchOpening{})
		return benchWait.Submit(t.Context(), ref, gate), startedIn(t, gate)
	}()
	eventually(t, "the pool is garbage", func() bool {
		runtime.GC()
		select {
		case <-dropped:
			return true
		default:
			return false
		}
	})
	for range 20 { // time for what must not happen
		runtime.GC()
	}
	open(t, gate)
	if n, err := result(t, future); n != 1 || err != nil {
		t.Errorf("the call: %d, %v", n, err)
	}
	eventually(t, "its process is gone", func() bool { return !alive(home) })
}
