package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

func put(v any) any { return onJobs("queue.put", args{"value": v}) }
func get() any      { return onJobs("queue.get") }
func itemDone() any { return op("queue.done", args{"name": jobs}) }
func giveBack() any { return op("queue.return", args{"name": jobs}) }

// item is what a step gives that gets one.
func item(v any, delivery int64) args { return args{"value": v, "delivery": delivery} }

func sharedQueue(t *trial) {
	p := t.pool()
	for _, v := range []any{
		nil, true, int64(-7), int64(1) << 62, 1.5, 2.0, "", "text", []byte("bytes"),
		[]any{},
		[]any{int64(1), "two", nil},
		map[string]any{"a": map[string]any{"b": []byte{0xff}}},
	} {
		p.share("An item was put into a queue, got and done", []any{put(v), get(), itemDone()}, nothing, item(v, 1), nothing)
	}
	p.share("Three items were put into a queue, and two got, of which one was done", []any{put(1), put(2), put(3), get(), get(), itemDone(), onJobs("queue.info")},
		nothing, nothing, nothing, item(int64(1), 1), item(int64(2), 1), nothing,
		args{"queued": int64(1), "taken": int64(1), "dead": int64(0), "lost": int64(0), "closed": false})
	// That one is back: its call has ended.
	p.share("A queue with two items was closed, the items were got and done, and it was waited for that all are",
		[]any{onJobs("queue.close"), put(4), get(), itemDone(), get(), itemDone(), get(), onJobs("queue.join"), onJobs("queue.info")},
		nothing, code("shared_queue_closed"), item(int64(1), 2), nothing, item(int64(3), 1), nothing, code("shared_queue_closed"), nothing, args{"queued": int64(0), "closed": true})
}

func sharedWithProgram(t *trial) {
	p := t.pool()
	p.put(map[string]any{"page": 7})
	p.put("last")
	const done = "The program put two items into a queue, a call got and did them and put two others"
	p.share(done, []any{get(), itemDone(), get(), itemDone(), put(args{"text": "seven"}), put(8)},
		item(map[string]any{"page": int64(7)}, 1), nothing, item("last", 1), nothing, nothing, nothing)
	t.must(p.tryGet(done, map[string]any{"text": "seven"}, 1).Done(t.ctx))
	t.must(p.tryGet(done, int64(8), 1).Done(t.ctx))
	t.must(jobsQueue.Join(t.ctx, p.Pool))
}

// waits ends the case if a call that has noted that it is about to wait, or has taken a
// step behind that, does not.
func (p *pool) waits(notes, done string) {
	if !p.t.eventually(func() bool { return len(p.t.lines(notes)) > 0 }) {
		p.t.failf("%s: expected that the call notes something before", done)
	}
	p.settle()
	p.t.noted(notes, done, "waits")
}

func sharedQueueWaits(t *trial) {
	p := t.pool()
	notes := t.path("room")
	for i := range jobsSize {
		p.put(i)
	}
	const room = "A queue was full, and a call put an item into it"
	f := p.shares(noteStep(notes, "waits"), put("one more"), noteStep(notes, "goes on"))
	p.waits(notes, room)
	p.share(room+", and another did not want to wait", []any{noWait(put("two more"))}, code("shared_would_block"))
	t.must(p.tryGet(room, int64(0), 1).Done(t.ctx))
	t.took(room+", and one was taken out", result(p, room, f), nothing, nothing, nothing)

	notes = t.path("end")
	const end = "A queue had items, and a call waited until all were done"
	f = p.shares(noteStep(notes, "waits"), onJobs("queue.join"), noteStep(notes, "goes on"))
	p.waits(notes, end)
	for _, v := range []any{int64(1), int64(2), int64(3), "one more"} {
		t.must(p.tryGet(end, v, 1).Done(t.ctx))
	}
	t.took(end+", and they were", result(p, end, f), nothing, nothing, nothing)

	notes = t.path("item")
	const none = "A queue was empty, and a call got an item from it"
	p.share(none+", which did not want to wait", []any{noWait(get())}, code("shared_would_block"))
	f = p.shares(noteStep(notes, "waits"), get(), noteStep(notes, "goes on"), itemDone())
	p.waits(notes, none)
	p.put("at last")
	t.took(none+", and one was put", result(p, none, f), nothing, item("at last", 1), nothing, nothing)
}

