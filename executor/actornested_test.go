package executor_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// Tasks call actors, actors call tasks and each other, and wait in none of the pool's
// places meanwhile.
func TestActorsAndTasks(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	a, b := spawnBench(t, pool, benchOpening{}), spawnBench(t, pool, benchOpening{Start: 100})
	defer a.Close()
	defer b.Close()
	if n, err := result(t, useBench.Submit(t.Context(), pool, benchWork{Ref: a, N: 2})); n != 2 || err != nil {
		t.Errorf("a task: %d, %v", n, err)
	}
	if n, err := result(t, benchDo.Submit(t.Context(), a, benchWork{What: "square", N: 7})); n != 49 || err != nil {
		t.Errorf("an actor calls a task: %d, %v", n, err)
	}
	if n, err := result(t, benchDo.Submit(t.Context(), a, benchWork{What: "add", Ref: b, N: 1})); n != 101 || err != nil {
		t.Errorf("an actor calls another: %d, %v", n, err)
	}
	// With one worker: a task waits for an actor, which waits for a task, which waits
	// for an actor.
	deep := relay.Submit(t.Context(), pool, relayWork{Ref: a, Work: benchWork{What: "add by a task", Ref: b, N: 1}})
	if n, err := result(t, deep); n != 102 || err != nil {
		t.Errorf("in turn: %d, %v", n, err)
	}
	if s := pool.Stats(); s.Nested != 0 || s.Workers != 1 {
		t.Errorf("%+v", s)
	}
	// Many at once.
	var futures []*procpool.Future[int]
	for range 100 {
		futures = append(futures, useBench.Submit(t.Context(), pool, benchWork{Ref: a, N: 1}))
	}
	for _, f := range futures {
		if _, err := result(t, f); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := result(t, benchAdd.Submit(t.Context(), a, 0)); n != 102 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// An actor can't wait for itself: neither a method that calls another of the same actor,
// nor by way of tasks and other actors.
func TestActorIsNotReentrant(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	a := spawnBench(t, pool, benchOpening{})
	b := spawnBench(t, pool, benchOpening{})
	defer a.Close()
	defer b.Close()
	for name, w := range map[string]benchWork{
		"directly":  {What: "add", Ref: a, N: 1},
		"by a task": {What: "add by a task", Ref: a, N: 1},
		"closing":   {What: "close", Ref: a},
	} {
		if _, err := result(t, benchDo.Submit(t.Context(), a, w)); !errors.Is(err, procpool.ErrReentrant) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// a calls b, which calls a task, which calls a.
	circle := relayWork{Ref: b, Work: benchWork{What: "add by a task", Ref: a, N: 1}}
	if _, err := result(t, benchRelay.Submit(t.Context(), a, circle)); !errors.Is(err, procpool.ErrReentrant) {
		t.Errorf("in a circle: %v", err)
	}
	// Twice one after the other is no circle.
	if _, err := result(t, benchRelay.Submit(t.Context(), a, relayWork{Ref: b, Work: benchWork{What: "square", N: 1}})); err != nil {
		t.Error(err)
	}
	for _, ref := range []*procpool.Ref{a, b} {
		if n, err := result(t, benchAdd.Submit(t.Context(), ref, 1)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// What a task has spawned ends with it, what an actor has spawned with that.
func TestActorsEndWithTheirOwner(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for _, what := range []string{"spawn", "spawn and return"} {
		id, err := result(t, useBench.Submit(t.Context(), pool, benchWork{What: what, N: 5}))
		if err != nil || id == 0 {
			t.Errorf("%d, %v", id, err)
		}
		eventually(t, what+": it is gone", func() bool { return !alive(id) })
		nothingLeft(t, pool)
	}
	if _, err := result(t, useBench.Submit(t.Context(), pool, benchWork{What: "spawn and die"})); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	nothingLeft(t, pool)

	ledger := filepath.Join(t.TempDir(), "ledger")
	owner := spawnBench(t, pool, benchOpening{Friend: true, Ledger: ledger}, procpool.Restarts(1))
	if n, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "friend", N: 1})); n != 1001 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s := pool.Stats(); s.Actors != 2 {
		t.Errorf("%+v", s)
	}
	// Its crash ends what it had spawned, and it spawns another when it is opened again.
	if _, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "kill"})); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	if n, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "friend", N: 2})); n != 1002 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	eventually(t, "the first one is gone", func() bool { return pool.Stats().Actors == 2 && pool.Stats().Dedicated == 2 })
	// A method's spawn outlives the method, and not the actor.
	if _, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "spawn", N: 50})); err != nil {
		t.Error(err)
	}
	if n, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "friend", N: 3})); n != 53 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := owner.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, pool)
	got := strings.Join(lines(t, ledger), "\n")
	for _, want := range []string{"closed at 1001", "closed at 1002", "closed at 0"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// Of what a task or an actor has spawned nothing is kept when it has ended, however long
// its owner lives.
func TestEndedActorsAreForgotten(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	company := spawnBench(t, pool, benchOpening{}, inCompany) // or each of many had a process of its own
	defer company.Close()
	owner := spawnBench(t, pool, benchOpening{})
	defer owner.Close()
	inUse := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := inUse()
	const many = 100
	if _, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "spawn many", N: many})); err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	task := useBench.Submit(t.Context(), pool, benchWork{What: "spawn many", N: many, Ref: owner, Gate: gate})
	startedIn(t, gate)
	if more := (inUse() - before) >> 20; more > many/2 { // of 2 * many MiB
		t.Errorf("the host keeps %d MiB for actors that have ended", more)
	}
	open(t, gate)
	if _, err := result(t, task); err != nil {
		t.Error(err)
	}
}

