package conformance

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// leavingCases are about workers whose host wants them to go, or is gone.
func leavingCases() []Case {
	const s = "leaving"
	return []Case{
		{Section: s, Name: "idle", uses: []string{"add"}, run: leavesIdle, Promise: "An idle worker whose standard input ends leaves at once, with exit status 0."},
		{Section: s, Name: "before the host came", run: leavesEarly, Promise: "A worker whose standard input ends before anybody has connected leaves."},
		{Section: s, Name: "waiting call", uses: []string{"hold"}, run: leavesBusy("hold"), Promise: "A worker whose standard input ends leaves at once, although a call waits."},
		{Section: s, Name: "computing call", uses: []string{"spin"}, run: leavesBusy("spin"), Promise: "A worker whose standard input ends leaves at once, although a call computes."},
		{Section: s, Name: "deaf call", uses: []string{"hold_out"}, run: leavesBusy("hold_out"), Promise: "A worker whose standard input ends leaves at once, although a call ignores everything."},
		{Section: s, Name: "child", uses: []string{"child", "add"}, run: leavesWithChild, Promise: "What a task has started is in the worker's process group, and keeps the worker neither from noticing the end of its standard input nor from leaving."},
		{Section: s, Name: "connection ends", uses: []string{"add"}, run: leavesHungUp, Promise: "A worker whose connection ends leaves."},
		{Section: s, Name: "connection ends in a call", uses: []string{"hold_out"}, run: leavesHungUpBusy, Promise: "A worker whose connection ends leaves, although a call ignores everything."},
		{Section: s, Name: "stream ends", uses: []string{"add"}, run: leavesWorkEnded, Promise: "A worker whose stream Work is ended by the host leaves."},
		{Section: s, Name: "first and last call", uses: []string{"note"}, run: firstAndLast, Promise: "A pool's initializer is the worker's first call, and its finalizer the last before standard input ends."},
		{Section: s, Name: "interrupt", uses: []string{"hold", "pid"}, run: interrupted, Promise: "SIGINT, which a terminal sends to everybody, ends neither the worker nor a call."},
		{Section: s, Name: "interrupt of children", uses: []string{"child"}, run: childrenInterruptible, Promise: "What a task starts does not ignore SIGINT. Linux only."},
		{Section: s, Name: "nothing is left", uses: []string{"child", "pid", "hold"}, run: nothingLeft, Promise: "When a pool is closed its workers are gone, busy or idle, and what they have started, and the sockets' directories."},
		{Section: s, Name: "lost parent", uses: []string{"child", "pid", "hold_out"}, run: lostParent, Promise: "When the host is killed its worker is gone, and what that has started, although a call ignores everything."},
	}
}

// leaves ends the case if the worker does not leave within the grace.
func (w *raw) leaves(done string) exit {
	ctx, cancel := w.t.within()
	defer cancel()
	e, err := w.AwaitEnd(ctx)
	if err != nil {
		w.t.failf("%s: expected that the process ends within %v, it goes on", done, w.t.kit.cfg.Grace)
	}
	return exit{e.Code, e.Signal}
}

func leavesIdle(t *trial) {
	w := t.raw()
	w.works("The worker was started")
	w.CloseStdin()
	const done = "The worker's standard input ended while it had nothing to do"
	expect(t, done+": the exit status", w.leaves(done), exit{})
}

func leavesEarly(t *trial) {
	w := t.started()
	w.CloseStdin()
	w.leaves("The worker's standard input ended before the host had connected")
}

// holding has the worker run a function that holds.
func (w *raw) holding(name string) {
	mark := w.t.path("mark")
	w.send(w.task(name, args{"mark": mark, "until": w.t.path("never")}))
	w.t.awaitStarted(mark, name+" was called")
}

func leavesBusy(name string) func(*trial) {
	return func(t *trial) {
		w := t.raw()
		w.holding(name)
		w.CloseStdin()
		w.leaves("The worker's standard input ended while it ran " + name)
	}
}

func leavesWithChild(t *trial) {
	w := t.raw()
	task := w.task("child", nil)
	w.send(task)
	pid := decode[int](t, "child was called", w.answer("child was called", task))
	expect(t, fmt.Sprintf("child was called and has started process %d: it is in the worker's process group", pid), w.InGroup(pid), true)
	w.works("child was called")
	w.CloseStdin()
	const done = "The worker's standard input ended while what it had started lived"
	w.leaves(done)
	if !t.soon(func() bool { return !alive(pid) }) {
		t.failf("%s, and its process group was killed: expected that process %d is gone", done, pid)
	}
}

