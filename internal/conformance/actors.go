package conformance

import (
	"context"
	"slices"
	"strings"

	"github.com/procpool/procpool"
)

// actorCases are about actors: as a pool's user has them, message by message, and made
// and called by tasks.
func actorCases() []Case {
	return slices.Concat(poolActorCases(), rawActorCases(), taskActorCases())
}

const actorSection = "actors"

func poolActorCases() []Case {
	const s = actorSection
	tally, actor := []string{"tally"}, []string{capActor}
	return []Case{
		{Section: s, Name: "state", uses: tally, needs: actor, run: actorState, Promise: "An actor keeps its state from call to call, and its methods give results as functions do."},
		{Section: s, Name: "order", uses: tally, needs: actor, run: actorOrder, Promise: "Three hundred calls of an actor run in the order in which they were made."},
		{Section: s, Name: "failing method", uses: tally, needs: actor, run: actorFailingMethod, Promise: "A method that fails leaves the actor as the method has made it."},
		{Section: s, Name: "cancelled method", uses: tally, needs: actor, run: actorCancelled, Promise: "A method that is given up is told so and ends; the actor keeps its state and its process."},
		{Section: s, Name: "failing open", uses: tally, needs: actor, run: actorFailingOpen, Promise: "An actor that can't be opened is none: its error is told, and it is not closed."},
		{Section: s, Name: "crash in the opening", uses: tally, needs: actor, run: actorOpenCrash, Promise: "A process that dies in the opening of an actor is that call's crash."},
		{Section: s, Name: "close", uses: []string{"tally", "add"}, needs: actor, run: actorClose, Promise: "An actor that is closed does, once, what it has to do at its end; then its process is gone and calls of it fail."},
		{Section: s, Name: "failing close", uses: tally, needs: actor, run: actorFailingClose, Promise: "What an actor fails with when it is closed is told."},
		{Section: s, Name: "crash", uses: []string{"tally", "add"}, needs: actor, run: actorCrash, Promise: "An actor whose process dies in a method has ended: that call has the crash, those behind it say that the actor has ended."},
		{Section: s, Name: "restarts", uses: tally, needs: actor, run: actorRestarts, Promise: "An actor that may be opened anew is, in another process, from its opening argument, as often as it may."},
		{Section: s, Name: "process of its own", uses: []string{"tally", "pid"}, needs: actor, run: actorProcess, Promise: "Each actor runs in a process of its own, beside the pool's workers."},
		{Section: s, Name: "shared process", uses: tally, needs: actor, run: actorsShare, Promise: "Actors that share a process have states of their own, and are closed one by one."},
	}
}

// The actor and its methods, for pools.
var (
	tally     = procpool.RemoteActor[args]("tally")
	tallyAdd  = procpool.RemoteMethod[any, int64](tally, "add")
	tallyFail = procpool.RemoteMethod[string, any](tally, "fail")
	tallyHold = procpool.RemoteMethod[args, string](tally, "hold")
	tallyExit = procpool.RemoteMethod[int, any](tally, "exit")
	tallyPID  = procpool.RemoteMethod[any, int](tally, "pid")
	tallyCall = procpool.RemoteMethod[args, actorAnswer](tally, "call_actor")
)

// actor is an actor in a pool.
type actor struct {
	*procpool.Ref
	p *pool
}

// spawn makes an actor that must be opened.
func (p *pool) spawn(opening args, opts ...procpool.Option) actor {
	p.t.use("tally")
	ref, err := tally.Spawn(p.t.ctx, p.Pool, opening, opts...)
	if err != nil {
		p.t.failf("The actor tally was opened with %s: expected that it is, got %s", brief(opening), p.describe(err))
	}
	return actor{ref, p}
}

// notSpawned opens an actor that must not be opened, and returns the error.
func (p *pool) notSpawned(opening args, opts ...procpool.Option) error {
	p.t.use("tally")
	ref, err := tally.Spawn(p.t.ctx, p.Pool, opening, opts...)
	if err == nil {
		p.t.failf("The actor tally was opened with %s: expected an error, got %v", brief(opening), ref)
	}
	return err
}

// add calls the method add, and ends the case if the sum is not what it must be.
func (a actor) add(after string, n, want int64) {
	sum, err := tallyAdd.Call(a.p.t.ctx, a.Ref, n)
	if err != nil {
		a.p.t.failf("%s, and tally.add was called with %d: expected the sum %d, got %s", after, n, want, a.p.describe(err))
	}
	if sum != want {
		a.p.t.failf("%s, and tally.add was called with %d: expected the sum %d, got %d", after, n, want, sum)
	}
}

func (a actor) pid() int {
	pid, err := tallyPID.Call(a.p.t.ctx, a.Ref, nil)
	if err != nil {
		a.p.t.failf("tally.pid was called: expected a process id, got %s", a.p.describe(err))
	}
	return pid
}

