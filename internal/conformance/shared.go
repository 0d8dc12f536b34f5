package conformance

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

// sharedCases are about the state that a pool keeps for tasks: as a pool's user has it,
// and message by message.
func sharedCases() []Case { return slices.Concat(poolSharedCases(), rawSharedCases()) }

const sharedSection = "shared state"

func poolSharedCases() []Case {
	const s = sharedSection
	fn, needs := []string{"shared"}, []string{capShared}
	works := []string{"shared", "pid"}
	return []Case{
		{Section: s, Name: "mutex", uses: fn, needs: needs, run: sharedMutex, Promise: "A call locks and unlocks a mutex, waits while the program holds it, and is told at once if it does not want to wait."},
		{Section: s, Name: "one at a time", uses: fn, needs: needs, run: sharedOneAtATime, Promise: "Of sixty calls in four workers that lock a mutex one has it at a time."},
		{Section: s, Name: "semaphore", uses: fn, needs: needs, run: sharedSemaphore, Promise: "A call gets as many permits of a semaphore as there are, and gives them back."},
		{Section: s, Name: "counter", uses: fn, needs: needs, run: sharedCounter, Promise: "A counter adds, also below 0 and to the last of 64 bits, and fails beyond that."},
		{Section: s, Name: "queue", uses: fn, needs: needs, run: sharedQueue, Promise: "Items of all types come out of a queue as they were put in, until it is closed and all are done."},
		{Section: s, Name: "queue of the program", uses: fn, needs: needs, run: sharedWithProgram, Promise: "Items travel between the program and calls, both ways."},
		{Section: s, Name: "queue that waits", uses: fn, needs: needs, run: sharedQueueWaits, Promise: "A call waits for room in a queue, for an item, and until all are done."},
		{Section: s, Name: "items come back", uses: fn, needs: needs, run: sharedItemsReturn, Promise: "An item that is returned is delivered again, which counts, and is a dead letter when it has been delivered as often as it may."},
		{Section: s, Name: "batches", uses: fn, needs: needs, run: sharedBatches, Promise: "Several items are put at once when there is room for all, got at once as far as there are some, and done at once."},
		{Section: s, Name: "batches come back", uses: fn, needs: needs, run: sharedBatchesReturn, Promise: "Of several items that a call has got at once those come back that it has not done, to where they were, when its result is there or its process has died."},
		{Section: s, Name: "mismatch", uses: fn, needs: needs, run: sharedMismatch, Promise: "A name that means something else is an error of its own, and so is giving back what one does not have."},
		{Section: s, Name: "in a pool of one", uses: fn, needs: needs, run: sharedInPoolOfOne, Promise: "In a pool of one worker a call that waits for an item does not keep another from putting it."},
		{Section: s, Name: "end of the call", uses: fn, needs: needs, run: sharedEndOfCall, Promise: "What a call has not given back is free when its result is there; the next who gets it is told, and an item is delivered again."},
		{Section: s, Name: "cancelled call that goes on", uses: works, needs: needs, run: sharedHeldOut, Promise: "A call that was cancelled keeps its lock as long as it runs."},
		{Section: s, Name: "crash", uses: works, needs: needs, run: sharedCrash, Promise: "What a call had whose process died is free when its error is there."},
		{Section: s, Name: "given up", uses: works, needs: needs, run: sharedGivenUp, Promise: "A call that is cancelled while it waits for a lock, permits, items, room or the end ends, and takes nothing away; the worker lives."},
	}
}

// op is a step of the function shared.
func op(operation string, arguments args) any {
	return args{"operation": operation, "arguments": arguments}
}

// What most steps are about.
const (
	guard, slots, total, jobs = "guard", "slots", "total", "jobs"

	slotsSize, jobsSize, jobsDeliveries = 3, 4, 2
)

func lock() any   { return op("mutex.lock", args{"name": guard}) }
func unlock() any { return op("mutex.unlock", args{"name": guard}) }

func acquire(n int) any {
	return op("semaphore.acquire", args{"name": slots, "size": slotsSize, "count": n})
}
func release() any { return op("semaphore.release", args{"name": slots}) }

func addTo(delta int64) any { return op("counter.add", args{"name": total, "delta": delta}) }