func sharedItemsReturn(t *trial) {
	p := t.pool()
	p.share("Two items were put into a queue, the first was got and returned, got and done, and then the second was got and returned twice",
		[]any{put("a"), put("b"), get(), giveBack(), get(), itemDone(), get(), giveBack(), get(), giveBack(), noWait(get()), onJobs("queue.info")},
		nothing, nothing, item("a", 1), nothing, item("a", 2), nothing, item("b", 1), nothing, item("b", 2), nothing, code("shared_would_block"),
		args{"queued": int64(0), "taken": int64(0), "dead": int64(1)})
	letters := []any{map[string]any{"value": "b", "deliveries": int64(2)}}
	p.share("An item that is delivered twice at the most was returned twice, and the dead letters were taken out",
		[]any{onJobs("queue.dead"), onJobs("queue.dead"), onJobs("queue.join")}, args{"letters": letters}, args{"letters": []any{}}, nothing)
	const n = 40
	var all []any
	for i := range n {
		all = append(all, put(i), get(), giveBack(), get(), giveBack())
	}
	answers := call[[]stepAnswer](p, "shared", steps(append(all, onJobs("queue.dead"))...))
	got, _ := answers[len(answers)-1].Value["letters"].([]any)
	done := fmt.Sprintf("%d items were returned as often as they are delivered, and the dead letters were taken out", n)
	expect(t, done+": how many they are", len(got), n)
	for i, letter := range got {
		if want := map[string]any{"value": int64(i), "deliveries": int64(2)}; !alike(letter, want) {
			t.failf("%s: expected of letter %d %s, got %s", done, i+1, brief(want), brief(letter))
		}
	}
}

func sharedMismatch(t *trial) {
	p := t.pool()
	as := func(operation string, a args) any {
		a["name"] = guard
		return op(operation, a)
	}
	queue := func(size, deliveries int) args {
		return args{"size": size, "deliveries": deliveries, "value": 1}
	}
	wrong := code("shared_mismatch")
	p.share("A mutex was used, and by its name a semaphore, a counter and a queue",
		[]any{
			lock(), as("semaphore.acquire", args{"size": 1, "count": 1}), as("counter.add", args{"delta": 1}), as("queue.put", queue(1, 1)),
			as("queue.get", queue(1, 1)), as("queue.join", queue(1, 1)), unlock(),
		},
		nothing, wrong, wrong, wrong, wrong, wrong, nothing)
	p.share("A semaphore and a queue were used, and by their names others of other sizes",
		[]any{
			acquire(1), op("semaphore.acquire", args{"name": slots, "size": slotsSize + 1, "count": 1}),
			put(1), onJobs("queue.put", args{"value": 2, "size": jobsSize + 1}), onJobs("queue.put", args{"value": 2, "deliveries": jobsDeliveries + 1}),
		},
		nothing, wrong, nothing, wrong, wrong)
	not := code("shared_not_held")
	p.share("What a call did not have was given back", []any{unlock(), release(), itemDone(), giveBack(), lock(), unlock(), unlock()}, not, not, not, not, nothing, nothing, not)
}

func sharedInPoolOfOne(t *trial) {
	p := t.pool()
	notes := t.path("notes")
	f := p.shares(noteStep(notes, "waits"), get(), itemDone())
	p.waits(notes, "In a pool of one worker a call waited for an item")
	const done = "In a pool of one worker a call waited for an item, and another put it"
	p.share(done, []any{put("here")}, nothing)
	t.took(done, result(p, done, f), nothing, item("here", 1), nothing)
}

// takesAll is a call that locks the mutex and gets all permits and an item.
func takesAll(behind ...any) []any {
	return append([]any{lock(), acquire(slotsSize), get()}, behind...)
}

// allFree ends the case if not all that takesAll has got is free, and abandoned.
func (p *pool) allFree(done string) {
	p.tryLock(done, true).Unlock()
	p.tryAcquire(done, true).Release()
	p.t.must(p.tryGet(done, "job", 2).Done(p.t.ctx))
	p.tryLock(done+" and the program had it since", false).Unlock()
}

