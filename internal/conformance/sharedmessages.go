package conformance

import (
	"fmt"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// rawSharedCases are about operations on shared state message by message.
func rawSharedCases() []Case {
	const s = sharedSection
	works, needs := []string{"shared", "add"}, []string{capShared}
	return []Case{
		{Section: s, Name: "messages", uses: works, needs: needs, run: sharedMessages, Promise: "Each operation is a HostCall of its own with its name and its arguments; what is granted has a ticket, by which it is given back."},
		{Section: s, Name: "replies", uses: works, needs: needs, run: sharedReplies, Promise: "Keys of a HostReply that are not known are passed over, and those that are missing mean 0, false or nothing."},
		{Section: s, Name: "failures", uses: works, needs: needs, run: sharedFailures, Promise: "A HostReply with a failure is an error, which tells its code; one of any other kind, too."},
		{Section: s, Name: "many grants", uses: works, needs: needs, run: sharedTickets, Promise: "What a call has at the same time has tickets that differ, and the right one is given back."},
		{Section: s, Name: "give back what was given up", uses: works, needs: needs, run: sharedGiveBack, Promise: "A call that is cancelled while it waits for a grant sends a HostCancel and gives back by its ticket, unseen and without a reply, before its outcome."},
		{Section: s, Name: "granted just then", uses: works, needs: needs, run: sharedGrantedLate, Promise: "The answer to an operation that was given up is dropped; the worker lives."},
		{Section: s, Name: "batch messages", uses: works, needs: needs, run: sharedBatchMessages, Promise: "Several items are put by one HostCall, got by one, and done by one; each that was got has a ticket of its own, one after the other from that of the HostCall on, by which it is done or returned by itself."},
		{Section: s, Name: "batch given up", uses: works, needs: needs, run: sharedBatchGivenUp, Promise: "A call that is cancelled while it waits for several items gives back as many as it has asked for, granted or not."},
		{Section: s, Name: "waiting is noted", uses: works, needs: []string{capShared, capRecorder}, run: sharedWaiting, Promise: "While a call waits for an answer waiting_since says since when."},
		{Section: s, Name: "not offered", uses: works, needs: needs, run: sharedNotOffered, Promise: "Where the host has not offered shared_state no operation is sent, and the function fails or says so; host_call need not be offered for it."},
	}
}

// operation is what a HostCall of shared state asks for.
type operation struct {
	id      uint64
	silent  bool   // it wants no reply
	Name    string `cbor:"name"`
	Ticket  uint64 `cbor:"ticket"`
	Size    uint64 `cbor:"size"`
	Deliver uint64 `cbor:"deliveries"`
	Count   uint64 `cbor:"count"`
	Delta   int64  `cbor:"delta"`
	Value   []byte `cbor:"value"`
	NoWait  bool   `cbor:"no_wait"`
	Unseen  bool   `cbor:"unseen"`

	Values  [][]byte `cbor:"values"`
	Most    uint64   `cbor:"most"`
	Tickets []uint64 `cbor:"tickets"`
}

// operation takes the next HostCall, which must be one of shared state by that name.
func (w *raw) operation(done string, parent *workerv1.Task, name string) operation {
	made, err := w.HostCall(w.t.ctx)
	w.t.must(err)
	done += ": the HostCall " + name
	expect(w.t, done+": its name", made.GetName(), name)
	expect(w.t, done+": its kind", made.GetKind(), kindShared)
	expect(w.t, done+": its parent_seq", made.GetParentSeq(), parent.GetSeq())
	expect(w.t, done+": its parent_lane", made.GetParentLane(), parent.GetLane())
	o := decode[operation](w.t, done, made.GetInline())
	o.id, o.silent = made.GetId(), made.GetNoReply()
	return o
}

// grant answers an operation, unless it wants no reply.
func (w *raw) grant(o operation, reply args) {
	if !o.silent {
		w.replyWith(&workerv1.HostReply{Id: o.id, Result: &workerv1.HostReply_Inline{Inline: encode(w.t, reply)}})
	}
}

// deny answers an operation with a failure.
func (w *raw) deny(o operation, f *workerv1.Failure) {
	w.replyWith(&workerv1.HostReply{Id: o.id, Result: &workerv1.HostReply_Failure{Failure: f}})
}

// sharing sends a call that takes steps.
func (w *raw) sharing(all ...any) *workerv1.Task {
	task := w.task("shared", steps(all...))
	w.send(task)
	return task
}

// took ends the case if a call's steps have not given what they must.
func (w *raw) took(done string, task *workerv1.Task, want ...any) {
	w.t.took(done, decode[[]stepAnswer](w.t, done, w.answer(done, task)), want...)
}

// granted ends the case if an operation that is to be granted something has no ticket.
func (w *raw) granted(done string, o operation, name string) {
	expect(w.t, done+": its name", o.Name, name)
	if o.Ticket == 0 || o.silent {
		w.t.failf("%s: expected a ticket and that it wants a reply, got ticket %d and no_reply %v", done, o.Ticket, o.silent)
	}
}

// ofJobs ends the case if the operation is not of the queue.
func (w *raw) ofJobs(done string, o operation) {
	got := [3]any{o.Name, o.Size, o.Deliver}
	expect(w.t, done+": the queue's name, size and deliveries", got, [3]any{jobs, uint64(jobsSize), uint64(jobsDeliveries)})
}

// backOf ends the case if an operation does not give back what another was granted.
func (w *raw) backOf(done string, o, granted operation) {
	expect(w.t, done+": its name", o.Name, granted.Name)
	expect(w.t, done+": its ticket, of what is given back", o.Ticket, granted.Ticket)
	expect(w.t, done+": unseen", o.Unseen, false)
}

func sharedMessages(t *trial) {
	w := t.raw()
	const done = "The function shared was called"
	task := w.sharing(lock(), unlock(), noWait(lock()))
	first := w.operation(done, task, "mutex.lock")
	w.granted(done, first, guard)
	expect(t, done+": no_wait", first.NoWait, false)
	w.grant(first, args{"abandoned": true})
	back := w.operation(done, task, "mutex.unlock")
	w.backOf(done, back, first)
	w.grant(back, args{})
	second := w.operation(done, task, "mutex.lock")
	w.granted(done, second, guard)
	expect(t, done+", not to wait: no_wait", second.NoWait, true)
	w.grant(second, args{})
	w.took(done, task, args{"abandoned": true}, nothing, args{"abandoned": false})

	task = w.sharing(acquire(2), release(), addTo(-5), addTo(0))
	first = w.operation(done, task, "semaphore.acquire")
	w.granted(done, first, slots)
	expect(t, done+": count and size", [2]uint64{first.Count, first.Size}, [2]uint64{2, slotsSize})
	w.grant(first, args{})
	back = w.operation(done, task, "semaphore.release")
	w.backOf(done, back, first)
	w.grant(back, args{})
	for i, delta := range []int64{-5, 0} {
		add := w.operation(done, task, "counter.add")
		expect(t, done+": the counter and what is added", [2]any{add.Name, add.Delta}, [2]any{total, delta})
		w.grant(add, args{"total": 40 + i})
	}
	w.took(done, task, args{"abandoned": false}, nothing, args{"total": int64(40)}, args{"total": int64(41)})

	sharedQueueMessages(w)
	w.works("All operations were answered")
}

func sharedQueueMessages(w *raw) {
	t := w.t
	const done = "The function shared was called with a queue"
	task := w.sharing(
		put(args{"page": 7}), noWait(put(1)), get(), itemDone(), noWait(get()), giveBack(),
		onJobs("queue.join"), onJobs("queue.close"), onJobs("queue.dead"), onJobs("queue.info"))
	for _, last := range []bool{false, true} {
		o := w.operation(done, task, "queue.put")
		w.ofJobs(done, o)
		expect(t, done+": no_wait", o.NoWait, last)
		if item := decode[any](t, done, o.Value); !last && !alike(item, map[string]any{"page": int64(7)}) {
			t.failf("%s, and a map was put: expected it in CBOR as the value, got %s", done, brief(item))
		}
		w.grant(o, args{})
	}
	got := w.operation(done, task, "queue.get")
	w.ofJobs(done, got)
	w.granted(done, got, jobs)
	w.grant(got, args{"value": []byte("\x18\x2a"), "delivery": 3})
	o := w.operation(done, task, "queue.done")
	w.backOf(done, o, got)
	if o.silent {
		t.failf("%s, and an item was done: expected that the HostCall queue.done wants a reply, it says no_reply", done)
	}
	w.grant(o, args{})
	got = w.operation(done, task, "queue.get")
	w.granted(done, got, jobs)
	expect(t, done+": no_wait", got.NoWait, true)
	w.grant(got, args{"value": []byte("\x01"), "delivery": 1})
	back := w.operation(done, task, "queue.return")
	w.backOf(done, back, got)
	w.grant(back, args{})
	letters := func(n int) []any { return []any{args{"value": []byte{byte(n)}, "deliveries": n}} }
	for _, reply := range []struct {
		name  string
		reply args
	}{
		{"queue.join", args{}},
		{"queue.close", args{}},
		{"queue.dead", args{"letters": letters(1), "more": true}},
		{"queue.dead", args{"letters": letters(2)}},
		{"queue.info", args{"queued": 1, "taken": 2, "dead": 3, "lost": 4, "closed": true}},
	} {
		o := w.operation(done, task, reply.name)
		w.ofJobs(done, o)
		w.grant(o, reply.reply)
	}
	dead := []any{map[string]any{"value": int64(1), "deliveries": int64(1)}, map[string]any{"value": int64(2), "deliveries": int64(2)}}
	w.took(done, task, nothing, nothing, item(int64(42), 3), nothing, item(int64(1), 1), nothing, nothing, nothing, args{"letters": dead},
		args{"queued": int64(1), "taken": int64(2), "dead": int64(3), "lost": int64(4), "closed": true})
}

func sharedReplies(t *trial) {
	w := t.raw()
	const done = "The HostReplies had keys that nobody knows"
	more := args{"weather": "rain", "more of it": []any{1, args{"a": nil}}}
	with := func(key string, value any) args {
		return args{key: value, "weather": more["weather"], "more of it": more["more of it"]}
	}
	task := w.sharing(lock(), addTo(1), get(), itemDone(), onJobs("queue.info"))
	w.grant(w.operation(done, task, "mutex.lock"), with("abandoned", true))
	w.grant(w.operation(done, task, "counter.add"), with("total", 7))
	w.grant(w.operation(done, task, "queue.get"), args{"delivery": 2, "value": []byte("\x07"), "weather": "rain"})
	w.grant(w.operation(done, task, "queue.done"), more)
	w.grant(w.operation(done, task, "queue.info"), with("queued", 7))
	w.took(done, task, args{"abandoned": true}, args{"total": int64(7)}, item(int64(7), 2), nothing, args{"queued": int64(7), "closed": false})

	const none = "The HostReplies were empty maps"
	task = w.sharing(lock(), acquire(1), addTo(1), onJobs("queue.dead"), onJobs("queue.info"))
	for _, name := range []string{"mutex.lock", "semaphore.acquire", "counter.add", "queue.dead", "queue.info"} {
		w.grant(w.operation(none, task, name), args{})
	}
	w.took(none, task, args{"abandoned": false}, args{"abandoned": false}, args{"total": int64(0)}, args{"letters": []any{}},
		args{"queued": int64(0), "taken": int64(0), "dead": int64(0), "lost": int64(0), "closed": false})
	w.works(done)
}

func sharedFailures(t *trial) {
	w := t.raw()
	const task = workerv1.FailureKind_FAILURE_KIND_TASK
	for _, c := range []struct {
		operation string
		step      any
		kind      workerv1.FailureKind
		code      string
		want      code
	}{
		{"mutex.lock", lock(), task, "shared_mismatch", "shared_mismatch"},
		{"mutex.lock", noWait(lock()), task, "shared_would_block", "shared_would_block"},
		{"mutex.lock", lock(), task, "shared_limit", "shared_limit"},
		{"semaphore.acquire", acquire(1), task, "shared_mismatch", "shared_mismatch"},
		{"counter.add", addTo(1), task, "shared_invalid", ""},
		{"counter.add", addTo(1), task, "shared_of_tomorrow", ""},
		{"queue.put", put(1), task, "shared_queue_closed", "shared_queue_closed"},
		{"queue.put", noWait(put(1)), task, "shared_would_block", "shared_would_block"},
		{"queue.get", get(), task, "shared_queue_closed", "shared_queue_closed"},
		{"queue.get", get(), workerv1.FailureKind_FAILURE_KIND_CLOSED, "", ""},
		{"queue.join", onJobs("queue.join"), workerv1.FailureKind_FAILURE_KIND_NESTING_LIMIT, "", ""},
		{"queue.close", onJobs("queue.close"), workerv1.FailureKind_FAILURE_KIND_CANCELLED, "", ""},
		{"queue.dead", onJobs("queue.dead"), task, "shared_mismatch", "shared_mismatch"},
		{"queue.info", onJobs("queue.info"), 99, "", ""},
	} {
		call := w.sharing(c.step)
		done := fmt.Sprintf("The HostReply of %s was a failure of %v with the code %q", c.operation, c.kind, c.code)
		w.deny(w.operation(done, call, c.operation), rawhost.WithUnknown(&workerv1.Failure{
			Kind: c.kind, Task: c.operation, Type: "shared", Message: "the reason", Code: c.code, Language: "go",
		}))
		w.took(done, call, c.want)
	}
	const done = "The HostReply of queue.done was a failure with the code \"shared_not_held\""
	call := w.sharing(get(), itemDone())
	w.grant(w.operation(done, call, "queue.get"), args{"value": []byte("\x07"), "delivery": 1})
	w.deny(w.operation(done, call, "queue.done"), &workerv1.Failure{Kind: task, Task: "queue.done", Message: "it is not yours", Code: "shared_not_held"})
	w.took(done, call, item(int64(7), 1), code("shared_not_held"))
	w.works("Operations have failed")
}

func sharedTickets(t *trial) {
	w := t.raw()
	const n = 50
	var all []any
	var want []any
	for range n {
		all, want = append(all, acquire(1)), append(want, nothing)
	}
	for range n {
		all, want = append(all, release()), append(want, nothing)
	}
	task := w.sharing(append(all, get(), get(), giveBack(), itemDone())...)
	const done = "A call acquired fifty permits and released them, got two items, returned the second and did the first"
	var granted []operation
	tickets := make(map[uint64]bool)
	for i := range n {
		o := w.operation(done, task, "semaphore.acquire")
		w.granted(done, o, slots)
		granted, tickets[o.Ticket] = append(granted, o), true
		expect(t, done+": how many tickets there are", len(tickets), i+1)
		w.grant(o, args{})
	}
	for i := range n {
		o := w.operation(done, task, "semaphore.release")
		w.backOf(done, o, granted[n-1-i])
		w.grant(o, args{})
	}
	first := w.operation(done, task, "queue.get")
	w.grant(first, args{"value": []byte("\x01"), "delivery": 1})
	second := w.operation(done, task, "queue.get")
	w.grant(second, args{"value": []byte("\x02"), "delivery": 1})
	if first.Ticket == second.Ticket {
		t.failf("%s: expected tickets that differ, both are %d", done, first.Ticket)
	}
	o := w.operation(done, task, "queue.return")
	w.backOf(done, o, second)
	w.grant(o, args{})
	o = w.operation(done, task, "queue.done")
	w.backOf(done, o, first)
	w.grant(o, args{})
	w.took(done, task, append(want, item(int64(1), 1), item(int64(2), 1), nothing, nothing)...)
}

// granting are the operations that may wait for a grant, and what gives it back.
func granting() []struct {
	operation, back string
	step            any
} {
	return []struct {
		operation, back string
		step            any
	}{
		{"mutex.lock", "mutex.unlock", lock()},
		{"semaphore.acquire", "semaphore.release", acquire(2)},
		{"queue.get", "queue.return", get()},
	}
}

// givesUp cancels a call that waits for the answer to an operation, and ends the case if
// it does not give back what it may have been granted, and end.
func (w *raw) givesUp(task *workerv1.Task, waiting operation, done, back string, meanwhile func()) {
	w.t.must(w.Cancel(task.GetLane(), task.GetSeq()))
	meanwhile()
	o := w.operation(done, task, back)
	expect(w.t, done+": the name in "+back, o.Name, waiting.Name)
	expect(w.t, done+": the ticket in "+back, o.Ticket, waiting.Ticket)
	expect(w.t, done+": most in "+back, o.Most, waiting.Most)
	expect(w.t, done+": unseen", o.Unseen, true)
	expect(w.t, done+": no_reply", o.silent, true)
	ctx, cancel := w.t.within()
	defer cancel()
	if err := w.HostCancel(ctx, waiting.id); err != nil {
		w.t.failf("%s: expected a HostCancel: %v", done, err)
	}
	if _, err := w.Outcome(ctx, task.GetLane(), task.GetSeq()); err != nil {
		w.t.failf("%s: expected that it ends: %v", done, err)
	}
}

func sharedGiveBack(t *trial) {
	w := t.raw()
	for _, g := range granting() {
		task := w.sharing(g.step, addTo(1))
		done := fmt.Sprintf("A call waited for the answer to %s and was cancelled", g.operation)
		waiting := w.operation(done, task, g.operation)
		w.givesUp(task, waiting, done, g.back, func() {})
		w.deny(waiting, &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_CANCELLED, Task: g.operation})
		w.works(done)
	}
	for _, step := range []any{put(1), onJobs("queue.join")} {
		name := step.(args)["operation"].(string) //nolint:forcetypeassert,errcheck // op has made it
		task := w.sharing(step, addTo(1))
		done := fmt.Sprintf("A call waited for the answer to %s and was cancelled", name)
		waiting := w.operation(done, task, name)
		t.must(w.Cancel(0, task.GetSeq()))
		ctx, cancel := t.within()
		if _, err := w.Outcome(ctx, 0, task.GetSeq()); err != nil {
			t.failf("%s: expected that it ends: %v", done, err)
		}
		cancel()
		w.deny(waiting, &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_CANCELLED, Task: name})
		w.works(done)
	}
}

