package conformance

import (
	"fmt"
	"time"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// messageCases are about how calls come and what comes with them.
func messageCases() []Case {
	const s = "messages"
	add := []string{"add"}
	return []Case{
		{Section: s, Name: "empty", uses: add, run: emptyMessages, Promise: "A message without elements is as good as none."},
		{Section: s, Name: "unknown fields", uses: add, run: unknownFields, Promise: "Fields that are not known are passed over, in every message."},
		{Section: s, Name: "numbers", uses: add, run: callNumbers, Promise: "Calls may have any numbers that ascend, with gaps, up to 2^63 and beyond."},
		{Section: s, Name: "many in one", uses: add, run: manyInOne, Promise: "20,000 calls in one message are answered, in order."},
		{Section: s, Name: "one each", uses: add, run: oneEach, Promise: "2,000 messages with a call each are answered, in order, before the last has been sent or after."},
		{Section: s, Name: "lanes", uses: []string{"add", "hold"}, needs: []string{capLanes}, run: lanesAreIndependent, Promise: "Each lane has its own numbers and its own order, and none waits for another."},
		{Section: s, Name: "reads while calls run", uses: []string{"hold", "length", "add"}, run: readsOn, Promise: "64 MiB of calls are read while one runs, and run behind it."},
		{Section: s, Name: "segment", uses: add, run: segmentRefused, Promise: "A payload in a segment, which nobody has agreed to, ends the stream Work with an error."},
		{Section: s, Name: "context", uses: []string{"context"}, run: contextOfCall, Promise: "Attempt, metadata and deadline are what the host has said: 0 is the first attempt, and no deadline."},
		{Section: s, Name: "run time", uses: []string{"hold"}, run: runTime, Promise: "run_nanos is how long the function ran."},
	}
}

func emptyMessages(t *trial) {
	w := t.raw()
	for range 3 {
		t.must(w.Send(&workerv1.WorkRequest{}))
		w.works("An empty WorkRequest came")
	}
}

func unknownFields(t *trial) {
	w := t.raw()
	task := rawhost.WithUnknown(w.task("add", args{"a": 40, "b": 2}))
	t.must(w.Send(rawhost.WithUnknown(&workerv1.WorkRequest{Tasks: []*workerv1.Task{task}})))
	const done = "add was called with 40 and 2, in messages with fields that nobody knows"
	expect(t, done, decode[int](t, done, w.answer(done, task)), 42)
	t.must(w.Send(rawhost.WithUnknown(&workerv1.WorkRequest{Credits: []*workerv1.Credit{rawhost.WithUnknown(&workerv1.Credit{Seq: 1, Values: 1})}})))
	t.must(w.Tell(rawhost.WithUnknown(&workerv1.ControlRequest{
		Event: &workerv1.ControlRequest_Cancel{Cancel: rawhost.WithUnknown(&workerv1.Cancel{Seq: 1})},
	})))
	w.works("Messages came with fields that nobody knows")
}

func callNumbers(t *trial) {
	w := t.raw()
	var tasks []*workerv1.Task
	numbers := []uint64{3, 4, 100, 1 << 31, 1 << 32, 1<<53 + 1, 1 << 62, 1 << 63, 1<<63 + 12345}
	for i, seq := range numbers {
		tasks = append(tasks, w.task("add", args{"a": i, "b": 0}, func(task *workerv1.Task) { task.Seq = seq }))
	}
	w.send(tasks...)
	for i, task := range tasks {
		done := fmt.Sprintf("Calls came with the numbers %d: that of number %d", numbers, task.GetSeq())
		expect(t, done, decode[int](t, done, w.answer(done, task)), i)
	}
}

func manyInOne(t *trial) {
	w := t.raw()
	const n = 20_000
	var tasks []*workerv1.Task
	for i := range n {
		tasks = append(tasks, w.task("add", args{"a": i, "b": 1}))
	}
	w.send(tasks...)
	for i, task := range tasks {
		done := fmt.Sprintf("20,000 calls of add came in one message: call %d", i+1)
		expect(t, done, decode[int](t, done, w.answer(done, task)), i+1)
	}
}

func oneEach(t *trial) {
	w := t.raw()
	var tasks []*workerv1.Task
	for i := range 2000 {
		task := w.task("add", args{"a": i, "b": 1})
		w.send(task)
		tasks = append(tasks, task)
	}
	for i, task := range tasks {
		done := fmt.Sprintf("2,000 calls of add came in a message each: call %d", i+1)
		expect(t, done, decode[int](t, done, w.answer(done, task)), i+1)
	}
}

func lanesAreIndependent(t *trial) {
	w := t.raw()
	lanes := w.Hello().GetLanes()
	mark, until := t.path("mark"), t.path("until")
	held := w.task("hold", args{"mark": mark, "until": until})
	w.send(held)
	t.awaitStarted(mark, "hold was called on lane 0")
	var tasks []*workerv1.Task
	for i := range 50 {
		for lane := uint32(1); lane < lanes; lane++ {
			sameNumber := func(task *workerv1.Task) { task.Seq = uint64(i + 1) }
			tasks = append(tasks, w.task("add", args{"a": i, "b": int(lane)}, on(lane), sameNumber))
		}
	}
	w.send(tasks...)
	for _, task := range tasks {
		done := fmt.Sprintf("hold runs on lane 0, and calls of the same numbers came on %d others: call %d on lane %d", lanes-1, task.GetSeq(), task.GetLane())
		expect(t, done, decode[int](t, done, w.answer(done, task)), int(task.GetSeq())-1+int(task.GetLane()))
	}
	expect(t, "hold runs on lane 0, and others have run: it is answered", w.Answered(0, held.GetSeq()), false)
	t.create(until)
	w.answer("hold was called", held)
}

func readsOn(t *trial) {
	w := t.raw()
	mark, until := t.path("mark"), t.path("until")
	held := w.task("hold", args{"mark": mark, "until": until})
	w.send(held)
	t.awaitStarted(mark, "hold was called")
	const n = 64
	const done = "hold runs, and 64 calls with a MiB each came behind it"
	sent := make(chan struct{})
	var tasks []*workerv1.Task
	for range n {
		tasks = append(tasks, w.task("length", patterned(mebibyte)))
	}
	var sendErr error
	go func() {
		defer close(sent)
		for _, task := range tasks {
			if sendErr = w.Send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{task}}); sendErr != nil {
				return
			}
		}
	}()
	select {
	case <-sent:
	case <-t.ctx.Done():
		t.failf("%s: expected that the worker reads them while hold runs, it does not", done)
	}
	t.must(sendErr)
	w.settle()
	t.create(until)
	w.answer(done, held)
	for _, task := range tasks {
		expect(t, done, decode[int](t, done, w.answer(done, task)), mebibyte)
	}
	w.works(done)
}

