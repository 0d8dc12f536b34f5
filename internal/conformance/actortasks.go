package conformance

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// taskActorCases are about actors that tasks make and call.
func taskActorCases() []Case {
	const s = actorSection
	made, actor := []string{"call_actor", "tally"}, []string{capActor, capHostCall}
	return []Case{
		{Section: s, Name: "made by a task", uses: made, needs: actor, run: actorOfTask, Promise: "A task makes an actor of its own pool, calls it and closes it."},
		{Section: s, Name: "ends with its task", uses: made, needs: actor, run: actorEndsWithTask, Promise: "An actor that a task has made and not closed ends when the task does."},
		{Section: s, Name: "made by an actor", uses: made, needs: actor, run: actorOfActor, Promise: "An actor that an actor has made outlives the call that has made it, and ends with that actor."},
		{Section: s, Name: "passed on", uses: made, needs: actor, run: actorPassedOn, Promise: "A task calls and closes an actor that it was given as a text."},
		{Section: s, Name: "errors for tasks", uses: made, needs: actor, run: actorErrorsForTask, Promise: "A task can tell an actor's own failure, the crash of its process, and that it has ended, from each other."},
		{Section: s, Name: "not made", uses: made, needs: actor, run: actorNotMade, Promise: "A task learns why an actor that it makes was not opened."},
		{Section: s, Name: "opened anew for a task", uses: made, needs: actor, run: actorRestartsForTask, Promise: "An actor that a task makes may be opened anew, or share its process, if the task says so, and not both."},
		{Section: s, Name: "re-entrant", uses: made, needs: actor, run: actorReentrant, Promise: "A call of an actor by one of its own methods is refused, and the method learns why."},
		{Section: s, Name: "host calls", uses: []string{"call_actor", "add"}, needs: actor, run: actorHostCalls, Promise: "A HostCall makes, calls or closes an actor by its number and the method's name, and the HostReply says which number it has."},
		{Section: s, Name: "host replies", uses: []string{"call_actor", "add"}, needs: actor, run: actorHostReplies, Promise: "A HostReply with a failure of any kind is an error for who calls an actor; two say that the actor has ended or would wait for itself."},
		{Section: s, Name: "not offered", uses: []string{"call_actor", "add"}, needs: actor, run: actorNotOffered, Promise: "Where the host has not offered both actor and host_call no actor is made, and the function fails or says so."},
	}
}

// actorAnswer is what call_actor returns.
type actorAnswer struct {
	Ref    *string       `cbor:"ref"`
	Error  *string       `cbor:"error"`
	Kind   string        `cbor:"kind"`
	Values []methodValue `cbor:"values"`
}

type methodValue struct {
	Value any     `cbor:"value"`
	Error *string `cbor:"error"`
	Kind  string  `cbor:"kind"`
}

// String shows what a method has given.
func (v methodValue) String() string {
	if v.Error != nil {
		return fmt.Sprintf("the error %q of kind %q", *v.Error, v.Kind)
	}
	return "the value " + brief(v.Value)
}

// String shows the answer.
func (a actorAnswer) String() string {
	text := fmt.Sprintf("values %v", a.Values)
	if a.Ref != nil {
		text += fmt.Sprintf(", ref %q", *a.Ref)
	}
	if a.Error != nil {
		text += fmt.Sprintf(", the error %q of kind %q", *a.Error, a.Kind)
	}
	return text
}

// method is a call of one, as call_actor takes it.
func method(name string, argument any) any { return args{"method": name, "argument": argument} }

// kind is an error of a kind among what methods are to give.
type kind string

// gave ends the case if call_actor has failed to make or to close the actor, or if its
// methods have not given what they must: values, and errors of a kind.
func (t *trial) gave(done string, a actorAnswer, want ...any) {
	if a.Error != nil || a.Ref == nil || len(a.Values) != len(want) {
		t.failf("%s: expected a ref, %d values and no error, got %s", done, len(want), a)
	}
	for i, v := range a.Values {
		if k, is := want[i].(kind); is {
			if v.Error == nil || *v.Error == "" || v.Kind != string(k) {
				t.failf("%s: expected of call %d an error of kind %q, got %s", done, i+1, k, v)
			}
		} else if v.Error != nil || !alike(v.Value, want[i]) {
			t.failf("%s: expected of call %d the value %s, got %s", done, i+1, brief(want[i]), v)
		}
	}
}

// refText is how an actor is written.
var refText = regexp.MustCompile(`^tally#[1-9a-f][0-9a-f]{0,13}$`)