func (a actor) close(after string) {
	if err := a.Close(); err != nil {
		a.p.t.failf("%s, and the actor was closed: expected no error, got %s", after, a.p.describe(err))
	}
}

// ended ends the case if a call of the actor does not say that it has ended.
func (a actor) ended(after string) error {
	_, err := tallyAdd.Call(a.p.t.ctx, a.Ref, int64(1))
	done := after + ", and tally.add was called"
	if err == nil {
		a.p.t.failf("%s: expected an error, got a sum", done)
	}
	a.p.errorIs(done, err, procpool.ErrActorEnded)
	return err
}

// noted ends the case if something else was noted than what must have been.
func (t *trial) noted(path, after string, want ...string) {
	if got := t.lines(path); !slices.Equal(got, want) {
		t.failf("%s: expected that %q was noted, it is %q", after, want, got)
	}
}

func actorState(t *trial) {
	a := t.pool().spawn(args{"start": 40})
	a.add("The actor was opened with 40", 2, 42)
	a.add("2 was added", -44, -2)
	a.add("-44 was added", 1<<40, 1<<40-2)
	a.close("It was used")
}

func actorOrder(t *trial) {
	p := t.pool()
	a := p.spawn(args{"start": 0})
	var sums []*procpool.Future[int64]
	for range 300 {
		sums = append(sums, tallyAdd.Submit(t.ctx, a.Ref, int64(1)))
	}
	for i, f := range sums {
		sum, err := f.Result(t.ctx)
		if err != nil || sum != int64(i)+1 {
			t.failf("tally.add was called 300 times with 1: expected the sum %d of call %d, got %d, %v", i+1, i+1, sum, err)
		}
	}
}

func actorFailingMethod(t *trial) {
	p := t.pool()
	a := p.spawn(args{"start": 7})
	pid := a.pid()
	const done = "tally.fail was called, which adds 1 and fails"
	_, err := tallyFail.Call(t.ctx, a.Ref, "out of ink")
	if err == nil {
		t.failf("%s: expected an error, got none", done)
	}
	e := errorAs[*procpool.TaskError](p, done, err)
	expect(t, done+": the message", e.Message, "out of ink")
	a.add(done, 0, 8)
	if _, err := tallyAdd.Call(t.ctx, a.Ref, "text"); err == nil {
		t.failf("tally.add was called with a text: expected an error, got none")
	}
	a.add("tally.add was called with a text and has failed", 0, 8)
	expect(t, "Methods have failed: the actor's process", a.pid(), pid)
}

func actorCancelled(t *trial) {
	p := t.pool()
	a := p.spawn(args{"start": 7})
	pid := a.pid()
	mark := t.path("mark")
	f := tallyHold.Submit(t.ctx, a.Ref, args{"mark": mark})
	t.awaitStarted(mark, "tally.hold was called")
	f.Cancel()
	const done = "tally.hold was called and given up"
	p.errorIs(done, failure(p, done, f), context.Canceled)
	p.stopped(mark, done)
	a.add(done, 1, 8)
	expect(t, done+": the actor's process", a.pid(), pid)
}

func actorFailingOpen(t *trial) {
	p := t.pool()
	mark := t.path("mark")
	opening := args{"start": 1, "mark": mark, "fail": "no such table"}
	const done = "The actor was opened and failed"
	e := errorAs[*procpool.TaskError](p, done, p.notSpawned(opening))
	expect(t, done+": the message", e.Message, "no such table")
	t.noted(mark, done, "opened")
	if !t.soon(func() bool { return p.Stats().Actors == 0 && p.Stats().Dedicated == 0 }) {
		t.failf("%s: expected that there is no actor and no process for it, got %+v", done, p.Stats())
	}
	t.noted(mark, done, "opened")
	p.spawn(args{"start": 1}).add(done+", and another was opened with 1", 1, 2)
}

func actorOpenCrash(t *trial) {
	p := t.pool()
	const done = "The actor was opened and its process exited with status 4"
	e := errorAs[*procpool.CrashError](p, done, p.notSpawned(args{"start": 1, "exit": 4}))
	expect(t, done+": the exit code", e.ExitCode, 4)
	p.spawn(args{"start": 1}).add(done+", and another was opened with 1", 1, 2)
}

func actorClose(t *trial) {
	p := t.pool()
	mark := t.path("mark")
	a := p.spawn(args{"start": 1, "mark": mark})
	t.noted(mark, "The actor was opened", "opened")
	pid := a.pid()
	const done = "The actor was closed"
	a.close("It was opened")
	t.noted(mark, done, "opened", "closed")
	if !t.soon(func() bool { return !alive(pid) }) {
		t.failf("%s: expected that its process %d is gone", done, pid)
	}
	_ = a.ended(done)
	a.close(done) // again
	t.noted(mark, done+" twice", "opened", "closed")
	expect(t, done+", and add was called with 1 and 2", call[int](p, "add", args{"a": 1, "b": 2}), 3)
}