func sharedEndOfCall(t *trial) {
	p := t.pool()
	for range 20 {
		p.put("job")
		const done = "A call locked the mutex, acquired all permits, got an item and returned"
		p.share(done, takesAll(), nothing, nothing, item("job", 1))
		p.allFree(done)
	}
}

func sharedHeldOut(t *trial) {
	p := t.pool(func(c *executor.Config) { c.CancelGrace = t.kit.cfg.Limit })
	pid := p.pid()
	p.put("job")
	mark, until := t.path("mark"), t.path("until")
	f := p.shares(takesAll(op("hold_out", args{"mark": mark, "until": until}))...)
	const done = "A call locked the mutex, acquired all permits and got an item, and goes on although it was cancelled"
	t.awaitStarted(mark, done)
	f.Cancel()
	p.errorIs(done, failure(p, done, f), context.Canceled)
	p.settle()
	if _, err := guardMutex.TryLock(t.ctx, p.Pool); !errors.Is(err, shared.ErrWouldBlock) {
		t.failf("%s: expected that it keeps the mutex, the program was told: %v", done, err)
	}
	if _, err := slotsOf.TryAcquire(t.ctx, p.Pool, 1); !errors.Is(err, shared.ErrWouldBlock) {
		t.failf("%s: expected that it keeps the permits, the program was told: %v", done, err)
	}
	if _, err := jobsQueue.TryGet(t.ctx, p.Pool); !errors.Is(err, shared.ErrWouldBlock) {
		t.failf("%s: expected that it keeps the item, the program was told: %v", done, err)
	}
	t.create(until)
	held, err := guardMutex.Lock(t.ctx, p.Pool)
	can(t, done+" until it ends, and the program locked the mutex", held, err, true).Unlock()
	p.tryAcquire(done+" until it ends", true).Release()
	t.must(p.tryGet(done+" until it ends", "job", 2).Done(t.ctx))
	p.sameWorker(pid, done+" until it ends")
}

func sharedCrash(t *trial) {
	p := t.pool()
	for range 3 {
		pid := p.pid()
		p.put("job")
		const done = "A call locked the mutex, acquired all permits and got an item, and its process exited with 3"
		e := errorAs[*procpool.CrashError](p, done, failure(p, done, p.shares(takesAll(op("exit", args{"status": 3}))...)))
		expect(t, done+": the exit code", e.ExitCode, 3)
		p.allFree(done)
		if p.pid() == pid {
			t.failf("%s: expected another process for the next call, it is the same", done)
		}
	}
}

func sharedGivenUp(t *trial) {
	p := t.pool()
	pid := p.pid()
	held := p.tryLock("The pool was started", false)
	permits := p.tryAcquire("The pool was started", false)
	done := ""
	giveUp := func(what string, waits any) {
		notes := t.path(what)
		f := p.shares(noteStep(notes, "waits"), waits, noteStep(notes, "goes on"))
		done = fmt.Sprintf("A call waited for %s and was cancelled", what)
		p.waits(notes, done)
		f.Cancel()
		p.errorIs(done, failure(p, done, f), context.Canceled)
		if !t.soon(func() bool { return p.Stats().Busy == 0 }) { // or another worker would be started for the next call
			t.failf("%s: expected that it ends, %+v", done, p.Stats())
		}
		p.sameWorker(pid, done)
		t.noted(notes, done, "waits")
	}
	giveUp("a mutex", lock())
	held.Unlock()
	p.tryLock(done, false).Unlock()
	giveUp("permits", acquire(1))
	permits.Release()
	p.tryAcquire(done, false).Release()
	giveUp("an item", get())
	giveUp("several items", getMany(jobsSize))
	for i := range jobsSize {
		p.put(i)
	}
	giveUp("room", put("one more"))
	giveUp("room for several", putMany("one more", "two more"))
	giveUp("the end", onJobs("queue.join"))
	for i := range jobsSize {
		t.must(p.tryGet(done, int64(i), 1).Done(t.ctx))
	}
	if _, err := jobsQueue.TryGet(t.ctx, p.Pool); !errors.Is(err, shared.ErrWouldBlock) {
		t.failf("A call waited for room and was cancelled: expected that its item is not put, the program was told: %v", err)
	}
}