// ref is the actor that a task has told of, for calls by the program.
func (p *pool) ref(done string, a actorAnswer) actor {
	ref := new(procpool.Ref)
	if a.Ref == nil || !refText.MatchString(*a.Ref) || ref.UnmarshalText([]byte(*a.Ref)) != nil {
		p.t.failf("%s: expected a ref such as tally#1f, got %s", done, a)
	}
	return actor{ref.On(p.Pool), p}
}

func actorOfTask(t *trial) {
	p := t.pool(two)
	marks := t.path("marks")
	got := call[actorAnswer](p, "call_actor", args{
		"actor": "tally", "open": args{"start": 40, "mark": marks}, "close": true,
		"calls": []any{method("add", 2), method("add", -1), method("fail", "out of ink"), method("add", 0)},
	})
	const done = "call_actor was called for an actor with 40, add with 2, with -1, fail, and add with 0, and was to close it"
	t.gave(done, got, int64(42), int64(41), kind("other"), int64(42))
	if text := *got.Values[2].Error; !strings.Contains(text, "out of ink") {
		t.failf("%s: expected the error of fail to hold \"out of ink\", got %q", done, text)
	}
	_ = p.ref(done, got).ended(done)
	t.noted(marks, done, "opened", "closed")
}

func actorEndsWithTask(t *trial) {
	p := t.pool(two)
	mark, until := t.path("mark"), t.path("until")
	f := submit[actorAnswer](p, "call_actor", args{
		"actor": "tally", "open": args{"start": 1}, "calls": []any{method("add", 1)}, "mark": mark, "until": until,
	})
	t.awaitStarted(mark, "call_actor was called, to make an actor and hold")
	expect(t, "call_actor holds: the actors that there are", p.Stats().Actors, 1)
	t.create(until)
	const done = "call_actor was called, to make an actor and not to close it"
	got := result(p, done, f)
	t.gave(done, got, int64(2))
	_ = p.ref(done, got).ended(done)
	if !t.soon(func() bool { return p.Stats().Actors == 0 && p.Stats().Dedicated == 0 }) {
		t.failf("%s: expected that the actor and its process are gone, %+v", done, p.Stats())
	}
}

func actorOfActor(t *trial) {
	p := t.pool(two)
	outer := p.spawn(args{"start": 100})
	const done = "The method call_actor was called, to make an actor and not to close it"
	got, err := tallyCall.Call(t.ctx, outer.Ref, args{"actor": "tally", "open": args{"start": 1}, "calls": []any{method("add", 1)}})
	if err != nil {
		t.failf("%s: expected a result, got %s", done, p.describe(err))
	}
	t.gave(done, got, int64(2))
	inner := p.ref(done, got)
	inner.add(done, 1, 3)
	outer.add(done, 1, 101)
	outer.close(done)
	_ = inner.ended(done + ", and the actor that has made it was closed")
}

func actorPassedOn(t *trial) {
	p := t.pool(two)
	marks := t.path("marks")
	a := p.spawn(args{"start": 10, "mark": marks})
	got := call[actorAnswer](p, "call_actor", args{"ref": a.String(), "calls": []any{method("add", 5), method("add", 1)}})
	const done = "call_actor was called with the text of an actor of 10, for add with 5 and with 1"
	t.gave(done, got, int64(15), int64(16))
	expect(t, done+": the ref", *got.Ref, a.String())
	a.add(done, 1, 17)
	got = call[actorAnswer](p, "call_actor", args{"ref": a.String(), "calls": []any{}, "close": true})
	const closed = "call_actor was called with the text of an actor, to close it"
	t.gave(closed, got)
	t.noted(marks, closed, "opened", "closed")
	_ = a.ended(closed)
}

func actorErrorsForTask(t *trial) {
	p := t.pool(two)
	got := call[actorAnswer](p, "call_actor", args{
		"actor": "tally", "open": args{"start": 1},
		"calls": []any{method("fail", "out of ink"), method("no_such_method", nil), method("add", "text"), method("exit", 3), method("add", 1)},
	})
	const done = "call_actor was called for fail, a method that there is not, add with a text, exit, and add"
	t.gave(done, got, kind("other"), kind("other"), kind("other"), kind("crash"), kind("ended"))
	a := p.spawn(args{"start": 1})
	a.close("It was opened")
	got = call[actorAnswer](p, "call_actor", args{"ref": a.String(), "calls": []any{method("add", 1)}})
	t.gave("call_actor was called for an actor that was closed", got, kind("ended"))
	expect(t, done+", then pid was called: whether there is one", p.spawn(args{"start": 1}).pid() > 0, true)
}