func leavesHungUp(t *trial) {
	w := t.raw()
	w.works("The worker was started")
	w.HangUp()
	w.leaves("The connection ended while the worker had nothing to do")
}

func leavesHungUpBusy(t *trial) {
	w := t.raw()
	w.holding("hold_out")
	w.HangUp()
	w.leaves("The connection ended while the worker ran hold_out")
}

func leavesWorkEnded(t *trial) {
	w := t.raw()
	w.works("The worker was started")
	t.must(w.EndWork())
	w.leaves("The host ended its side of the stream Work")
}

func firstAndLast(t *trial) {
	path := t.path("notes")
	t.use("note")
	note := procpool.Remote[args, any]("note")
	p := t.pool(func(c *executor.Config) {
		c.Initializer, c.Finalizer = note.Bind(args{"path": path, "line": "first"}), note.Bind(args{"path": path, "line": "last"})
	})
	call[any](p, "note", args{"path": path, "line": "between"})
	t.must(p.Shutdown(t.ctx))
	const done = "A pool with an initializer and a finalizer made a call and was shut down"
	expect(t, done+": what was noted", strings.Join(t.lines(path), " "), "first between last")
}

func interrupted(t *trial) {
	p := t.pool()
	pid := p.pid()
	t.signal(pid, os.Interrupt)
	p.sameWorker(pid, "The idle worker got SIGINT")
	mark, until := t.path("mark"), t.path("until")
	f := submit[string](p, "hold", args{"mark": mark, "until": until})
	t.awaitStarted(mark, "hold was called")
	t.signal(pid, os.Interrupt)
	t.signal(pid, os.Interrupt)
	const done = "The worker got SIGINT twice while it ran hold"
	ctx, cancel := p.quickly(settleTime)
	defer cancel()
	if _, err := f.Result(ctx); ctx.Err() == nil {
		t.failf("%s: expected that it goes on, got %s", done, p.describe(err))
	}
	t.create(until)
	expect(t, done, result(p, done, f), "released")
	p.sameWorker(pid, done)
}

func childrenInterruptible(t *trial) {
	if runtime.GOOS != "linux" {
		t.skipf("only Linux shows which signals another process ignores")
	}
	p := t.pool()
	pid := call[int](p, "child", nil)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	t.must(err)
	_, rest, _ := strings.Cut(string(status), "\nSigIgn:\t")
	line, _, _ := strings.Cut(rest, "\n")
	ignored, err := strconv.ParseUint(line, 16, 64)
	t.must(err)
	const sigint = 1 << (2 - 1)
	expect(t, fmt.Sprintf("child was called: the process that it has started ignores SIGINT (SigIgn is %s)", line), ignored&sigint != 0, false)
}

func nothingLeft(t *trial) {
	sockets := t.path("s")
	t.must(os.Mkdir(sockets, 0o700))
	p := t.pool(two, func(c *executor.Config) { c.SocketDir = sockets })
	mark := t.path("mark")
	pids := []int{p.pid(), call[int](p, "child", nil)}
	f := submit[string](p, "hold", args{"mark": mark})
	t.awaitStarted(mark, "hold was called")
	pids = append(pids, f.Info().PID)
	t.must(p.Close())
	const done = "A pool of two workers was closed, of which one ran hold, and one had started another process"
	for _, pid := range pids {
		if !t.soon(func() bool { return !alive(pid) }) {
			t.failf("%s: expected that process %d is gone", done, pid)
		}
	}
	left, err := os.ReadDir(sockets)
	t.must(err)
	if len(left) > 0 {
		t.failf("%s: expected that nothing is left in the directory for sockets, got %q", done, left[0].Name())
	}
}

func lostParent(t *trial) {
	host := t.dyingHost()
	worker, child := host.pids()
	const done = "The host of a worker that ran hold_out and had started another process was killed"
	for _, pid := range []int{worker, child} {
		if !alive(pid) {
			t.failf("A host started a worker, which ran hold_out: expected that process %d lives, it does not", pid)
		}
	}
	host.kill()
	for what, pid := range map[string]int{"the worker": worker, "what it had started": child} {
		if !t.soon(func() bool { return !alive(pid) }) {
			t.kill(pid)
			t.failf("%s: expected that %s, process %d, is gone within %v, it lives", done, what, pid, t.kit.cfg.Grace)
		}
	}
}