// onJobs is an operation of the queue.
func onJobs(operation string, more ...args) any {
	a := args{"name": jobs, "size": jobsSize, "deliveries": jobsDeliveries}
	for _, other := range more {
		maps.Copy(a, other)
	}
	return op(operation, a)
}

func noteStep(path, line string) any { return op("note", args{"path": path, "line": line}) }

// noWait makes a step one that does not wait.
func noWait(step any) any {
	step.(args)["arguments"].(args)["no_wait"] = true //nolint:forcetypeassert,errcheck // op has made it
	return step
}

func steps(all ...any) args { return args{"steps": all} }

// The same, as the program has them.
var (
	guardMutex = shared.DefineMutex(guard)
	slotsOf    = shared.DefineSemaphore(slots, slotsSize)
	totalOf    = shared.DefineCounter(total)
	jobsQueue  = shared.DefineQueue[any](jobs, jobsSize, shared.Deliveries(jobsDeliveries))
)

// stepAnswer is what a step has given.
type stepAnswer struct {
	Value map[string]any `cbor:"value"`
	Error *string        `cbor:"error"`
	Code  string         `cbor:"code"`
}

// String shows the answer.
func (s stepAnswer) String() string {
	if s.Error != nil {
		return fmt.Sprintf("the error %q with the code %q", *s.Error, s.Code)
	}
	return "the value " + brief(s.Value)
}

// code is that of an error that a step must give, empty for any.
type code string

// took ends the case if steps have not given what they must: an error with a code, or a
// value with these keys, of which one may be missing that is 0, false or empty.
func (t *trial) took(done string, got []stepAnswer, want ...any) {
	if len(got) != len(want) {
		t.failf("%s: expected the answers of %d steps, got %d: %v", done, len(want), len(got), got)
	}
	for i, answer := range got {
		fail := func(what any) { t.failf("%s: expected of step %d %v, got %s", done, i+1, what, answer) }
		switch w := want[i].(type) {
		case code:
			if answer.Error == nil || *answer.Error == "" || w != "" && answer.Code != string(w) {
				fail(fmt.Sprintf("an error with the code %q", string(w)))
			}
		case args:
			if answer.Error != nil {
				fail(w)
			}
			for key, value := range w {
				if has, there := answer.Value[key]; !alike(has, value) && (there || !isNothing(value)) {
					fail(w)
				}
			}
		}
	}
}

func isNothing(v any) bool {
	list, isList := v.([]any)
	return v == int64(0) || v == false || isList && len(list) == 0
}

// nothing is what a step gives of which nothing is asked.
var nothing = args{}

// share has a call take steps, and ends the case if they do not give what they must.
func (p *pool) share(done string, all []any, want ...any) {
	p.t.took(done, result(p, done, p.shares(all...)), want...)
}

// shares submits a call that takes steps.
func (p *pool) shares(all ...any) *procpool.Future[[]stepAnswer] {
	return submit[[]stepAnswer](p, "shared", steps(all...))
}

// can ends the case if the program is refused what it must get at once, or gets it
// otherwise than it must.
func can[T interface{ Abandoned() bool }](t *trial, done string, got T, err error, abandoned bool) T {
	if err != nil {
		t.failf("%s: expected that it is free, got %v", done, err)
	}
	expect(t, done+": whether the next to get it is told that it was abandoned", got.Abandoned(), abandoned)
	return got
}

func (p *pool) tryLock(done string, abandoned bool) *shared.Held {
	held, err := guardMutex.TryLock(p.t.ctx, p.Pool)
	return can(p.t, done+", and the program locked the mutex", held, err, abandoned)
}

func (p *pool) tryAcquire(done string, abandoned bool) *shared.Permits {
	permits, err := slotsOf.TryAcquire(p.t.ctx, p.Pool, slotsSize)
	return can(p.t, done+", and the program acquired all permits", permits, err, abandoned)
}

func (p *pool) tryGet(done string, value any, delivery int) *shared.Item[any] {
	item, err := jobsQueue.TryGet(p.t.ctx, p.Pool)
	if err != nil {
		p.t.failf("%s, and the program took an item: expected %s, got %v", done, brief(value), err)
	}
	if !alike(item.Value, value) || item.Delivery != delivery {
		p.t.failf("%s, and the program took an item: expected %s of delivery %d, got %s of delivery %d", done, brief(value), delivery, brief(item.Value), item.Delivery)
	}
	return item
}

