package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// streamCases are about calls that send values.
func streamCases() []Case {
	const s = "streams"
	count, stream := []string{"count", "pid"}, []string{capStream}
	raw := []string{"count", "add"}
	return []Case{
		{Section: s, Name: "values", uses: count, needs: stream, run: streamValues, Promise: "All values come, in their order, then the end: none, one, ten thousand; the worker lives."},
		{Section: s, Name: "slow reader", uses: count, needs: stream, run: streamSlowReader, Promise: "A reader that takes its time, with a window of two, gets all."},
		{Section: s, Name: "first value at once", uses: []string{"count"}, needs: stream, run: streamPrompt, Promise: "A value is on its way while the stream still waits for the next."},
		{Section: s, Name: "reader leaves", uses: count, needs: stream, run: streamLeft, Promise: "A stream without end whose reader leaves is cancelled and ends; the worker lives."},
		{Section: s, Name: "fails half way", uses: count, needs: stream, run: streamFails, Promise: "The values before a failure come, then the failure; the worker lives."},
		{Section: s, Name: "dies half way", uses: count, needs: stream, run: streamDies, Promise: "A process that dies in a stream is a crash behind the values that came; the next call runs in another."},
		{Section: s, Name: "large values", uses: []string{"chunks", "pid"}, needs: stream, run: streamLarge, Promise: "Values of 4 MiB come, one at a time if need be."},
		{Section: s, Name: "value too large", uses: []string{"chunks", "pid"}, needs: stream, run: streamTooLarge, Promise: "A value of more than max_payload_bytes fails its call with FAILURE_KIND_TOO_LARGE; the worker lives."},
		{Section: s, Name: "bad argument", uses: raw, needs: stream, run: streamBadArgument, Promise: "A stream whose argument can't be decoded fails with FAILURE_KIND_CODEC."},
		{Section: s, Name: "credit of values", uses: raw, needs: stream, run: streamCredit, Promise: "No value is sent without credit, to the last one; more credit brings just so many more."},
		{Section: s, Name: "credit of bytes", uses: []string{"chunks", "add"}, needs: stream, run: streamBytes, Promise: "A value of any size may be sent while both counts are above zero, which takes that of bytes below; it has to come above zero again first."},
		{Section: s, Name: "credit for nobody", uses: raw, needs: stream, run: streamCreditForNobody, Promise: "Credit for calls that have ended, that never come or that are functions is dropped."},
		{Section: s, Name: "cancel without credit", uses: raw, needs: stream, run: streamCancelWaiting, Promise: "A stream that waits for credit wakes up when it is cancelled, and ends."},
		{Section: s, Name: "waiting is noted", uses: []string{"count"}, needs: []string{capStream, capRecorder}, run: streamWaiting, Promise: "While a call waits for credit waiting_since says since when, and its run time stands still."},
		{Section: s, Name: "others go on", uses: raw, needs: []string{capStream, capLanes}, run: streamNeighbour, Promise: "While a stream waits for credit the calls of other lanes run."},
		{Section: s, Name: "very many values", uses: raw, needs: stream, run: streamMany, Promise: "100,000 values with credit for all come in messages of at most 65,536 elements."},
	}
}

