package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// A crash ends an actor: the call that ran gets the crash, the others get that the actor
// has ended, and of what.
func TestActorCrash(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for _, how := range []string{"exit 3", "kill", "goroutine panic"} {
		ref := spawnBench(t, pool, benchOpening{})
		gate := filepath.Join(t.TempDir(), "gate")
		before := benchWait.Submit(t.Context(), ref, gate)
		dies := benchDo.Submit(t.Context(), ref, benchWork{What: how})
		var behind []*procpool.Future[int]
		for range 10 {
			behind = append(behind, benchAdd.Submit(t.Context(), ref, 1, procpool.Idempotent()))
		}
		open(t, gate)
		if _, err := result(t, before); err != nil {
			t.Error(err)
		}
		_, err := result(t, dies)
		crash, ok := errors.AsType[*procpool.CrashError](err)
		if !ok || errors.Is(err, procpool.ErrActorEnded) || crash.Task != "bench.do" || crash.Suspects != 1 {
			t.Errorf("%s: %v", how, err)
		}
		for _, f := range append(behind, benchAdd.Submit(t.Context(), ref, 1)) {
			_, err := result(t, f)
			if why, ok := errors.AsType[*procpool.CrashError](err); !ok || !errors.Is(err, procpool.ErrActorEnded) || why.PID != crash.PID {
				t.Fatalf("%s, behind it: %v", how, err)
			}
		}
		if err := awaitEnd(t, ref); !errors.Is(err, procpool.ErrCrashed) {
			t.Error(err)
		}
		if err := ref.Close(); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("Close tells why it had ended: %v", err)
		}
	}
	nothingLeft(t, pool)
	works(t, pool)
}

// Processes in which it was opened again, and that die before they are given a call, have
// not failed to start: there is another at once, and calls wait for it.
func TestActorRestartsUncalled(t *testing.T) {
	ready := make(chan int, 10)
	pool := newPool(t, executor.Config{Workers: 1, OnEvent: func(e executor.Event) {
		if e.Kind == executor.WorkerReady {
			ready <- e.PID
		}
	}})
	<-ready
	ref := spawnBench(t, pool, benchOpening{Start: 7}, procpool.Restarts(6))
	for range 6 {
		kill(t, <-ready)
	}
	if n, err := result(t, benchAdd.Submit(t.Context(), ref, 1)); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := ref.Close(); err != nil {
		t.Error(err)
	}
}

// With Restarts it is opened again, and what had not started runs there.
func TestActorRestarts(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	ledger := filepath.Join(t.TempDir(), "ledger")
	ref := spawnBench(t, pool, benchOpening{Start: 100, Ledger: ledger}, procpool.Restarts(2))
	for round := range 2 {
		gate := filepath.Join(t.TempDir(), "gate")
		running := benchWait.Submit(t.Context(), ref, gate)
		dies := benchDo.Submit(t.Context(), ref, benchWork{What: "kill"})
		again := benchDo.Submit(t.Context(), ref, benchWork{What: "square", N: 7})
		behind := benchAdd.Submit(t.Context(), ref, 1)
		open(t, gate)
		if n, err := result(t, running); n != 101 || err != nil {
			t.Errorf("round %d: %d, %v", round, n, err)
		}
		if _, err := result(t, dies); !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
			t.Error(err)
		}
		if n, err := result(t, again); n != 49 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := result(t, behind); n != 101 || err != nil {
			t.Errorf("it was not opened from its argument: %d, %v", n, err)
		}
		if _, err := result(t, benchAdd.Submit(t.Context(), ref, -1)); err != nil || ref.Err() != nil {
			t.Error(err, ref.Err())
		}
	}
	id, _ := benchPID.Call(t.Context(), ref, struct{}{})
	if err := sendSignal(id, syscall.SIGKILL); err != nil { // while it idles
		t.Fatal(err)
	}
	if err := awaitEnd(t, ref); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	if got := lines(t, ledger); !slices.Equal(got, []string{"opened in attempt 1", "opened in attempt 1", "opened in attempt 1"}) {
		t.Errorf("%q", got)
	}
	nothingLeft(t, pool)
}

