package executor_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

var inCompany = procpool.Shared()

// Actors that share a process have states of their own, and end one by one; the process
// goes with the last.
func TestActorsShareAProcess(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 1})
	ledger := filepath.Join(t.TempDir(), "ledger")
	a, b := spawnBench(t, pool, benchOpening{Ledger: ledger}, inCompany), spawnBench(t, pool, benchOpening{Start: 10}, inCompany)
	for i := range 100 {
		n, err := result(t, benchAdd.Submit(t.Context(), a, 1))
		m, otherErr := result(t, benchAdd.Submit(t.Context(), b, 1))
		if n != i+1 || m != i+11 || err != nil || otherErr != nil {
			t.Fatalf("%d, %d, %v, %v", n, m, err, otherErr)
		}
	}
	first, _ := benchPID.Call(t.Context(), a, struct{}{})
	if second, err := benchPID.Call(t.Context(), b, struct{}{}); second != first || err != nil {
		t.Errorf("they live in %d and %d, %v", first, second, err)
	}
	if s := pool.Stats(); s.Actors != 2 || s.Dedicated != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := workbench.Spawn(t.Context(), pool, benchOpening{How: "error"}, inCompany); !errors.Is(err, errNoSuchThing) {
		t.Error(err)
	}
	// One calls the other, through the only lane that there is for both.
	if n, err := result(t, benchDo.Submit(t.Context(), a, benchWork{What: "add", Ref: b, N: 1})); n != 111 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := result(t, benchDo.Submit(t.Context(), a, benchWork{What: "add by a task", Ref: a, N: 1})); !errors.Is(err, procpool.ErrReentrant) {
		t.Error(err)
	}
	waits := benchWait.Submit(t.Context(), b, filepath.Join(t.TempDir(), "never"))
	behind := benchAdd.Submit(t.Context(), a, 1)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := result(t, waits); !errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
	if n, err := result(t, behind); n != 101 || err != nil {
		t.Errorf("the other one's: %d, %v", n, err)
	}
	if !alive(first) {
		t.Error("the process has gone with one of its actors")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the process goes with the last", func() bool { return !alive(first) })
	nothingLeft(t, pool)
	if got := lines(t, ledger); got[len(got)-1] != "closed at 101" {
		t.Errorf("%q", got)
	}
}

// They run beside each other as Concurrency allows, each one call at a time.
func TestSharedActorsRunBesideEachOther(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 2})
	a, b := spawnBench(t, pool, benchOpening{}, inCompany), spawnBench(t, pool, benchOpening{}, inCompany)
	defer a.Close()
	defer b.Close()
	gate := filepath.Join(t.TempDir(), "gate")
	waits, behind := benchWait.Submit(t.Context(), a, gate), benchAdd.Submit(t.Context(), a, 1)
	eventually(t, "it runs", func() bool { return exists(gate + ".started") })
	if n, err := result(t, benchAdd.Submit(t.Context(), b, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s := behind.State(); s != procpool.Queued {
		t.Errorf("a second call of one actor is %v", s)
	}
	open(t, gate)
	if n, err := result(t, waits); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := result(t, behind); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// They share the fate of their process.
func TestSharedActorsEndTogether(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 10 * time.Millisecond, RetireGrace: 10 * time.Millisecond})
	spawn := func() (a, b *procpool.Ref) {
		return spawnBench(t, pool, benchOpening{}, inCompany), spawnBench(t, pool, benchOpening{}, inCompany)
	}
	ended := func(name string, refs ...*procpool.Ref) {
		t.Helper()
		for _, ref := range refs {
			if err := awaitEnd(t, ref); !errors.Is(err, procpool.ErrCrashed) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := result(t, benchAdd.Submit(t.Context(), ref, 1)); !errors.Is(err, procpool.ErrActorEnded) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	a, b := spawn()
	dies, behind := benchDo.Submit(t.Context(), a, benchWork{What: "exit 3"}), benchAdd.Submit(t.Context(), b, 1)
	if _, err := result(t, dies); !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
	if n, err := result(t, behind); n != 1 && !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("%d, %v", n, err)
	}
	ended("a crash", a, b)
	a, b = spawn()
	id, _ := benchPID.Call(t.Context(), a, struct{}{})
	if err := sendSignal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended("idle", a, b)
	a, b = spawn()
	gate := filepath.Join(t.TempDir(), "gate")
	deaf := benchDeaf.Submit(t.Context(), a, gate)
	eventually(t, "it runs", func() bool { return exists(gate + ".started") })
	deaf.Cancel()
	ended("a method that goes on", a, b)
	if _, err := workbench.Spawn(t.Context(), pool, benchOpening{How: "exit 3"}, inCompany); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	nothingLeft(t, pool)
	works(t, pool)
}

// 64 are in a process, further ones in another.
func TestSharedActorsFillProcesses(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	var refs []*procpool.Ref
	pids := make(map[int]int)
	for range 70 {
		ref := spawnBench(t, pool, benchOpening{}, inCompany)
		refs = append(refs, ref)
		id, err := result(t, benchPID.Submit(t.Context(), ref, struct{}{}))
		if err != nil {
			t.Fatal(err)
		}
		pids[id]++
	}
	if s := pool.Stats(); len(pids) != 2 || s.Actors != 70 || s.Dedicated != 2 {
		t.Errorf("%v, %+v", pids, s)
	}
	// What is closed makes room.
	if err := refs[0].Close(); err != nil {
		t.Error(err)
	}
	spawnBench(t, pool, benchOpening{}, inCompany)
	if s := pool.Stats(); s.Actors != 70 || s.Dedicated != 2 {
		t.Errorf("%+v", s)
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := awaitEnd(t, refs[69]); !errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
}