// stream calls a stream and takes all values up to its error, if there is one.
func stream[Out any](p *pool, name string, arg any, opts ...procpool.Option) (values []Out, err error) {
	p.t.use(name)
	for v, err := range procpool.RemoteStream[any, Out](name).All(p.t.ctx, p, arg, opts...) {
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

// counted ends the case if values are not 0 to n-1.
func counted(t *trial, done string, values []int, n int) {
	expect(t, done+": the number of values", len(values), n)
	for i, v := range values {
		expect(t, fmt.Sprintf("%s: value %d", done, i), v, i)
	}
}

func streamValues(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, n := range []int{0, 1, 2, 10_000} {
		values, err := stream[int](p, "count", args{"n": n})
		done := fmt.Sprintf("count was called for %d values", n)
		if err != nil {
			t.failf("%s: expected no error, got %s", done, p.describe(err))
		}
		counted(t, done, values, n)
	}
	p.sameWorker(pid, "count was called")
}

func streamSlowReader(t *trial) {
	p := t.pool()
	pid := p.pid()
	t.use("count")
	const n = 20
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var values []int
	for v, err := range procpool.RemoteStream[args, int]("count").All(t.ctx, p, args{"n": n}, procpool.Window(2)) {
		if err != nil {
			t.failf("count was called for %d values, and its reader takes one each 5ms: expected no error, got %s", n, p.describe(err))
		}
		values = append(values, v)
		<-tick.C
	}
	counted(t, "count was called, and its reader took one each 5ms", values, n)
	p.sameWorker(pid, "count was called")
}

func streamPrompt(t *trial) {
	p := t.pool()
	t.use("count")
	until := t.path("until")
	n := 0
	for v, err := range procpool.RemoteStream[args, int]("count").All(t.ctx, p, args{"n": 3, "until": until}) {
		const done = "count was called for three values, and waits behind the first"
		if err != nil {
			t.failf("%s: expected value %d, got %s", done, n, p.describe(err))
		}
		expect(t, done, v, n)
		if n++; n == 1 {
			t.create(until) // it has come although the stream waits
		}
	}
	expect(t, "count was called for three values: how many came", n, 3)
}

func streamLeft(t *trial) {
	p := t.pool()
	pid := p.pid()
	t.use("count")
	mark := t.path("mark")
	const done = "count was called for values without end, and its reader left behind the fifth"
	n := 0
	for v, err := range procpool.RemoteStream[args, int]("count").All(t.ctx, p, args{"n": -1, "mark": mark}) {
		if err != nil {
			t.failf("%s: expected values, got %s", done, p.describe(err))
		}
		expect(t, done+": a value", v, n)
		if n++; n == 5 {
			break
		}
	}
	if !t.soon(func() bool { return slices.Equal(t.lines(mark), []string{"ended"}) }) {
		t.failf("%s: expected that it notes \"ended\" within %v, it has noted %q", done, t.kit.cfg.Grace, t.lines(mark))
	}
	p.sameWorker(pid, done)
}

func streamFails(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, n := range []int{0, 100} {
		values, err := stream[int](p, "count", args{"n": n, "fail": "no more paper"})
		done := fmt.Sprintf("count was called for %d values and then to fail", n)
		expect(t, done+": the message", errorAs[*procpool.TaskError](p, done, err).Message, "no more paper")
		counted(t, done, values, n)
	}
	p.sameWorker(pid, "count was called to fail")
}

func streamDies(t *trial) {
	p := t.pool()
	pid := p.pid()
	values, err := stream[int](p, "count", args{"n": 100, "exit": 6})
	const done = "count was called for 100 values and then to exit with 6"
	expect(t, done+": the exit code", errorAs[*procpool.CrashError](p, done, err).ExitCode, 6)
	counted(t, done, values, len(values)) // those sent last may be lost
	if p.pid() == pid {
		t.failf("%s: expected another process for the next call, it is the same", done)
	}
}

func streamLarge(t *trial) {
	p := t.pool()
	pid := p.pid()
	t.use("chunks")
	const n, size = 6, 4 * mebibyte
	want := patterned(size)
	got := 0
	for v, err := range procpool.RemoteStream[args, []byte]("chunks").All(t.ctx, p, args{"n": n, "size": size}, procpool.Window(1)) {
		const done = "chunks was called for 6 values of 4 MiB"
		if err != nil {
			t.failf("%s: expected value %d, got %s", done, got, p.describe(err))
		}
		if !bytes.Equal(v, want) {
			t.failf("%s: expected bytes i mod 251, got %d bytes that differ", done, len(v))
		}
		got++
	}
	expect(t, "chunks was called for 6 values: how many came", got, n)
	p.sameWorker(pid, "chunks was called")
}

func streamTooLarge(t *trial) {
	p := t.pool(func(c *executor.Config) { c.MaxPayload = mebibyte })
	pid := p.pid()
	values, err := stream[[]byte](p, "chunks", args{"n": 2, "size": mebibyte - 5})
	const fits = "max_payload_bytes is 1 MiB, and chunks was called for two values of just that in CBOR"
	if err != nil {
		t.failf("%s: expected no error, got %s", fits, p.describe(err))
	}
	expect(t, fits, len(values), 2)
	_, err = stream[[]byte](p, "chunks", args{"n": 2, "size": mebibyte - 4})
	p.errorIs("max_payload_bytes is 1 MiB, and chunks was called for values of one byte more", err, procpool.ErrTooLarge)
	p.sameWorker(pid, "a value was too large")
}

func streamBadArgument(t *trial) {
	w := t.raw()
	task := w.task("count", encoded("\xff"))
	w.send(task)
	const done = "count was called with an argument that is no CBOR"
	w.failed(done, task, workerv1.FailureKind_FAILURE_KIND_CODEC)
	w.works(done)
}

// begins gives a stream its first credit.
func begins(values, bytes uint64) func(*workerv1.Task) {
	return func(task *workerv1.Task) { task.ResultCredit, task.ResultCreditBytes = values, bytes }
}

// credit gives a call more credit.
func (w *raw) credit(task *workerv1.Task, values, bytes uint64) {
	w.t.must(w.Send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: task.GetSeq(), Lane: task.GetLane(), Values: values, Bytes: bytes}}}))
}