func segmentRefused(t *trial) {
	w := t.raw()
	w.send(w.task("add", encoded(nil), func(task *workerv1.Task) {
		task.Payload = &workerv1.Task_Segment{Segment: &workerv1.SegmentRef{Path: "/nowhere", Id: 1, Size: 3}}
	}))
	w.endsWork("add was called with its argument in a segment")
}

// endsWork waits until the worker ends the stream Work, since the host does not keep
// the contract.
func (w *raw) endsWork(done string) {
	ctx, cancel := w.t.within()
	defer cancel()
	if err := w.AwaitSilence(ctx); err != nil {
		w.t.failf("%s: expected that the worker ends the stream Work, got: %v", done, err)
	}
}

func contextOfCall(t *trial) {
	w := t.raw()
	for _, c := range []struct {
		attempt  uint32
		metadata map[string]string
		seconds  float64
		want     int
	}{
		{0, nil, 0, 1},
		{1, map[string]string{}, 1000, 1},
		{5, map[string]string{"tenant": "a", "": "empty", "žluť": "", "long": string(patternedText(10_000))}, 2000, 5},
	} {
		task := w.task("context", nil, func(task *workerv1.Task) {
			task.Attempt, task.Metadata, task.TimeoutNanos = c.attempt, c.metadata, uint64(c.seconds*1e9)
		})
		w.send(task)
		done := fmt.Sprintf("context was called with attempt %d, %d entries of metadata and %v seconds", c.attempt, len(c.metadata), c.seconds)
		decode[knowledge](t, done, w.answer(done, task)).check(t, done, c.metadata, c.want, c.seconds)
	}
}

// patternedText is n letters.
func patternedText(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return b
}

func runTime(t *trial) {
	w := t.raw()
	mark, until := t.path("mark"), t.path("until")
	began := time.Now()
	held := w.task("hold", args{"mark": mark, "until": until})
	w.send(held)
	t.awaitStarted(mark, "hold was called")
	running := time.Now()
	w.settle()
	t.create(until)
	least := time.Since(running)
	ran := time.Duration(w.outcome(held).GetRunNanos())
	if most := time.Since(began); ran < least || ran > most {
		t.failf("hold was called and ran for %v at least, and for %v at most: expected run_nanos between them, got %v", least, most, ran)
	}
}