func sharedGrantedLate(t *trial) {
	w := t.raw()
	for _, g := range granting() {
		task := w.sharing(g.step, addTo(1))
		done := fmt.Sprintf("A call waited for the answer to %s and was cancelled, and then the answer came", g.operation)
		waiting := w.operation(done, task, g.operation)
		w.givesUp(task, waiting, done, g.back, func() {
			t.must(w.HostCancel(t.ctx, waiting.id))
			w.grant(waiting, args{"abandoned": true, "value": []byte("\x01"), "delivery": 1})
		})
		w.works(done)
	}
}

func sharedWaiting(t *trial) {
	w := t.raw()
	task := w.sharing(lock())
	const done = "A call waits for the answer to mutex.lock"
	o := w.operation(done, task, "mutex.lock")
	if !t.eventually(func() bool { return w.Lane(0).WaitingSince != 0 }) {
		t.failf("%s: expected that waiting_since is set, it is 0", done)
	}
	w.grant(o, args{})
	w.took(done, task, nothing)
	expect(t, "The call has ended: waiting_since", w.Lane(0).WaitingSince, 0)
}

func sharedNotOffered(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.Capabilities = []string{capHostCall, capActor} })
	task := w.sharing(lock(), addTo(1), put(1))
	const done = "The host has not offered shared_state, and shared was called"
	if o := w.outcome(task); o.GetFailure() == nil {
		w.t.took(done, decode[[]stepAnswer](t, done, o.GetInline()), code(""), code(""), code(""))
	}
	w.works(done)

	alone := t.raw(func(o *rawhost.Options) { o.Capabilities = []string{capShared} })
	const bare = "The host has offered shared_state and not host_call, and shared was called"
	task = alone.sharing(addTo(1))
	alone.grant(alone.operation(bare, task, "counter.add"), args{"total": 1})
	alone.took(bare, task, args{"total": int64(1)})
}