// An actor that dies while it idles is opened again at once; a call whose options say so
// is run again in the next process.
func TestActorRestartsIdle(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	ledger := filepath.Join(t.TempDir(), "ledger")
	ref := spawnBench(t, pool, benchOpening{Ledger: ledger}, procpool.Restarts(2))
	defer ref.Close()
	id, _ := benchPID.Call(t.Context(), ref, struct{}{})
	if err := sendSignal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is opened again", func() bool { return len(lines(t, ledger)) == 2 })
	again, err := result(t, benchPID.Submit(t.Context(), ref, struct{}{}))
	if err != nil || again == id {
		t.Errorf("%d and %d, %v", id, again, err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	f := benchWait.Submit(t.Context(), ref, gate, procpool.Retries(1))
	eventually(t, "it runs", func() bool { return exists(gate + ".started") })
	if err := sendSignal(again, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	open(t, gate)
	if n, err := result(t, f); n != 1 || err != nil || f.Info().Attempts != 2 {
		t.Errorf("%d, %v, %+v", n, err, f.Info())
	}
}

// Opening it again is tried as often as Restarts says.
func TestActorIsNotOpenedAgain(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for how, want := range map[string]error{"second": procpool.ErrCrashed, "second error": nil} {
		ledger := filepath.Join(t.TempDir(), "ledger")
		ref := spawnBench(t, pool, benchOpening{Ledger: ledger, How: how}, procpool.Restarts(2))
		dies := benchDo.Submit(t.Context(), ref, benchWork{What: "kill"})
		behind := benchAdd.Submit(t.Context(), ref, 1)
		if _, err := result(t, dies); !errors.Is(err, procpool.ErrCrashed) {
			t.Error(err)
		}
		_, err := result(t, behind)
		if !errors.Is(err, procpool.ErrActorEnded) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", how, err)
		}
		mustContain(t, awaitEnd(t, ref), `the actor "bench" could not be opened again`)
		if got := lines(t, ledger); len(got) != 3 {
			t.Errorf("%s: %q", how, got)
		}
	}
	nothingLeft(t, pool)
}

// Closing an actor that is being opened again waits for nothing.
func TestActorIsClosedWhileItRestarts(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	open(t, gate)
	ref := spawnBench(t, pool, benchOpening{Gate: gate}, procpool.Restarts(1))
	if err := errors.Join(os.Remove(gate), os.Remove(gate+".started")); err != nil {
		t.Fatal(err)
	}
	if _, err := result(t, benchDo.Submit(t.Context(), ref, benchWork{What: "kill"})); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	waits := benchAdd.Submit(t.Context(), ref, 1)
	eventually(t, "it opens again", func() bool { return exists(gate + ".started") })
	if err := ref.Close(); err != nil {
		t.Error(err)
	}
	if _, err := result(t, waits); !errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
	nothingLeft(t, pool)
}

// A method that goes on after it was given up costs the actor its process.
func TestDeafMethod(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 10 * time.Millisecond})
	ref := spawnBench(t, pool, benchOpening{Start: 7}, procpool.Restarts(1))
	for round := range 2 {
		gate := filepath.Join(t.TempDir(), "gate")
		deaf, behind := benchDeaf.Submit(t.Context(), ref, gate), benchAdd.Submit(t.Context(), ref, 1)
		eventually(t, "it runs", func() bool { return exists(gate + ".started") })
		deaf.Cancel()
		if n, err := result(t, behind); round == 0 && (n != 8 || err != nil) || round == 1 && !errors.Is(err, procpool.ErrActorEnded) {
			t.Errorf("round %d: %d, %v", round, n, err)
		}
	}
	mustContain(t, awaitEnd(t, ref), "has ended")
	nothingLeft(t, pool)
}

// The end of the pool is the end of its actors, whatever they do.
func TestActorsOfClosedPool(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 3})
	dir := t.TempDir()
	ledger := filepath.Join(dir, "ledger")
	idle, busy := spawnBench(t, pool, benchOpening{Ledger: ledger}), spawnBench(t, pool, benchOpening{}, procpool.Restarts(3))
	deaf, waits := benchDeaf.Submit(t.Context(), busy, filepath.Join(dir, "deaf")), benchAdd.Submit(t.Context(), busy, 1)
	opens := make(chan error, 2)
	for range 2 { // one opens, and one waits for a place
		go func() {
			_, err := workbench.Spawn(context.Background(), pool, benchOpening{Gate: filepath.Join(dir, "gate")})
			opens <- err
		}()
	}
	eventually(t, "they run", func() bool {
		return exists(filepath.Join(dir, "gate.started")) && exists(filepath.Join(dir, "deaf.started"))
	})
	pool.Close()
	for range 2 {
		if err := <-opens; !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
	for _, f := range []*procpool.Future[int]{deaf, waits, benchAdd.Submit(t.Context(), idle, 1)} {
		if _, err := result(t, f); !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
	for _, ref := range []*procpool.Ref{idle, busy} {
		if err := awaitEnd(t, ref); !errors.Is(err, procpool.ErrClosed) || !errors.Is(err, procpool.ErrActorEnded) {
			t.Error(err)
		}
		if err := ref.Close(); !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := workbench.Spawn(t.Context(), pool, benchOpening{}); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
	if got := lines(t, ledger); len(got) != 1 {
		t.Errorf("Close has closed a state: %q", got)
	}
}

// Shutdown waits for the calls of actors, those that tasks make included, and closes their
// states.
func TestActorsAtShutdown(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	dir := t.TempDir()
	gate, taskGate, ledger := filepath.Join(dir, "gate"), filepath.Join(dir, "task"), filepath.Join(dir, "ledger")
	a, b := spawnBench(t, pool, benchOpening{Ledger: ledger}), spawnBench(t, pool, benchOpening{})
	runs, waits := benchWait.Submit(t.Context(), a, gate), benchDo.Submit(t.Context(), a, benchWork{What: "add", Ref: b, N: 5})
	calls := benchDo.Submit(t.Context(), a, benchWork{What: "square", N: 6})
	task := thenUseBench.Submit(t.Context(), pool, benchWork{What: taskGate, Ref: b, N: 3})
	eventually(t, "they run", func() bool { return exists(gate+".started") && exists(taskGate+".started") })
	over := make(chan error)
	go func() { over <- pool.Shutdown(context.Background()) }()
	eventually(t, "no more calls are taken", func() bool {
		_, err := benchAdd.Call(t.Context(), b, 0)
		return errors.Is(err, procpool.ErrClosed)
	})
	open(t, gate)
	for f, want := range map[*procpool.Future[int]]int{runs: 1, waits: 5, calls: 36} {
		if n, err := result(t, f); n != want || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	open(t, taskGate)
	if n, err := result(t, task); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if got, want := lines(t, ledger), []string{"opened in attempt 1", "closed at 1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := awaitEnd(t, a); !errors.Is(err, procpool.ErrActorEnded) || a.Close() != nil {
		t.Error(err)
	}
}
