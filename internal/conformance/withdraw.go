package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// withdrawCases are about calls that are taken back by the fence.
func withdrawCases() []Case {
	const s = "withdrawal"
	note, recorder := []string{"note", "hold", "add"}, []string{capRecorder}
	return []Case{
		{Section: s, Name: "fence ahead of all", uses: []string{"note", "add"}, needs: recorder, run: fenceAhead, Promise: "Calls beyond a fence that was there before them are declined in their order and do not run; started stays as it was."},
		{Section: s, Name: "fence in the queue", uses: note, needs: recorder, run: fenceInQueue, Promise: "Calls that wait behind one that runs are declined, each in its turn, when a fence is set between them."},
		{Section: s, Name: "fence below", uses: []string{"note", "add"}, needs: recorder, run: fenceBelow, Promise: "A fence below what has run stops what comes."},
		{Section: s, Name: "no reply needed", uses: []string{"note", "hold"}, needs: recorder, run: fenceOfTheStuck, Promise: "What is taken back from a worker that is killed in the call before has not run."},
		{Section: s, Name: "race", uses: []string{"note", "add"}, needs: recorder, run: fenceRace, Promise: "However fence and start meet, no call is both taken back and run."},
		{Section: s, Name: "sent ahead", uses: []string{"note", "hold"}, run: sentAhead, Promise: "Calls that a pool had sent ahead to a worker that is held up run exactly once, somewhere."},
	}
}

// noting makes calls of note that note their place in the list.
func (w *raw) noting(path string, n int) []*workerv1.Task {
	var tasks []*workerv1.Task
	for i := range n {
		tasks = append(tasks, w.task("note", args{"path": path, "line": fmt.Sprint(i)}))
	}
	return tasks
}

func fenceAhead(t *trial) {
	w := t.raw()
	notes := t.path("notes")
	w.works("The worker was started")
	last := w.Lane(0).Started
	w.Fence(0, last)
	tasks := w.noting(notes, 5)
	w.send(tasks...)
	done := fmt.Sprintf("The fence was set to %d, and five calls were sent beyond it", last)
	for _, task := range tasks {
		w.declined(done, task, 0)
	}
	expect(t, done+": what was noted", strings.Join(t.lines(notes), " "), "")
	expect(t, done+": what the page says was started", w.Lane(0).Started, last)
	expect(t, done+": what the page says was finished", w.Lane(0).Finished, last)
	w.Fence(0, rawhost.NoFence)
	w.works(done + " and declined, and it was lifted")
}

func fenceInQueue(t *trial) {
	w := t.raw()
	mark, until, notes := t.path("mark"), t.path("until"), t.path("notes")
	held := w.task("hold", args{"mark": mark, "until": until})
	tasks := w.noting(notes, 6)
	w.send(append([]*workerv1.Task{held}, tasks...)...)
	t.awaitStarted(mark, "hold was called, and note six times behind it")
	started := w.Fence(0, tasks[1].GetSeq())
	const done = "hold ran, six calls of note waited behind it, and the fence was set behind the second"
	expect(t, done+": what the page says was started", started, held.GetSeq())
	w.settle()
	expect(t, done+": the third is answered before its turn", w.Answered(0, tasks[2].GetSeq()), false)
	t.create(until)
	w.answer(done, held)
	for i, task := range tasks {
		if i < 2 {
			w.answer(fmt.Sprintf("%s: note %d", done, i+1), task)
		} else {
			w.declined(fmt.Sprintf("%s: note %d", done, i+1), task, 0)
		}
	}
	expect(t, done+": what was noted", strings.Join(t.lines(notes), " "), "0 1")
	expect(t, done+": what the page says was started", w.Lane(0).Started, tasks[1].GetSeq())
	w.Fence(0, rawhost.NoFence)
	w.works(done)
}

func fenceBelow(t *trial) {
	w := t.raw()
	for range 5 {
		w.works("The worker was started")
	}
	started := w.Fence(0, 2)
	const done = "Five calls had run, and the fence was set to 2"
	expect(t, done+": what the page says was started", started, 5)
	tasks := w.noting(t.path("notes"), 2)
	w.send(tasks...)
	for _, task := range tasks {
		w.declined(done+", and another call was sent", task, 0)
	}
	expect(t, done+": what the page says was started, when others were declined", w.Lane(0).Started, 5)
	w.Fence(0, rawhost.NoFence)
	w.works(done + " and lifted")
}