// value takes the next value of a call that has one.
func (w *raw) value(done string, task *workerv1.Task) []byte {
	v, more, err := w.Value(w.t.ctx, task.GetLane(), task.GetSeq())
	w.t.must(err)
	if !more {
		w.t.failf("%s: expected another value, got %s", done, tell(w.outcome(task)))
	}
	return v
}

// numbers takes the next n values of count, which begin at from.
func (w *raw) numbers(done string, task *workerv1.Task, from, n int) {
	for i := range n {
		expect(w.t, fmt.Sprintf("%s: value %d", done, from+i), decode[int](w.t, done, w.value(done, task)), from+i)
	}
}

// noMore ends the case if more values of a call come.
func (w *raw) noMore(done string, task *workerv1.Task) {
	w.settle()
	expect(w.t, done+": further values that have come", w.Waiting(task.GetLane(), task.GetSeq()), 0)
	expect(w.t, done+": it is answered", w.Answered(task.GetLane(), task.GetSeq()), false)
}

func streamCredit(t *trial) {
	w := t.raw()
	task := w.task("count", args{"n": 10}, begins(1, mebibyte))
	w.send(task)
	const done = "count was called for 10 values, with credit for 1, then 3, then 2, then 100"
	w.numbers(done, task, 0, 1)
	w.noMore(done, task)
	w.credit(task, 3, 0)
	w.numbers(done, task, 1, 3)
	w.noMore(done, task)
	w.credit(task, 1, 0)
	w.credit(task, 1, 0)
	w.numbers(done, task, 4, 2)
	w.credit(task, 100, 100)
	w.numbers(done, task, 6, 4)
	w.answer(done, task)
	w.works(done)
}

func streamBytes(t *trial) {
	w := t.raw()
	// Each of the values takes 102 bytes.
	const size = 102
	task := w.task("chunks", args{"n": 6, "size": 100}, begins(1000, 1))
	w.send(task)
	const done = "chunks was called for values of 102 bytes, with credit for 1 byte, then 101, then 1, then 204, then 1 MiB"
	expect(t, done+": the size of a value", len(w.value(done, task)), size)
	w.noMore(done, task)
	w.credit(task, 0, 101) // which makes it zero
	w.noMore(done, task)
	w.credit(task, 0, 1)
	w.value(done, task)
	w.noMore(done, task)
	w.credit(task, 0, 2*size) // two more, of which the last takes it below
	w.value(done, task)
	w.value(done, task)
	w.noMore(done, task)
	w.credit(task, 0, mebibyte)
	w.value(done, task)
	w.value(done, task)
	w.answer(done, task)
	w.works(done)
}