func (p *pool) put(v any) { p.t.must(jobsQueue.Put(p.t.ctx, p.Pool, v)) }

func sharedMutex(t *trial) {
	p := t.pool()
	free := args{"abandoned": false}
	p.share("A mutex was locked and unlocked, three times", []any{lock(), unlock(), lock(), unlock(), noWait(lock()), unlock()}, free, nothing, free, nothing, free, nothing)
	held := p.tryLock("A mutex was locked and unlocked", false)
	const done = "The program held the mutex"
	p.share(done+", and a call locked it and did not want to wait", []any{noWait(lock()), lock2()}, code("shared_would_block"), free)
	notes := t.path("notes")
	f := p.shares(noteStep(notes, "waits"), lock(), noteStep(notes, "has it"), unlock())
	p.waits(notes, done+", and a call locked it")
	held.Unlock()
	t.took(done+", a call locked it, and it was unlocked", result(p, done, f), nothing, free, nothing, nothing)
	t.noted(notes, done+", a call locked it, and it was unlocked", "waits", "has it")
	p.tryLock("A call had locked and unlocked the mutex", false).Unlock()
}

// lock2 is of another mutex.
func lock2() any { return op("mutex.lock", args{"name": "another"}) }

// settle gives a call that does what it must not some time to do it.
func (p *pool) settle() {
	ctx, cancel := context.WithTimeout(p.t.ctx, settleTime)
	defer cancel()
	<-ctx.Done()
}

func sharedOneAtATime(t *trial) {
	p := t.pool(func(c *executor.Config) { c.Workers = 4 })
	notes := t.path("notes")
	var all []*procpool.Future[[]stepAnswer]
	const n = 60
	for range n {
		all = append(all, p.shares(lock(), noteStep(notes, "in"), addTo(1), noteStep(notes, "out"), unlock()))
	}
	const done = "Sixty calls locked a mutex, noted \"in\" and \"out\", and unlocked it"
	for _, f := range all {
		t.took(done, result(p, done, f), args{"abandoned": false}, nothing, nothing, nothing, nothing)
	}
	lines := t.lines(notes)
	expect(t, done+": the number of lines", len(lines), 2*n)
	for i, line := range lines {
		if want := []string{"in", "out"}[i%2]; line != want {
			t.failf("%s: expected that these take turns, line %d is %q", done, i+1, line)
		}
	}
	sum, err := totalOf.Value(t.ctx, p.Pool)
	t.must(err)
	expect(t, done+", and added 1 to a counter: its value", sum, n)
}

func sharedSemaphore(t *trial) {
	p := t.pool()
	free := args{"abandoned": false}
	p.share("A semaphore of 3 was acquired for 2, for 2 without waiting, and for 1, all was released, and it was acquired for 3",
		[]any{acquire(2), noWait(acquire(2)), noWait(acquire(1)), release(), release(), noWait(acquire(3)), release(), release()},
		free, code("shared_would_block"), free, nothing, nothing, free, nothing, code("shared_not_held"))
	p.share("A semaphore of 3 was acquired for 4", []any{acquire(4)}, code(""))
	p.tryAcquire("A call had acquired and released permits", false).Release()
}

func sharedCounter(t *trial) {
	p := t.pool()
	sum := func(n int64) args { return args{"total": n} }
	const most = math.MaxInt64 - 1
	p.share("5, -7, 0, 2^62 and 2^62 were added to a counter, then 2, which is too much, and 0",
		[]any{addTo(5), addTo(-7), addTo(0), addTo(1 << 62), addTo(1 << 62), addTo(2), addTo(0)},
		sum(5), sum(-2), sum(-2), sum(1<<62-2), sum(most), code(""), sum(most))
	value, err := totalOf.Add(t.ctx, p.Pool, math.MinInt64)
	t.must(err)
	expect(t, "A call had added up to 2^63-2, and the program added -2^63: the sum", value, -2)
	p.share("The counter was -2, and 2-2^63, 2^63-1 and 1 were added", []any{addTo(math.MinInt64 + 2), addTo(math.MaxInt64), addTo(1)},
		sum(math.MinInt64), sum(-1), sum(0))
}