func fenceOfTheStuck(t *trial) {
	w := t.raw()
	mark, notes := t.path("mark"), t.path("notes")
	held := w.task("hold", args{"mark": mark})
	w.send(append([]*workerv1.Task{held}, w.noting(notes, 3)...)...)
	t.awaitStarted(mark, "hold was called, and note three times behind it")
	started := w.Fence(0, held.GetSeq())
	t.kill(w.PID())
	const done = "hold ran, three calls of note waited behind it and were taken back, and the worker was killed"
	w.dead(done)
	expect(t, done+": what the page said was started", started, held.GetSeq())
	expect(t, done+": what it says then", w.Lane(0).Started, held.GetSeq())
	expect(t, done+": what was noted", strings.Join(t.lines(notes), " "), "")
}

func fenceRace(t *trial) {
	w := t.raw()
	notes := t.path("notes")
	const rounds, n = 60, 20
	takenBack := make(map[string]bool)
	ran := make(map[string]bool)
	for round := range rounds {
		var tasks []*workerv1.Task
		for i := range n {
			tasks = append(tasks, w.task("note", args{"path": notes, "line": fmt.Sprintf("%d.%d", round, i)}))
		}
		first := tasks[0].GetSeq()
		w.send(tasks...)
		// Let some of them run, in each round another number.
		t.eventually(func() bool { return w.Lane(0).Started >= first+uint64(round%n)/2 })
		k := first - 1 + uint64(round%3)
		started := w.Fence(0, k)
		for i, task := range tasks {
			line := fmt.Sprintf("%d.%d", round, i)
			o := w.outcome(task)
			if o.GetFailure() != nil {
				t.failf("note was called while the fence was set: expected that it runs or is declined, got %s", tell(o))
			}
			ran[line] = o.GetDeclined() == nil
			takenBack[line] = task.GetSeq() > max(k, started)
		}
		w.Fence(0, rawhost.NoFence)
	}
	noted := make(map[string]int)
	for _, line := range t.lines(notes) {
		noted[line]++
	}
	for line, was := range ran {
		const done = "20 calls were sent and the fence was set among them, many times over"
		switch {
		case noted[line] > 1:
			t.failf("%s: expected that each runs once at most, call %s ran %d times", done, line, noted[line])
		case was != (noted[line] == 1):
			t.failf("%s: expected that a call is declined if it has not run, and only then: declined %t, ran %d times", done, !was, noted[line])
		case was && takenBack[line]:
			t.failf("%s: expected that no call runs which lies beyond the fence and beyond what had started when it was set, call %s ran", done, line)
		}
	}
	w.works("The fence was set many times")
}

func sentAhead(t *trial) {
	p := t.pool(func(c *executor.Config) { c.Workers = 2 })
	if !t.eventually(func() bool { return p.Stats().Workers == 2 }) {
		t.failf("A pool of two workers was started: expected both, %+v", p.Stats())
	}
	notes, open := t.path("notes"), t.path("open")
	t.create(open)
	// A pool sends ahead what it knows to be quick.
	for range 50 {
		call[string](p, "hold", args{"mark": t.path("learning"), "until": open})
	}
	mark, until := t.path("mark"), t.path("until")
	var held *procpool.Future[string]
	var futures []*procpool.Future[any]
	var want []string
	for i := range 400 {
		if i == 50 {
			held = submit[string](p, "hold", args{"mark": mark, "until": until})
		}
		line := fmt.Sprint(i)
		futures, want = append(futures, submit[any](p, "note", args{"path": notes, "line": line})), append(want, line)
	}
	const done = "note was called 400 times, and hold among them, in two workers"
	for i, f := range futures { // also those that waited behind hold
		result(p, fmt.Sprintf("%s: note %d", done, i+1), f)
	}
	t.create(until)
	expect(t, done+": hold", result(p, done, held), "released")
	got := t.lines(notes)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.failf("%s: expected that each runs once, got %d lines: %s", done, len(got), brief(got))
	}
}