func actorNotMade(t *trial) {
	p := t.pool(two)
	for _, c := range []struct {
		name       string
		open       any
		text, kind string
	}{
		{"tally", args{"start": 1, "fail": "no such table"}, "no such table", "other"},
		{"tally", args{"start": 1, "exit": 3}, "", "crash"},
		{"tally", "text", "", "other"},
		{"nobody_serves_this", nil, "", "other"},
		{"call_actor", args{}, "", "other"},
	} {
		got := call[actorAnswer](p, "call_actor", args{"actor": c.name, "open": c.open, "calls": []any{method("add", 1)}})
		if got.Error == nil || *got.Error == "" || !strings.Contains(*got.Error, c.text) || got.Kind != c.kind || len(got.Values) > 0 {
			t.failf("call_actor was called to make an actor %q with %s: expected an error of kind %q with the text %q and no values, got %s",
				c.name, brief(c.open), c.kind, c.text, got)
		}
	}
	got := call[actorAnswer](p, "call_actor", args{
		"actor": "tally", "open": args{"start": 1, "fail_close": "the drawer is stuck"}, "calls": []any{method("add", 1)}, "close": true,
	})
	const done = "call_actor was called to make an actor, for add, and to close it, which fails"
	if got.Error == nil || !strings.Contains(*got.Error, "the drawer is stuck") || len(got.Values) != 1 || got.Values[0].Error != nil {
		t.failf("%s: expected the value of add and an error with the text \"the drawer is stuck\", got %s", done, got)
	}
}

func actorRestartsForTask(t *trial) {
	p := t.pool(two)
	got := call[actorAnswer](p, "call_actor", args{
		"actor": "tally", "open": args{"start": 1}, "restarts": 1,
		"calls": []any{method("add", 5), method("exit", 3), method("add", 1), method("exit", 3), method("add", 1)},
	})
	t.gave("call_actor was called for an actor with 1 that may be opened anew once, add with 5, exit, add with 1, exit, and add",
		got, int64(6), kind("crash"), int64(2), kind("crash"), kind("ended"))

	other := p.spawn(args{"start": 1}, procpool.Shared())
	got = call[actorAnswer](p, "call_actor", args{"actor": "tally", "open": args{"start": 1}, "shared": true, "calls": []any{method("pid", nil)}})
	t.gave("There was an actor in a process that others may share, and call_actor was called for another, and pid", got, int64(other.pid()))

	got = call[actorAnswer](p, "call_actor", args{"actor": "tally", "open": args{"start": 1}, "shared": true, "restarts": 1, "calls": []any{}})
	if got.Error == nil {
		t.failf("call_actor was called for an actor that shares its process and may be opened anew: expected an error, got %s", got)
	}
}

func actorReentrant(t *trial) {
	p := t.pool(two)
	a := p.spawn(args{"start": 1})
	const done = "The method call_actor was called, to call add of its own actor"
	got, err := tallyCall.Call(t.ctx, a.Ref, args{"ref": a.String(), "calls": []any{method("add", 1)}})
	if err != nil {
		t.failf("%s: expected a result, got %s", done, p.describe(err))
	}
	t.gave(done, got, kind("reentrant"))
	a.add(done, 1, 2)
}

// ofActor takes the next HostCall, which must be of an actor.
func (w *raw) ofActor(done string, parent *workerv1.Task, number uint64, method string) *workerv1.HostCall {
	made, err := w.HostCall(w.t.ctx)
	w.t.must(err)
	expect(w.t, done+": parent_seq of the HostCall", made.GetParentSeq(), parent.GetSeq())
	expect(w.t, done+": parent_lane", made.GetParentLane(), parent.GetLane())
	expect(w.t, done+": kind", made.GetKind(), kindActor)
	expect(w.t, done+": name", made.GetName(), "tally")
	expect(w.t, done+": codec", made.GetCodec(), "cbor")
	expect(w.t, done+": actor", made.GetActor(), number)
	expect(w.t, done+": method", made.GetMethod(), method)
	return made
}