func actorFailingClose(t *trial) {
	p := t.pool()
	mark := t.path("mark")
	a := p.spawn(args{"start": 1, "mark": mark, "fail_close": "the drawer is stuck"})
	const done = "The actor was closed and failed"
	err := a.Close()
	if err == nil || !strings.Contains(err.Error(), "the drawer is stuck") {
		t.failf("%s: expected an error with the text \"the drawer is stuck\", got %v", done, err)
	}
	t.noted(mark, done, "opened", "closed")
	_ = a.ended(done)
}

func actorCrash(t *trial) {
	p := t.pool()
	a, other := p.spawn(args{"start": 1}), p.spawn(args{"start": 10})
	mark, until := t.path("mark"), t.path("until")
	held := tallyHold.Submit(t.ctx, a.Ref, args{"mark": mark, "until": until})
	t.awaitStarted(mark, "tally.hold was called")
	dies, behind := tallyExit.Submit(t.ctx, a.Ref, 3), tallyAdd.Submit(t.ctx, a.Ref, int64(1))
	t.create(until)
	expect(t, "tally.hold was called, tally.exit behind it", result(p, "tally.hold was called", held), "released")
	const done = "tally.exit was called with 3"
	e := errorAs[*procpool.CrashError](p, done, failure(p, done, dies))
	expect(t, done+": the exit code", e.ExitCode, 3)
	err := failure(p, done+", tally.add behind it", behind)
	p.errorIs(done+", tally.add behind it", err, procpool.ErrActorEnded)
	_ = errorAs[*procpool.CrashError](p, done+", and tally.add was called", a.ended(done))
	other.add(done+" of another actor", 1, 11)
	expect(t, done+", and add was called with 1 and 2", call[int](p, "add", args{"a": 1, "b": 2}), 3)
}

func actorRestarts(t *trial) {
	p := t.pool()
	mark := t.path("mark")
	a := p.spawn(args{"start": 5, "mark": mark}, procpool.Restarts(1))
	a.add("The actor was opened with 5", 10, 15)
	pid := a.pid()
	const done = "tally.exit was called of an actor that may be opened anew once"
	dies, behind := tallyExit.Submit(t.ctx, a.Ref, 3), tallyAdd.Submit(t.ctx, a.Ref, int64(1))
	_ = errorAs[*procpool.CrashError](p, done, failure(p, done, dies))
	if sum := result(p, done+", tally.add with 1 behind it", behind); sum != 6 {
		t.failf("%s, tally.add with 1 behind it: expected the sum 6, of the 5 that it was opened with, got %d", done, sum)
	}
	if a.pid() == pid {
		t.failf("%s: expected that it is opened in another process, it is the same", done)
	}
	t.noted(mark, done, "opened", "opened")
	const again = "tally.exit was called a second time"
	_, err := tallyExit.Call(t.ctx, a.Ref, 3)
	_ = errorAs[*procpool.CrashError](p, again, err)
	_ = a.ended(again)
	t.noted(mark, again, "opened", "opened")
}

func actorProcess(t *trial) {
	p := t.pool()
	a, b := p.spawn(args{"start": 1}), p.spawn(args{"start": 2})
	pids := []int{p.pid(), a.pid(), b.pid()}
	slices.Sort(pids)
	if len(slices.Compact(pids)) != 3 {
		t.failf("Two actors were opened, and pid was called of them and as a function: expected three processes, got %v", pids)
	}
	a.close("They were asked for their processes")
	b.add("The other was closed", 1, 3)
}

func actorsShare(t *trial) {
	p := t.pool()
	var all []actor
	var marks []string
	for i := range 5 {
		marks = append(marks, t.path(string(rune('a'+i))))
		all = append(all, p.spawn(args{"start": 100 * i, "mark": marks[i]}, procpool.Shared()))
	}
	pid := all[0].pid()
	for round := range int64(3) {
		for i, a := range all {
			a.add("Five actors were opened in one process, with 0, 100, 200, ...", 1, int64(100*i)+round+1)
			expect(t, "Five actors were opened to share a process: the process", a.pid(), pid)
		}
	}
	const done = "One of five actors in a process was closed"
	all[2].close("They were used")
	t.noted(marks[2], done, "opened", "closed")
	_ = all[2].ended(done)
	for _, i := range []int{0, 1, 3, 4} {
		all[i].add(done, 1, int64(100*i)+4)
		t.noted(marks[i], done+", this is another", "opened")
	}
}
