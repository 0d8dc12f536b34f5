package conformance

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// cancelCases are about calls that are given up.
func cancelCases() []Case {
	const s = "cancel"
	hold := []string{"hold", "pid"}
	return []Case{
		{Section: s, Name: "waiting call", uses: hold, run: cancelled("hold"), Promise: "A call that waits is told that it is given up and ends; the worker lives."},
		{Section: s, Name: "computing call", uses: []string{"spin", "pid"}, run: cancelled("spin"), Promise: "A call that computes is told that it is given up and ends; the worker lives."},
		{Section: s, Name: "deadline", uses: hold, run: deadlineEnds, Promise: "A call whose caller's time is over is told so when the host says so; the worker lives."},
		{Section: s, Name: "run time limit", uses: hold, run: timeoutEnds, Promise: "A call that runs longer than its limit is told to end; the worker lives."},
		{Section: s, Name: "clock is the host's", uses: []string{"hold", "add"}, run: clockIsTheHosts, Promise: "The worker ends no call by itself, however little time timeout_nanos leaves."},
		{Section: s, Name: "deaf call", uses: []string{"hold_out", "pid"}, run: deafIsKilled, Promise: "A call that goes on all the same has its process killed; the next call runs in another."},
		{Section: s, Name: "outcome", uses: []string{"hold", "add"}, run: cancelledOutcome, Promise: "A call that ended because it was cancelled is answered with a result or FAILURE_KIND_TASK; a second Cancel changes nothing."},
		{Section: s, Name: "queued call", uses: []string{"hold", "note", "add"}, run: cancelQueued, Promise: "A call that waits for its turn is declined when that comes, and not earlier; those before and behind it run."},
		{Section: s, Name: "too late", uses: []string{"add", "hold"}, run: cancelTooLate, Promise: "A Cancel for a call that has ended, or that never comes, on whatever lane, is no error and hits nobody."},
		{Section: s, Name: "first instruction", uses: []string{"hold"}, run: cancelAtStart, Promise: "A Cancel that comes in the moment of a call's start is not lost."},
		{Section: s, Name: "hits no other", uses: []string{"hold"}, run: cancelHitsNoOther, Promise: "A Cancel that comes in the moment of a call's end never hits the next call."},
		{Section: s, Name: "neighbour", uses: []string{"hold", "add"}, needs: []string{capLanes}, run: cancelNeighbour, Promise: "A Cancel for a call on one lane does not hit one on another, of the same number."},
	}
}

// cancelled returns a case in which a call of a function that holds is given up.
func cancelled(name string) func(*trial) {
	return func(t *trial) {
		p := t.pool()
		pid := p.pid()
		mark := t.path("mark")
		f := submit[string](p, name, args{"mark": mark, "until": t.path("never")})
		t.awaitStarted(mark, name+" was called")
		f.Cancel()
		done := name + " was called and given up"
		p.errorIs(done, failure(p, done, f), context.Canceled)
		p.stopped(mark, done)
		p.sameWorker(pid, done)
	}
}

// stopped waits until a call that holds has noted that it was cancelled.
func (p *pool) stopped(mark, done string) {
	noted := func() bool { return len(p.t.lines(mark)) > 1 }
	if !p.t.soon(noted) || p.t.lines(mark)[1] != "cancelled" {
		p.t.failf("%s: expected that it notes \"cancelled\" within %v, it has noted %q", done, p.t.kit.cfg.Grace, p.t.lines(mark))
	}
}

func deadlineEnds(t *trial) {
	p := t.pool()
	pid := p.pid()
	for limit := 250 * time.Millisecond; ; limit *= 2 {
		mark := t.path("mark" + limit.String())
		ctx, cancel := context.WithTimeout(t.ctx, limit)
		_, err := procpool.Remote[args, string]("hold").Call(ctx, p, args{"mark": mark})
		cancel()
		done := fmt.Sprintf("hold was called with a deadline in %v", limit)
		p.errorIs(done, err, context.DeadlineExceeded)
		if len(t.lines(mark)) == 0 && t.ctx.Err() == nil {
			continue // it was not started by then
		}
		p.stopped(mark, done)
		break
	}
	p.sameWorker(pid, "hold was called with a deadline")
}