func actorHostCalls(t *trial) {
	w := t.raw()
	for _, number := range []uint64{1, 549755815481, 1<<53 - 1} {
		task := w.task("call_actor", args{"actor": "tally", "open": args{"start": 7}, "restarts": 3, "calls": []any{method("add", 5), method("pid", nil)}, "close": true})
		w.send(task)
		const open = "call_actor was called to make an actor with 7 and 3 restarts"
		made := w.ofActor(open, task, 0, "")
		expect(t, open+": restarts", made.GetRestarts(), 3)
		expect(t, open+": shared", made.GetShared(), false)
		expect(t, open+": the argument", decode[map[string]int](t, open, made.GetInline())["start"], 7)
		w.replyWith(&workerv1.HostReply{Id: made.GetId(), Worker: 3, Pid: 4712, Actor: number})
		add := fmt.Sprintf("The actor that was made has number %d, and call_actor calls add", number)
		made = w.ofActor(add, task, number, "add")
		expect(t, add+": the argument", decode[int](t, add, made.GetInline()), 5)
		w.reply(made.GetId(), 49)
		made = w.ofActor("call_actor calls pid", task, number, "pid")
		w.reply(made.GetId(), 4712)
		made = w.ofActor("call_actor closes the actor", task, number, "")
		w.replyWith(&workerv1.HostReply{Id: made.GetId()})
		const done = "call_actor was called, and its HostCalls were answered"
		got := decode[actorAnswer](t, done, w.answer(done, task))
		t.gave(done, got, int64(49), int64(4712))
		expect(t, done+": the ref", *got.Ref, fmt.Sprintf("tally#%x", number))
	}
	task := w.task("call_actor", args{"actor": "tally", "open": nil, "shared": true, "calls": []any{}})
	w.send(task)
	const shared = "call_actor was called to make an actor that shares its process"
	made := w.ofActor(shared, task, 0, "")
	expect(t, shared+": shared", made.GetShared(), true)
	expect(t, shared+": restarts", made.GetRestarts(), 0)
	w.replyWith(&workerv1.HostReply{Id: made.GetId(), Actor: 31})
	w.answer(shared, task)
	task = w.task("call_actor", args{"ref": "tally#1f", "calls": []any{method("add", 1)}})
	w.send(task)
	const named = "call_actor was called with the text tally#1f"
	w.reply(w.ofActor(named, task, 31, "add").GetId(), 2)
	t.gave(named, decode[actorAnswer](t, named, w.answer(named, task)), int64(2))
	w.works("HostCalls of actors were answered")
}

func actorHostReplies(t *trial) {
	w := t.raw()
	type failure = workerv1.Failure
	const ended, crash = workerv1.FailureKind_FAILURE_KIND_ACTOR_ENDED, workerv1.FailureKind_FAILURE_KIND_CRASH
	died := &workerv1.Crash{Worker: 2, Pid: 77, ExitCode: 3, Reason: "exit status 3", Attempt: 1, Suspects: 1}
	cases := []*failure{
		{Kind: ended, Message: "it was closed"},
		{Kind: ended, Message: "its process died", Crash: died},
		{Kind: ended, Message: "the pool is closed", Cause: &failure{Kind: workerv1.FailureKind_FAILURE_KIND_CLOSED}},
		{Kind: ended, Message: "of a reason that nobody knows", Cause: &failure{Kind: 99}},
		{Kind: workerv1.FailureKind_FAILURE_KIND_REENTRANT, Message: "it waits for you"},
		{Kind: crash, Crash: died},
		{Kind: workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK, Message: "there is no such method"},
		{Kind: workerv1.FailureKind_FAILURE_KIND_TASK, Message: "out of ink", Language: "go"},
		{Kind: 99, Message: "of a kind that nobody knows"},
	}
	kinds := []kind{"ended", "ended", "ended", "ended", "reentrant", "crash", "other", "other", "other"}
	var calls, want []any
	for i := range cases {
		calls, want = append(calls, method("add", i)), append(want, kinds[i])
	}
	task := w.task("call_actor", args{"ref": "tally#7", "calls": calls})
	w.send(task)
	const done = "call_actor was called for add, nine times, and the HostReplies were failures of many kinds"
	for _, f := range cases {
		f.Task = "tally.add"
		made := w.ofActor(done, task, 7, "add")
		w.replyWith(&workerv1.HostReply{Id: made.GetId(), Result: &workerv1.HostReply_Failure{Failure: rawhost.WithUnknown(f)}})
	}
	t.gave(done, decode[actorAnswer](t, done, w.answer(done, task)), want...)
	w.works(done)
}

func actorNotOffered(t *trial) {
	for _, offers := range [][]string{nil, {capHostCall}, {capActor}} {
		w := t.raw(func(o *rawhost.Options) { o.Capabilities = offers })
		task := w.task("call_actor", args{"actor": "tally", "open": args{"start": 1}, "calls": []any{}})
		w.send(task)
		done := fmt.Sprintf("The host has offered %q, and call_actor was called", offers)
		if o := w.outcome(task); o.GetFailure() == nil {
			if answer := decode[actorAnswer](t, done, o.GetInline()); answer.Error == nil {
				t.failf("%s: expected a failure or an error, got %s", done, answer)
			}
		}
		w.works(done)
	}
}
