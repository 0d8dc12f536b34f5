package conformance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// deathCases are about processes that end while they run a call.
func deathCases() []Case {
	const s = "deaths"
	return []Case{
		{Section: s, Name: "exit status", uses: []string{"exit", "pid"}, run: exitStatus, Promise: "A process that exits in a call ends with that status, 0 too; the next call runs in another."},
		{Section: s, Name: "signals", uses: []string{"die", "pid"}, run: dyingOfSignals, Promise: "SIGKILL and SIGTERM end the process; SIGSEGV and SIGABRT, too, by themselves or by the language's runtime."},
		{Section: s, Name: "from outside", uses: []string{"hold", "pid"}, run: killedFromOutside, Promise: "A process that is killed, idle or busy, is replaced."},
		{Section: s, Name: "last words", uses: []string{"write", "exit"}, run: lastWords, Promise: "What was written to standard output and error before the death comes."},
		{Section: s, Name: "only what ran", uses: []string{"note"}, run: onlyWhatRan, Promise: "Of a hundred calls of which one kills its process, each runs once, and that one fails."},
		{Section: s, Name: "results before a crash", uses: []string{"add", "note"}, needs: []string{capRecorder}, run: resultsBeforeCrash, Promise: "The results of calls that ended before the one that kills the process are on the wire or in the journal; the page tells which calls started and finished."},
		{Section: s, Name: "large result before a crash", uses: []string{"make_bytes", "exit"}, needs: []string{capRecorder}, run: largeBeforeCrash, Promise: "A result that does not fit into the journal is with the kernel before the next call starts."},
		{Section: s, Name: "recorder", uses: []string{"add", "hold"}, needs: []string{capRecorder}, run: recorderKept, Promise: "The page says which call runs, since when by CLOCK_MONOTONIC, and which one was the last to finish; its header stays."},
	}
}

func exitStatus(t *trial) {
	p := t.pool()
	for _, status := range []int{0, 3, 255} {
		pid := p.pid()
		done := calling("exit", status)
		e := errorAs[*procpool.CrashError](p, done, fail(p, "exit", status))
		expect(t, done+": the exit code", e.ExitCode, status)
		expect(t, done+": the signal", e.Signal, "")
		if p.pid() == pid {
			t.failf("%s: expected another process for the next call, it is the same", done)
		}
	}
}

func dyingOfSignals(t *trial) {
	p := t.pool()
	for _, sig := range []struct {
		number syscall.Signal
		name   string
		exact  bool
	}{
		{syscall.SIGKILL, "SIGKILL", true},
		{syscall.SIGTERM, "SIGTERM", true},
		// A runtime may catch these, tell where it was, and exit.
		{syscall.SIGSEGV, "SIGSEGV", false},
		{syscall.SIGABRT, "SIGABRT", false},
	} {
		pid := p.pid()
		done := fmt.Sprintf("die was called for %s", sig.name)
		e := errorAs[*procpool.CrashError](p, done, fail(p, "die", int(sig.number)))
		switch {
		case e.Signal == sig.name:
		case sig.exact || e.Signal != "" || e.ExitCode <= 0:
			t.failf("%s: expected that it dies of it, got %q", done, e.Reason)
		}
		if p.pid() == pid {
			t.failf("%s: expected another process for the next call, it is the same", done)
		}
	}
}

func killedFromOutside(t *trial) {
	p := t.pool()
	idle := p.pid()
	t.kill(idle)
	if !t.eventually(func() bool { return p.Stats().Starts >= 2 && p.Stats().Idle == 1 }) {
		t.failf("The idle worker was killed: expected that it is replaced, %+v", p.Stats())
	}
	mark := t.path("mark")
	f := submit[string](p, "hold", args{"mark": mark})
	t.awaitStarted(mark, "hold was called")
	t.kill(f.Info().PID)
	e := errorAs[*procpool.CrashError](p, "The worker was killed while it ran hold", failure(p, "The worker was killed while it ran hold", f))
	expect(t, "The worker was killed while it ran hold: the signal", e.Signal, "SIGKILL")
	if now := p.pid(); now == idle || now == e.PID {
		t.failf("Workers were killed: expected another process for the next call, got %d again", now)
	}
}

// kill kills a process.
func (t *trial) kill(pid int) { t.signal(pid, os.Kill) }

// signal sends a signal to a process. That it is gone is for the case to find.
func (t *trial) signal(pid int, sig os.Signal) {
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(sig)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.failf("process %d can't be sent the signal %v: %v", pid, sig, err)
	}
}

func lastWords(t *trial) {
	p := t.pool()
	call[any](p, "write", args{"to": "stdout", "data": []byte("the last line of output")})
	call[any](p, "write", args{"to": "stderr", "data": []byte(strings.Repeat("older and longer ", 10_000))})
	call[any](p, "write", args{"to": "stderr", "data": []byte("\nthe licence has expired\n")})
	const done = "write was called for standard output and error, then exit with 7"
	e := errorAs[*procpool.CrashError](p, done, fail(p, "exit", 7))
	if !strings.Contains(e.Stderr, "the licence has expired") {
		t.failf("%s: expected \"the licence has expired\" in the end of standard error, got %s", done, brief(e.Stderr))
	}
	p.printed("the last line of output", done)
}

func onlyWhatRan(t *trial) {
	p := t.pool()
	path := t.path("notes")
	var futures []*procpool.Future[any]
	const n, deadly = 100, 60
	var want []string
	for i := range n {
		arg := args{"path": path, "line": fmt.Sprint(i)}
		if i == deadly {
			arg["exit"] = 9
		}
		futures = append(futures, submit[any](p, "note", arg))
		want = append(want, fmt.Sprint(i))
	}
	const done = "note was called a hundred times, of which the 61st exits with 9"
	for i, f := range futures {
		if i == deadly {
			expect(t, done+": the exit code", errorAs[*procpool.CrashError](p, done, failure(p, done, f)).ExitCode, 9)
			continue
		}
		result(p, fmt.Sprintf("%s: call %d", done, i+1), f)
	}
	got := t.lines(path)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.failf("%s: expected each line once, got %d lines: %s", done, len(got), brief(got))
	}
}