// What an opening has spawned ends with its process, also where it is run again.
func TestActorsEndWithTheOpeningOfTheirOwner(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	ledger := filepath.Join(t.TempDir(), "ledger")
	owner := spawnBench(t, pool, benchOpening{Friend: true, Ledger: ledger, How: "once"}, procpool.Retries(1))
	eventually(t, "what the first opening has spawned is gone", func() bool {
		s := pool.Stats()
		return s.Actors == 2 && s.Dedicated == 2 && slices.Contains(lines(t, ledger), "closed at 1000")
	})
	if n, err := result(t, benchDo.Submit(t.Context(), owner, benchWork{What: "friend", N: 1})); n != 1001 || err != nil {
		t.Errorf("what the second has spawned: %d, %v", n, err)
	}
	if err := owner.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, pool)
}

// The errors of actors reach the tasks that call them.
func TestActorErrorsReachTasks(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	a := spawnBench(t, pool, benchOpening{})
	call := relayWork{Ref: a, Work: benchWork{What: "kill"}}
	if _, err := result(t, relay.Submit(t.Context(), pool, call)); !errors.Is(err, procpool.ErrCrashed) || errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
	mustContain(t, awaitEnd(t, a), "has ended")
	for range 2 {
		_, err := result(t, relay.Submit(t.Context(), pool, call))
		if !errors.Is(err, procpool.ErrActorEnded) {
			t.Error(err)
		}
		mustContain(t, err, "signal: killed") // the pool remembers why
	}
	if _, err := result(t, relay.Submit(t.Context(), pool, relayWork{Ref: strayRef(t, "bench#77"), Work: call.Work})); !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("there is none of that number: %v", err)
	}
}

// A Ref comes back from tasks, and is good in the pool that it is of.
func TestRefsTravel(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	a := spawnBench(t, pool, benchOpening{})
	back, err := passRef.Call(t.Context(), pool, a)
	if err != nil {
		t.Fatal(err)
	}
	bound := back.On(pool)
	if n, err := benchAdd.Call(t.Context(), bound, 1); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	// A task may end it.
	if _, err := endBench.Call(t.Context(), pool, a); err != nil {
		t.Error(err)
	}
	if err := awaitEnd(t, a); !errors.Is(err, procpool.ErrActorEnded) {
		t.Error(err)
	}
	if err := bound.Close(); !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("one that the pool does not know any more: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	other := newPool(t, executor.Config{Workers: 1})
	b := spawnBench(t, pool, benchOpening{})
	defer b.Close()
	if _, err := benchAdd.Call(t.Context(), b.On(other), 1); !errors.Is(err, procpool.ErrActorEnded) {
		t.Errorf("in another pool: %v", err)
	}
}

// What methods report and log is told as that of other calls.
func TestActorReports(t *testing.T) {
	var (
		mu   sync.Mutex
		seen []executor.Event
		log  strings.Builder
	)
	text := slog.NewTextHandler(&log, nil)
	pool := newPool(t, executor.Config{
		Workers: 1, Logger: slog.New(text),
		OnEvent: func(e executor.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == executor.TaskProgress {
				seen = append(seen, e)
			}
		},
	})
	a := spawnBench(t, pool, benchOpening{})
	defer a.Close()
	f := benchDo.Submit(t.Context(), a, benchWork{What: "report"})
	if _, err := result(t, f); err != nil {
		t.Fatal(err)
	}
	if p := f.Info().Progress; p.Fraction != 0.5 || p.Text != "half" {
		t.Errorf("%+v", p)
	}
	eventually(t, "the event is heard", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) > 0 })
	if seen[0].Task != "bench.do" || seen[0].Call != f.Info().Call || seen[0].Worker != f.Info().Worker {
		t.Errorf("%+v", seen[0])
	}
	pool.Close() // after which nobody logs
	if got := log.String(); !strings.Contains(got, `msg="at work"`) || !strings.Contains(got, "task=bench.do") {
		t.Errorf("logged %q", got)
	}
}

// strayRef is a Ref to an actor that there may not be.
func strayRef(t *testing.T, text string) *procpool.Ref {
	t.Helper()
	ref := new(procpool.Ref)
	if err := ref.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return ref
}