func timeoutEnds(t *trial) {
	p := t.pool()
	pid := p.pid()
	mark := t.path("mark")
	const done = "hold was called with a limit of 250ms for its run time"
	_ = errorAs[*procpool.TimeoutError](p, done, fail(p, "hold", args{"mark": mark}, procpool.Timeout(250*time.Millisecond)))
	p.stopped(mark, done)
	p.sameWorker(pid, done)
}

func clockIsTheHosts(t *trial) {
	w := t.raw()
	short := func(task *workerv1.Task) { task.TimeoutNanos = 1 }
	const done = "timeout_nanos was 1"
	quick := w.task("add", args{"a": 40, "b": 2}, short)
	mark, until := t.path("mark"), t.path("until")
	held := w.task("hold", args{"mark": mark, "until": until}, short)
	w.send(quick, held)
	expect(t, done+" and add was called", decode[int](t, done, w.answer(done+" and add was called", quick)), 42)
	t.awaitStarted(mark, done+" and hold was called")
	w.settle()
	t.create(until)
	expect(t, done+" and hold was called", decode[string](t, done, w.answer(done+" and hold was called", held)), "released")
}

// settleTime is how long a worker that does what it must not is given to do it.
const settleTime = 50 * time.Millisecond

// settle gives a worker that does what it must not some time to do it.
func (w *raw) settle() {
	ctx, cancel := context.WithTimeout(w.t.ctx, settleTime)
	defer cancel()
	<-ctx.Done()
	if err := w.Violation(); err != nil {
		w.t.failf("%v", err)
	}
}

func deafIsKilled(t *trial) {
	p := t.pool(func(c *executor.Config) { c.CancelGrace = 200 * time.Millisecond })
	pid := p.pid()
	mark := t.path("mark")
	f := submit[any](p, "hold_out", args{"mark": mark})
	t.awaitStarted(mark, "hold_out was called")
	f.Cancel()
	const done = "hold_out, which ignores that, was given up"
	p.errorIs(done, failure(p, done, f), context.Canceled)
	if now := p.pid(); now == pid {
		t.failf("%s: expected that its process is killed, the next call ran in the same", done)
	}
	if !t.soon(func() bool { return !alive(pid) }) {
		t.failf("%s: expected that process %d is gone", done, pid)
	}
}

func cancelledOutcome(t *trial) {
	w := t.raw()
	mark := t.path("mark")
	held := w.task("hold", args{"mark": mark})
	w.send(held)
	t.awaitStarted(mark, "hold was called")
	t.must(w.Cancel(0, held.GetSeq()))
	t.must(w.Cancel(0, held.GetSeq()))
	const done = "A Cancel came, twice, for hold, which ran"
	o := w.outcome(held)
	if o.GetDeclined() != nil || o.GetFailure() != nil && o.GetFailure().GetKind() != workerv1.FailureKind_FAILURE_KIND_TASK {
		t.failf("%s: expected a result or a failure of FAILURE_KIND_TASK, got %s", done, tell(o))
	}
	w.works(done)
}

func cancelQueued(t *trial) {
	w := t.raw()
	mark, until, notes := t.path("mark"), t.path("until"), t.path("notes")
	held := w.task("hold", args{"mark": mark, "until": until})
	first, second := w.task("note", args{"path": notes, "line": "first"}), w.task("note", args{"path": notes, "line": "second"})
	w.send(held, first, second)
	t.awaitStarted(mark, "hold was called, and note twice behind it")
	t.must(w.Cancel(0, first.GetSeq()))
	const done = "A Cancel came for the first of two calls of note that waited behind hold"
	w.echoPing()
	w.settle()
	expect(t, done+": it is answered before hold has ended", w.Answered(0, first.GetSeq()), false)
	t.create(until)
	w.answer(done+": hold", held)
	w.declined(done, first, 0)
	w.answer(done+": the second note", second)
	expect(t, done+": what was noted", fmt.Sprint(t.lines(notes)), "[second]")
	w.works(done)
}