func streamCreditForNobody(t *trial) {
	w := t.raw()
	ended := w.task("count", args{"n": 3})
	w.send(ended)
	w.answer("count was called", ended)
	t.must(w.Send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{
		{Seq: ended.GetSeq(), Values: 5, Bytes: 5},
		{Seq: 1 << 40, Values: 5, Bytes: 5},
		{Seq: 1, Lane: 1 << 20, Values: 5, Bytes: 5},
		{HostCall: 77, Values: 5, Bytes: 5},
		{Seq: ended.GetSeq()},
	}}))
	next := w.task("count", args{"n": 4}, begins(2, mebibyte))
	w.send(next)
	const done = "Credit came for calls that had ended, and such as never come, and count was called with credit for two values"
	w.numbers(done, next, 0, 2)
	w.noMore(done, next)
	w.credit(next, 1<<40, 1<<40)
	w.numbers(done, next, 2, 2)
	w.answer(done, next)
	w.works(done)
}

func streamCancelWaiting(t *trial) {
	w := t.raw()
	mark := t.path("mark")
	task := w.task("count", args{"n": -1, "mark": mark}, begins(2, mebibyte))
	w.send(task)
	const done = "count was called for values without end, with credit for two, and cancelled when they had come"
	w.numbers(done, task, 0, 2)
	t.must(w.Cancel(0, task.GetSeq()))
	ctx, cancel := t.within()
	defer cancel()
	if _, err := w.Outcome(ctx, 0, task.GetSeq()); err != nil {
		t.failf("%s: expected that it ends: %v", done, err)
	}
	expect(t, done+": what it has noted", fmt.Sprint(t.lines(mark)), "[ended]")
	w.works(done)
}

func streamWaiting(t *trial) {
	w := t.raw()
	until := t.path("until")
	task := w.task("count", args{"n": 3, "until": until}, begins(2, mebibyte))
	w.send(task)
	const done = "count was called for three values, with credit for two"
	w.numbers(done, task, 0, 1)
	began := w.Lane(0)
	expect(t, done+": waiting_since while it waits for a file", began.WaitingSince, 0)
	t.create(until)
	w.numbers(done, task, 1, 1)
	if !t.eventually(func() bool { return w.Lane(0).WaitingSince != 0 }) {
		t.failf("%s, and waits for credit: expected that waiting_since is set, it is 0", done)
	}
	waiting := w.Lane(0).WaitingSince
	if now := monotonic(); now != 0 && (waiting < began.StartedAt || waiting > now) {
		t.failf("%s: expected that waiting_since is between the start of the call, %d, and now, %d; it is %d", done, began.StartedAt, now, waiting)
	}
	w.settle()
	w.credit(task, 1, 0)
	w.numbers(done, task, 2, 1)
	w.answer(done, task)
	after := w.Lane(0)
	expect(t, done+": waiting_since when it has ended", after.WaitingSince, 0)
	if after.StartedAt <= began.StartedAt {
		t.failf("%s: expected that started_at was moved forward by the time waited, it was %d and is %d", done, began.StartedAt, after.StartedAt)
	}
}

func streamNeighbour(t *trial) {
	w := t.raw()
	waiting := w.task("count", args{"n": 3}, begins(1, mebibyte), on(1))
	w.send(waiting)
	const done = "A stream on lane 1 waits for credit"
	w.numbers(done, waiting, 0, 1)
	for range 5 {
		w.works(done)
	}
	flowing := w.task("count", args{"n": 1000})
	w.send(flowing)
	w.numbers(done+", and count was called on lane 0", flowing, 0, 1000)
	w.credit(waiting, 10, 10)
	w.numbers(done, waiting, 1, 2)
	w.answer(done, waiting)
}

func streamMany(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.MaxPayload = 4096 }) // so that no message may have much more than a MiB
	const n = 100_000
	task := w.task("count", args{"n": n})
	w.send(task)
	done := fmt.Sprintf("count was called for %d values, with credit for all", n)
	w.answer(done, task)
	w.numbers(done, task, 0, n)
	if _, more, err := w.Value(t.ctx, 0, task.GetSeq()); more || err != nil {
		t.failf("%s: expected no more, got another value or an error: %v", done, err)
	}
	w.works(done)
}