// tries is how often a death is tried whose outcome may be a matter of luck.
const tries = 4

func resultsBeforeCrash(t *trial) {
	for range tries {
		w := t.raw()
		path := t.path("notes")
		const n = 20
		var tasks []*workerv1.Task
		for i := range n {
			tasks = append(tasks, w.task("add", args{"a": i, "b": 1}))
		}
		tasks = append(tasks,
			w.task("note", args{"path": path, "line": "deadly", "exit": 9}), w.task("note", args{"path": path, "line": "never"}))
		w.send(tasks...)
		const done = "In one message came 20 calls of add, one of note that exits, and another of note"
		got := w.recovered(done)
		lane := w.Lane(0)
		expect(t, done+": the exit status", w.dead(done).Code, 9)
		expect(t, done+": what the page says was started", lane.Started, n+1)
		expect(t, done+": what the page says was finished", lane.Finished, n)
		for i, task := range tasks[:n] {
			o := got[task.GetSeq()]
			if o == nil {
				t.failf("%s: expected the results of all that finished, that of call %d is neither on the wire nor in the journal", done, i+1)
			}
			expect(t, done+": the result of an add", decode[int](t, done, o.GetInline()), i+1)
		}
		expect(t, done+": the number of outcomes", len(got), n)
		expect(t, done+": what was noted", strings.Join(t.lines(path), " "), "deadly")
		t.must(os.Remove(path))
	}
}

// dead waits for the worker's end.
func (w *raw) dead(done string) exit {
	e, err := w.AwaitEnd(w.t.ctx)
	if err != nil {
		w.t.failf("%s: expected that the process ends, it goes on", done)
	}
	return exit{e.Code, e.Signal}
}

// exit is how a process has ended.
type exit struct {
	Code   int
	Signal syscall.Signal
}

// recovered waits for the worker's end and returns all its outcomes on lane 0, those
// from the journal included.
func (w *raw) recovered(done string) map[uint64]*workerv1.Outcome {
	w.dead(done)
	if err := w.AwaitSilence(w.t.ctx); err != nil {
		w.t.failf("%s: expected the end of its connection, got: %v", done, err)
	}
	got := w.Outcomes(0)
	lane := w.Lane(0)
	var journal workerv1.WorkResponse
	if err := proto.Unmarshal(lane.Journal, &journal); err != nil || lane.JournalLen != uint64(len(lane.Journal)) {
		w.t.failf("%s: expected a journal of whole outcomes, its %d bytes are none: %v", done, lane.JournalLen, err)
	}
	last := uint64(0)
	for _, o := range journal.GetOutcomes() {
		if o.GetSeq() <= last {
			w.t.failf("%s: expected the journal's outcomes in their order, that of call %d comes behind that of %d", done, o.GetSeq(), last)
		}
		last = o.GetSeq()
		if sent := got[o.GetSeq()]; sent != nil && !proto.Equal(sent, o) {
			w.t.failf("%s: expected the same outcome of call %d in the journal and on the wire, got %s and %s", done, last, tell(o), tell(sent))
		}
		got[o.GetSeq()] = o
	}
	return got
}

func largeBeforeCrash(t *trial) {
	for range tries {
		w := t.raw()
		const size = 300_000
		big, end := w.task("make_bytes", size), w.task("exit", 5)
		w.send(big, end)
		done := fmt.Sprintf("In one message came a call with a result of %d bytes and one of exit", size)
		o := w.recovered(done)[big.GetSeq()]
		if o == nil {
			t.failf("%s: expected the result, it did not come", done)
		}
		expect(t, done+": the length of the result", len(decode[[]byte](t, done, o.GetInline())), size)
		expect(t, done+": what the page says was started", w.Lane(0).Started, end.GetSeq())
	}
}

func recorderKept(t *trial) {
	w := t.raw()
	const done = "add was called five times, then hold"
	before := monotonic()
	for range 5 {
		w.works("The recorder is offered")
	}
	mark, until := t.path("mark"), t.path("until")
	held := w.task("hold", args{"mark": mark, "until": until})
	w.send(held)
	t.awaitStarted(mark, done)
	lane := w.Lane(0)
	expect(t, done+": what the page says was started", lane.Started, held.GetSeq())
	expect(t, done+": what the page says was finished", lane.Finished, held.GetSeq()-1)
	expect(t, done+": waiting_since of a call that does not wait for the host", lane.WaitingSince, 0)
	if now := monotonic(); before != 0 && (lane.StartedAt < before || lane.StartedAt > now) {
		t.failf("%s: expected that started_at is a moment of CLOCK_MONOTONIC between %d and %d, got %d", done, before, now, lane.StartedAt)
	}
	t.create(until)
	w.answer(done, held)
	if !t.soon(func() bool { return w.Lane(0).Finished == held.GetSeq() }) {
		t.failf("%s, and hold was answered: expected that the page says that call %d has finished, it says %d", done, held.GetSeq(), w.Lane(0).Finished)
	}
	expect(t, done+": the page's header is as it was", w.HeaderKept(), true)
	for lane := 1; lane < lanesAsked; lane++ {
		if l := w.Lane(lane); l.Started != 0 || l.Finished != 0 || l.JournalLen != 0 {
			t.failf("%s, on lane 0: expected that lane %d stays as it was, got %+v", done, lane, l)
		}
	}
}