func cancelTooLate(t *trial) {
	w := t.raw()
	ended := w.task("add", args{"a": 1, "b": 1})
	w.send(ended)
	w.answer("add was called", ended)
	mark, until := t.path("mark"), t.path("until")
	held := w.task("hold", args{"mark": mark, "until": until})
	w.send(held)
	t.awaitStarted(mark, "hold was called")
	for _, c := range []struct {
		lane uint32
		seq  uint64
	}{{0, ended.GetSeq()}, {0, ended.GetSeq()}, {0, 0}, {0, math.MaxUint64}, {0, 1 << 40}, {1, 1}, {1, held.GetSeq()}, {lanesAsked, 1}, {math.MaxUint32, 1}} {
		t.must(w.Cancel(c.lane, c.seq))
	}
	w.echoPing()
	t.create(until)
	const done = "Cancels came for calls that had ended and for such as never come, while hold ran"
	expect(t, done, decode[string](t, done, w.answer(done, held)), "released")
	for range 3 {
		w.works(done)
	}
}

func cancelAtStart(t *trial) {
	w := t.raw()
	const rounds = 100
	for i := range rounds {
		held := w.task("hold", args{"mark": t.path("mark")})
		w.send(held)
		// The start is some way behind the sending, so the Cancels are strewn over it.
		t.strew(time.Duration(i) * 20 * time.Microsecond)
		t.must(w.Cancel(0, held.GetSeq()))
		ctx, cancel := t.within()
		_, err := w.Outcome(ctx, 0, held.GetSeq())
		cancel()
		if err != nil {
			t.failf("hold was called and a Cancel sent %v later, in round %d of %d: expected that it ends: %v", time.Duration(i)*20*time.Microsecond, i+1, rounds, err)
		}
	}
}

// strew lets a short time pass, which is no wait for anything.
func (t *trial) strew(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

func cancelHitsNoOther(t *trial) {
	w := t.raw()
	open := t.path("open")
	t.create(open)
	const rounds = 100
	for i := range rounds {
		until := t.path(fmt.Sprintf("until %d", i))
		quick := w.task("hold", args{"mark": t.path("mark"), "until": open})
		next := w.task("hold", args{"mark": t.path("mark"), "until": until})
		w.send(quick, next)
		t.strew(time.Duration(i) * 20 * time.Microsecond)
		t.must(w.Cancel(0, quick.GetSeq()))
		done := fmt.Sprintf("A call that ends at once was called and another behind it, and a Cancel sent for the first %v later, in round %d of %d: the other",
			time.Duration(i)*20*time.Microsecond, i+1, rounds)
		w.outcome(quick)
		w.echoPing()
		t.create(until)
		expect(t, done, decode[string](t, done, w.answer(done, next)), "released")
	}
}

func cancelNeighbour(t *trial) {
	w := t.raw()
	marks, until := []string{t.path("mark 0"), t.path("mark 1")}, t.path("until")
	sameNumber := func(task *workerv1.Task) { task.Seq = 7 }
	var held []*workerv1.Task
	for lane, mark := range marks {
		held = append(held, w.task("hold", args{"mark": mark, "until": until}, on(uint32(lane)), sameNumber))
	}
	w.send(held...)
	for _, mark := range marks {
		t.awaitStarted(mark, "hold was called on two lanes, with the same number")
	}
	t.must(w.Cancel(1, 7))
	const done = "hold was called on two lanes, with the same number, and a Cancel sent for the one on lane 1"
	w.outcome(held[1])
	expect(t, done+": what that has noted", fmt.Sprint(t.lines(marks[1])), "[started cancelled]")
	w.settle()
	expect(t, done+": the one on lane 0 is answered", w.Answered(0, 7), false)
	t.create(until)
	expect(t, done+": the one on lane 0", decode[string](t, done, w.answer(done, held[0])), "released")
	w.works(done)
}
