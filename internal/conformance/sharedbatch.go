package conformance

import (
	"slices"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

func putMany(values ...any) any { return onJobs("queue.put", args{"values": values}) }
func getMany(most int) any      { return onJobs("queue.get", args{"most": most}) }

// manyDone says of the n items that were got last that they are done.
func manyDone(n int) any { return onJobs("queue.done", args{"count": n}) }

// several is what a step gives that gets several items at once.
func several(items ...args) args {
	var all []any
	for _, item := range items {
		all = append(all, map[string]any(item))
	}
	return args{"items": all}
}

// queued ends the case if there are not so many items in the queue.
func (p *pool) queued(done string, n int) {
	info, err := jobsQueue.Info(p.t.ctx, p.Pool)
	p.t.must(err)
	expect(p.t, done+": how many items wait in the queue", info.Queued, n)
}

func sharedBatches(t *trial) {
	p := t.pool()
	empty := args{"queued": int64(0), "taken": int64(0), "dead": int64(0)}
	p.share("Three items were put into a queue at once, at most five were got at once, and all were done at once",
		[]any{putMany(1, "two", args{"page": 3}), getMany(5), manyDone(3), onJobs("queue.info")},
		nothing, several(item(int64(1), 1), item("two", 1), item(map[string]any{"page": int64(3)}, 1)), nothing, empty)
	p.share("Four items were put at once, three were got at once and the last of them returned, it was got as one of at most one and another by itself, and all were done at once",
		[]any{putMany(1, 2, 3, 4), getMany(3), giveBack(), getMany(1), noWait(get()), manyDone(4), onJobs("queue.info"), onJobs("queue.join")},
		nothing, several(item(int64(1), 1), item(int64(2), 1), item(int64(3), 1)), nothing, several(item(int64(3), 2)), item(int64(4), 1), nothing, empty, nothing)

	notes := t.path("room")
	p.put("first")
	p.put("second")
	const room = "A queue had room for two items, and a call put three at once"
	f := p.shares(noteStep(notes, "waits"), putMany(1, 2, 3), noteStep(notes, "goes on"))
	p.waits(notes, room)
	p.queued(room, 2)
	t.must(p.tryGet(room, "first", 1).Done(t.ctx))
	t.took(room+", and one was taken out", result(p, room, f), nothing, nothing, nothing)
	p.share(room+", one was taken out, and a call got all at once", []any{getMany(jobsSize), manyDone(4)},
		several(item("second", 1), item(int64(1), 1), item(int64(2), 1), item(int64(3), 1)), nothing)

	notes = t.path("items")
	const none = "A queue was empty, and a call got at most three items from it"
	f = p.shares(noteStep(notes, "waits"), getMany(3), noteStep(notes, "goes on"), manyDone(1))
	p.waits(notes, none)
	p.put("at last")
	t.took(none+", and one was put", result(p, none, f), nothing, several(item("at last", 1)), nothing, nothing)

	p.share("More items were put at once than the queue holds", []any{putMany(1, 2, 3, 4, 5), onJobs("queue.info")}, code(""), empty)
	closed := code("shared_queue_closed")
	p.share("The queue was closed, and several items were put and got", []any{onJobs("queue.close"), putMany(1, 2), getMany(2)}, nothing, closed, closed)
}

func sharedBatchesReturn(t *trial) {
	p := t.pool()
	back := func(done string) {
		t.must(p.tryGet(done, int64(1), 2).Done(t.ctx))
		t.must(p.tryGet(done, int64(2), 2).Done(t.ctx))
		t.must(p.tryGet(done, int64(4), 1).Done(t.ctx))
		p.queued(done+", and the program took three items", 0)
	}
	const done = "Four items were put at once, a call got three at once, and did the last of them"
	takes := func(behind ...any) []any {
		return append([]any{putMany(1, 2, 3, 4), getMany(3), itemDone()}, behind...)
	}
	p.share(done, takes(), nothing, several(item(int64(1), 1), item(int64(2), 1), item(int64(3), 1)), nothing)
	back(done + ", and ended")

	const dies = done + ", and its process exited with 3"
	_ = errorAs[*procpool.CrashError](p, dies, failure(p, dies, p.shares(takes(op("exit", args{"status": 3}))...)))
	back(dies)
}

// delivered are items as a HostReply has them, encoded and delivered once.
func delivered(encoded ...string) args {
	var all []any
	for _, value := range encoded {
		all = append(all, args{"value": []byte(value), "delivery": 1})
	}
	return args{"items": all}
}

// part is an operation as if it had been granted one item, the one of several at index i.
func (o operation) part(i int) operation {
	o.Ticket += uint64(i)
	return o
}

// asksForMany ends the case if an operation does not ask for so many items.
func (w *raw) asksForMany(done string, o operation, most int) {
	w.ofJobs(done, o)
	w.granted(done, o, jobs)
	expect(w.t, done+": most", o.Most, uint64(most))
	expect(w.t, done+": no_wait", o.NoWait, false)
}

// areDone ends the case if an operation does not say that just these items are done.
func (w *raw) areDone(done string, o operation, granted ...operation) {
	expect(w.t, done+": its name", o.Name, jobs)
	expect(w.t, done+": its ticket, beside the tickets", o.Ticket, 0)
	var want []uint64
	for _, g := range granted {
		want = append(want, g.Ticket)
	}
	slices.Sort(want)
	slices.Sort(o.Tickets)
	if !slices.Equal(o.Tickets, want) {
		w.t.failf("%s: expected the tickets %d, in whatever order, got %d", done, want, o.Tickets)
	}
	if o.silent {
		w.t.failf("%s: expected that the HostCall queue.done wants a reply, it says no_reply", done)
	}
}

func sharedBatchMessages(t *trial) {
	w := t.raw()
	const done = "The function shared was called with several items of a queue at once"
	task := w.sharing(putMany(1, "two", args{"page": 7}), getMany(10), itemDone(), giveBack(), getMany(2), get(), manyDone(4))
	o := w.operation(done, task, "queue.put")
	w.ofJobs(done, o)
	expect(t, done+", and they were put: whether it has a value beside the values", o.Value != nil, false)
	expect(t, done+", and they were put: no_wait", o.NoWait, false)
	var values []any
	for _, value := range o.Values {
		values = append(values, decode[any](t, done+", and they were put: a value", value))
	}
	if want := []any{int64(1), "two", map[string]any{"page": int64(7)}}; !alike(values, want) {
		t.failf("%s, and they were put: expected them in CBOR as the values, %s, got %s", done, brief(want), brief(values))
	}
	w.grant(o, args{})

	three := w.operation(done, task, "queue.get")
	w.asksForMany(done, three, 10)
	w.grant(three, args{"weather": "rain", "items": []any{
		args{"value": []byte("\x18\x2a"), "delivery": 3}, args{"delivery": 1, "value": []byte("\x61x")}, args{"value": []byte("\x07"), "delivery": 1},
	}})
	o = w.operation(done, task, "queue.done")
	w.backOf(done+", and the third was done", o, three.part(2))
	w.grant(o, args{})
	o = w.operation(done, task, "queue.return")
	w.backOf(done+", and the second was returned", o, three.part(1))
	expect(t, done+", and the second was returned: whether more are meant, by most", o.Most > 1, false)
	w.grant(o, args{})
	two := w.operation(done, task, "queue.get")
	w.asksForMany(done, two, 2)
	w.grant(two, delivered("\x01", "\x02"))
	one := w.operation(done, task, "queue.get")
	w.granted(done, one, jobs)
	w.grant(one, args{"value": []byte("\x03"), "delivery": 1})
	o = w.operation(done, task, "queue.done")
	w.areDone(done+", and what was left of three, two and one were done at once", o, three, two, two.part(1), one)
	w.grant(o, args{})
	w.took(done, task, nothing, several(item(int64(42), 3), item("x", 1), item(int64(7), 1)), nothing, nothing,
		several(item(int64(1), 1), item(int64(2), 1)), item(int64(3), 1), nothing)

	const fails = "Operations with several items of a queue have failed"
	task = w.sharing(putMany(1, 2), getMany(2), getMany(2), manyDone(2))
	failed := func(code string) *workerv1.Failure {
		return &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_TASK, Message: "the reason", Code: code}
	}
	w.deny(w.operation(fails, task, "queue.put"), failed("shared_queue_closed"))
	w.deny(w.operation(fails, task, "queue.get"), failed("shared_limit"))
	two = w.operation(fails, task, "queue.get")
	w.grant(two, delivered("\x01", "\x02"))
	o = w.operation(fails, task, "queue.done")
	w.areDone(fails, o, two, two.part(1))
	w.deny(o, failed("shared_not_held"))
	w.took(fails, task, code("shared_queue_closed"), code("shared_limit"), several(item(int64(1), 1), item(int64(2), 1)), code("shared_not_held"))
	w.works(fails)
}

func sharedBatchGivenUp(t *trial) {
	w := t.raw()
	const most = 3
	for _, late := range []bool{false, true} {
		task := w.sharing(getMany(most), addTo(1))
		done := "A call waited for the answer to queue.get of several items and was cancelled"
		waiting := w.operation(done, task, "queue.get")
		w.asksForMany(done, waiting, most)
		answer := func() {}
		if late {
			done += ", and then the answer came"
			answer = func() {
				t.must(w.HostCancel(t.ctx, waiting.id))
				w.grant(waiting, delivered("\x01", "\x02", "\x03"))
			}
		}
		w.givesUp(task, waiting, done, "queue.return", answer)
		if !late {
			w.deny(waiting, &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_CANCELLED, Task: "queue.get"})
		}
		w.works(done)
	}
}
