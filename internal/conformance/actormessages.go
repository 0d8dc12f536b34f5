package conformance

import (
	"fmt"
	"math"
	"slices"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// rawActorCases are about actors message by message.
func rawActorCases() []Case {
	const s = actorSection
	tally, works, actor := []string{"tally"}, []string{"tally", "add"}, []string{capActor}
	return []Case{
		{Section: s, Name: "description", uses: tally, needs: actor, run: actorDescribed, Promise: "The TaskDescription of an actor names its methods, in their order, and what it says of their types is for each of them."},
		{Section: s, Name: "messages", uses: works, needs: actor, run: actorMessages, Promise: "Open, methods and close are told apart by their numbers, for actors of the lowest number and of the highest; the results of open and close are empty."},
		{Section: s, Name: "codecs", uses: works, needs: actor, run: actorCodecs, Promise: "An empty codec is the task's first, for methods too; what can't be decoded, and a codec that is not known, fails with FAILURE_KIND_CODEC and changes nothing."},
		{Section: s, Name: "no such actor", uses: works, needs: actor, run: noSuchActor, Promise: "A method of an actor that there is not fails with FAILURE_KIND_UNKNOWN_TASK; so do a method's number out of range, a call of the actor's task without an actor, and an actor's number for a function."},
		{Section: s, Name: "number in use", uses: works, needs: actor, run: actorInUse, Promise: "Open with a number that is in use fails with FAILURE_KIND_UNKNOWN_TASK and does not run, and the actor of that number lives on."},
		{Section: s, Name: "close of nothing", uses: works, needs: actor, run: actorCloseOfNothing, Promise: "Close of an actor that there is not, or not any more, succeeds; its number may be used again."},
		{Section: s, Name: "failures", uses: works, needs: actor, run: actorFailures, Promise: "Failures of methods are of the kinds of functions' failures, and name the actor and the method."},
		{Section: s, Name: "failed open leaves nothing", uses: works, needs: actor, run: actorFailedOpen, Promise: "When open has failed there is no actor of that number, and it can be opened."},
		{Section: s, Name: "failed close leaves nothing", uses: works, needs: actor, run: actorFailedClose, Promise: "When close has failed there is no actor of that number either."},
		{Section: s, Name: "several", uses: works, needs: actor, run: severalActors, Promise: "A thousand actors in a process have states of their own, whatever the order of their calls."},
		{Section: s, Name: "lanes", uses: works, needs: []string{capActor, capLanes}, run: actorLanes, Promise: "The calls of an actor may come on one lane and then on another; those of two run beside each other."},
		{Section: s, Name: "cancelled before its turn", uses: works, needs: actor, run: actorDeclined, Promise: "A method that is given up while it waits is declined in its turn and does not run."},
		{Section: s, Name: "fence", uses: works, needs: []string{capActor, capRecorder}, run: actorFence, Promise: "Methods beyond the fence, and close, are declined and do not run."},
	}
}

// The numbers of the methods.
const (
	openActor = iota
	methodAdd
	methodFail
	methodHold
	methodExit
	methodPID
	methodCallActor
	closeActor = math.MaxUint32
)

var methodNames = []string{"add", "fail", "hold", "exit", "pid", "call_actor"}

// step makes a call of an actor, of one of its methods or to open or close it.
func (w *raw) step(actor uint64, method uint32, argument any, change ...func(*workerv1.Task)) *workerv1.Task {
	task := w.task("tally", argument)
	task.Actor, task.Method = actor, method
	if method == closeActor {
		task.Payload = nil
	}
	for _, f := range change {
		f(task)
	}
	return task
}

// stepping sends a call of an actor and returns its result.
func (w *raw) stepping(done string, actor uint64, method uint32, argument any, change ...func(*workerv1.Task)) []byte {
	task := w.step(actor, method, argument, change...)
	w.send(task)
	return w.answer(done, task)
}

// open opens an actor that must be opened.
func (w *raw) open(actor uint64, opening args, change ...func(*workerv1.Task)) {
	done := fmt.Sprintf("Actor %d was opened with %s", actor, brief(opening))
	if result := w.stepping(done, actor, openActor, opening, change...); len(result) > 0 {
		w.t.failf("%s: expected an empty result, got %d bytes", done, len(result))
	}
}

// close closes an actor, whether there is one or not.
func (w *raw) close(actor uint64) {
	done := fmt.Sprintf("Actor %d was closed", actor)
	if result := w.stepping(done, actor, closeActor, encoded(nil)); len(result) > 0 {
		w.t.failf("%s: expected an empty result, got %d bytes", done, len(result))
	}
}

// adds calls the method add, and ends the case if the sum is not what it must be.
func (w *raw) adds(after string, actor uint64, n, want int64, change ...func(*workerv1.Task)) {
	done := fmt.Sprintf("%s, and add was called of actor %d with %d: the sum", after, actor, n)
	expect(w.t, done, decode[int64](w.t, done, w.stepping(done, actor, methodAdd, n, change...)), want)
}

// refused ends the case if a call does not fail as one of something that there is not.
func (w *raw) refused(done string, task *workerv1.Task) {
	w.send(task)
	w.failed(done, task, workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK)
}

func actorDescribed(t *trial) {
	w := t.raw()
	d := w.Hello().GetTasks()[w.function("tally")]
	const done = "Hello describes tally"
	expect(t, done+": its kind", d.GetKind(), kindActor)
	if !slices.Equal(d.GetMethods(), methodNames) {
		t.failf("%s: expected the methods %q, got %q", done, methodNames, d.GetMethods())
	}
	if n := len(d.GetMethodTypes()); n != 0 && n != len(methodNames) {
		t.failf("%s: expected method_types for each of %d methods, or for none, got %d", done, len(methodNames), n)
	}
	expect(t, done+": output", d.GetOutput(), "")
}

func actorMessages(t *trial) {
	w := t.raw()
	for _, actor := range []uint64{1, 1<<53 - 1} {
		mark, marks := t.path("mark"), t.path(fmt.Sprint("marks", actor))
		w.open(actor, args{"start": 40, "mark": marks})
		opened := fmt.Sprintf("Actor %d was opened with 40", actor)
		t.noted(marks, opened, "opened")
		w.adds(opened, actor, 2, 42)
		w.adds("2 was added", actor, -2, 40)
		expect(t, "pid was called of an actor", decode[int64](t, "pid", w.stepping("pid", actor, methodPID, nil)), w.Hello().GetPid())
		t.create(t.path("until"))
		held := w.stepping("hold was called of an actor", actor, methodHold, args{"mark": mark, "until": t.path("until")})
		expect(t, "hold was called of an actor", decode[string](t, "hold", held), "released")
		w.close(actor)
		t.noted(marks, "The actor was closed", "opened", "closed")
		w.refused("The actor was closed, and add was called", w.step(actor, methodAdd, 1))
	}
	w.works("Actors were opened, called and closed")
}

func codec(name string) func(*workerv1.Task) {
	return func(task *workerv1.Task) { task.Codec = name }
}

func actorCodecs(t *trial) {
	w := t.raw()
	w.stepping("An actor was opened with {\"start\":5} in JSON", 1, openActor, encoded(`{"start":5}`), codec("json"))
	w.adds("It was opened with 5", 1, 1, 6)
	w.adds("1 was added", 1, 1, 7, codec("cbor"))
	const json = "add was called of an actor with 3 in JSON"
	expect(t, json, string(w.stepping(json, 1, methodAdd, encoded("3"), codec("json"))), "10")
	for _, c := range []struct {
		done string
		task *workerv1.Task
	}{
		{"add was called of an actor with what is no CBOR", w.step(1, methodAdd, encoded("\xff\xff"))},
		{"add was called of an actor with what is no JSON", w.step(1, methodAdd, encoded("{"), codec("json"))},
		{"add was called of an actor in the codec \"morse\"", w.step(1, methodAdd, 1, codec("morse"))},
		{"An actor was opened with what is no CBOR", w.step(2, openActor, encoded("\xff\xff"))},
		{"An actor was opened in the codec \"morse\"", w.step(3, openActor, args{"start": 1}, codec("morse"))},
	} {
		w.send(c.task)
		w.failed(c.done, c.task, workerv1.FailureKind_FAILURE_KIND_CODEC)
	}
	w.adds("Calls of the actor could not be decoded", 1, 0, 10)
	w.refused("Another one could not be opened, and add was called of it", w.step(2, methodAdd, 1))
	w.works("Calls of actors could not be decoded")
}

func noSuchActor(t *trial) {
	w := t.raw()
	w.refused("There was no actor, and add was called of number 1", w.step(1, methodAdd, 1))
	w.open(1, args{"start": 5})
	w.refused("Actor 1 was opened, and add was called of number 2", w.step(2, methodAdd, 1))
	for _, method := range []uint32{methodCallActor + 1, 1 << 20, closeActor - 1} {
		w.refused(fmt.Sprintf("Method %d was called of an actor that has %d", method, len(methodNames)), w.step(1, method, 1))
	}
	w.refused("The task tally was called without an actor's number", w.task("tally", args{"start": 5}))
	w.refused("Method 1 of the task tally was called without an actor's number", w.step(0, methodAdd, 1))
	of := func(actor uint64, method uint32) func(*workerv1.Task) {
		return func(task *workerv1.Task) { task.Actor, task.Method = actor, method }
	}
	sum := args{"a": 1, "b": 2}
	w.refused("The function add was called with the number of an actor", w.task("add", sum, of(1, methodAdd)))
	w.refused("The function add was called to be opened as an actor", w.task("add", sum, of(9, openActor)))
	w.refused("The task tally was called as a stream", w.step(1, methodAdd, 1, func(task *workerv1.Task) {
		task.ResultCredit, task.ResultCreditBytes = 10, 1000
	}))
	w.adds("What there is not was called", 1, 1, 6)
	w.works("What there is not was called")
}

func actorInUse(t *trial) {
	w := t.raw()
	marks, others := t.path("marks"), t.path("others")
	w.open(7, args{"start": 5, "mark": marks})
	w.adds("It was opened with 5", 7, 1, 6)
	const done = "Actor 7 was opened when there was one of that number"
	w.refused(done, w.step(7, openActor, args{"start": 100, "mark": others}))
	w.refused(done, w.step(7, openActor, args{"start": 100, "mark": others, "fail": "no such table"}))
	t.noted(others, done+", which is not to run")
	w.adds(done, 7, 1, 7)
	t.noted(marks, done, "opened")
	w.close(7)
	t.noted(marks, "Actor 7 was closed", "opened", "closed")
}

func actorCloseOfNothing(t *trial) {
	w := t.raw()
	w.close(7)
	marks := t.path("marks")
	w.open(7, args{"start": 5, "mark": marks})
	w.close(8)
	w.adds("Another was closed, which there was not", 7, 1, 6)
	for range 3 {
		w.close(7)
	}
	t.noted(marks, "Actor 7 was closed three times", "opened", "closed")
	w.open(7, args{"start": 10})
	w.adds("It was closed and opened anew with 10", 7, 1, 11)
	w.works("Actors were closed that there were not")
}

func actorFailures(t *trial) {
	w := t.raw()
	w.open(1, args{"start": 5})
	fails := w.step(1, methodFail, "out of ink")
	w.send(fails)
	const done = "The method fail of the actor tally was called"
	f := w.failed(done, fails, workerv1.FailureKind_FAILURE_KIND_TASK)
	expect(t, done+": the message", f.GetMessage(), "out of ink")
	expect(t, done+": the task", f.GetTask(), "tally.fail")
	wrong := w.step(1, methodAdd, encoded("\xff"))
	w.send(wrong)
	const malformed = "The method add of the actor tally was called with what is no CBOR"
	expect(t, malformed+": the task", w.failed(malformed, wrong, workerv1.FailureKind_FAILURE_KIND_CODEC).GetTask(), "tally.add")
	opens := w.step(2, openActor, args{"start": 5, "fail": "no such table"})
	w.send(opens)
	const open = "The actor tally was opened and failed"
	f = w.failed(open, opens, workerv1.FailureKind_FAILURE_KIND_TASK)
	expect(t, open+": the message", f.GetMessage(), "no such table")
	expect(t, open+": the task", f.GetTask(), "tally")
	w.adds("Calls of the actor have failed", 1, 0, 6)
}

func actorFailedOpen(t *trial) {
	w := t.raw()
	marks := t.path("marks")
	for range 2 {
		task := w.step(3, openActor, args{"start": 5, "mark": marks, "fail": "no such table"})
		w.send(task)
		w.failed("Actor 3 was opened and failed", task, workerv1.FailureKind_FAILURE_KIND_TASK)
	}
	w.refused("Actor 3 could not be opened, and add was called of it", w.step(3, methodAdd, 1))
	w.close(3)
	t.noted(marks, "Actor 3 could not be opened, twice", "opened", "opened")
	w.open(3, args{"start": 8})
	w.adds("It could not be opened, and then it was, with 8", 3, 1, 9)
	w.works("Actors could not be opened")
}

func actorFailedClose(t *trial) {
	w := t.raw()
	marks := t.path("marks")
	w.open(3, args{"start": 5, "mark": marks, "fail_close": "the drawer is stuck"})
	task := w.step(3, closeActor, nil)
	w.send(task)
	const done = "Actor 3 was closed and failed"
	expect(t, done+": the message", w.failed(done, task, workerv1.FailureKind_FAILURE_KIND_TASK).GetMessage(), "the drawer is stuck")
	w.refused(done+", and add was called of it", w.step(3, methodAdd, 1))
	w.close(3)
	t.noted(marks, done+", and was closed again", "opened", "closed")
	w.works(done)
}

func severalActors(t *trial) {
	w := t.raw()
	const n = 1000
	var opens, sums, closes []*workerv1.Task
	for i := range uint64(n) {
		opens = append(opens, w.step(1+i*i, openActor, args{"start": i}))
	}
	for i := range 3 * n {
		actor := uint64(i*7) % n // each three times, since 7 and 1000 have no divisor in common
		sums = append(sums, w.step(1+actor*actor, methodAdd, 1))
	}
	for i := range uint64(n) {
		closes = append(closes, w.step(1+i*i, closeActor, nil))
	}
	w.send(opens...)
	w.send(append(sums, closes...)...)
	for i, task := range opens {
		w.answer(fmt.Sprintf("A thousand actors were opened, this is number %d", i), task)
	}
	for i, task := range sums {
		done := fmt.Sprintf("Add was called three times of each of a thousand actors, this is call %d", i)
		expect(t, done, decode[int](t, done, w.answer(done, task)), i*7%n+i/n+1)
	}
	for i, task := range closes {
		w.answer(fmt.Sprintf("A thousand actors were closed, this is number %d", i), task)
	}
	w.works("A thousand actors were opened, called and closed")
}

func actorLanes(t *trial) {
	w := t.raw()
	w.open(1, args{"start": 5})
	w.open(2, args{"start": 50}, on(1))
	for i := range int64(10) {
		w.adds("It was opened on lane 0 and called on two lanes in turn", 1, 1, 6+i, on(uint32(i)%2))
	}
	mark, until := t.path("mark"), t.path("until")
	held := w.step(1, methodHold, args{"mark": mark, "until": until}, on(1))
	w.send(held)
	t.awaitStarted(mark, "hold was called of actor 1 on lane 1")
	w.adds("A method of actor 1 ran on lane 1", 2, 1, 51, on(0))
	t.create(until)
	w.answer("hold was called of actor 1 on lane 1", held)
	w.close(1)
	w.refused("Actor 1 was closed on lane 0, and add was called on lane 1", w.step(1, methodAdd, 1, on(1)))
	w.adds("The other was closed", 2, 1, 52, on(1))
}

func actorDeclined(t *trial) {
	w := t.raw()
	w.open(1, args{"start": 5})
	mark, until := t.path("mark"), t.path("until")
	held := w.step(1, methodHold, args{"mark": mark, "until": until})
	first, second := w.step(1, methodAdd, 10), w.step(1, methodAdd, 1)
	w.send(held, first, second)
	t.awaitStarted(mark, "hold was called of an actor")
	t.must(w.Cancel(0, first.GetSeq()))
	w.echoPing()
	t.create(until)
	const done = "A Cancel came for the first of two calls of add, with 10 and with 1, that waited behind hold, of an actor with 5"
	w.answer(done, held)
	w.declined(done, first, 0)
	expect(t, done, decode[int](t, done, w.answer(done, second)), 6)
}

func actorFence(t *trial) {
	w := t.raw()
	marks := t.path("marks")
	w.open(1, args{"start": 5, "mark": marks})
	mark, until := t.path("mark"), t.path("until")
	held := w.step(1, methodHold, args{"mark": mark, "until": until})
	behind, closes := w.step(1, methodAdd, 10), w.step(1, closeActor, nil)
	w.send(held, behind, closes)
	t.awaitStarted(mark, "hold was called of an actor")
	w.Fence(0, held.GetSeq())
	t.create(until)
	const done = "hold ran, add and close waited behind it, of an actor with 5, and the fence was set in front of them"
	w.answer(done, held)
	w.declined(done, behind, 0)
	w.declined(done, closes, 0)
	w.Fence(0, rawhost.NoFence)
	t.noted(marks, done, "opened")
	w.adds(done+" and lifted", 1, 1, 6)
}
