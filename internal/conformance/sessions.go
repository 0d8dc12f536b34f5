package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// sessionCases are about calls that send and receive values.
func sessionCases() []Case {
	const s = "sessions"
	session := []string{capSession}
	echo := []string{"echo_session", "pid"}
	raw := []string{"echo_session", "add"}
	return []Case{
		{Section: s, Name: "echo", uses: echo, needs: session, run: sessionEcho, Promise: "Each value comes back at once, while the session is open; it ends when there are no more."},
		{Section: s, Name: "both ways at once", uses: []string{"echo_session"}, needs: session, run: sessionBothWays, Promise: "5,000 values go in and come out while the caller sends and takes at the same time."},
		{Section: s, Name: "sum", uses: []string{"sum_session", "pid"}, needs: session, run: sessionSum, Promise: "A session that only listens gets all values, more than its window, or none at all."},
		{Section: s, Name: "large values", uses: echo, needs: session, run: sessionLarge, Promise: "Values of 8 MiB come back."},
		{Section: s, Name: "ends early", uses: []string{"take_session", "pid"}, needs: session, run: sessionEndsEarly, Promise: "A session may return or fail while its caller still sends."},
		{Section: s, Name: "deaf", uses: []string{"deaf_session", "pid"}, needs: session, run: sessionDeaf, Promise: "The caller of a session that takes nothing is held up, and not the worker; cancelled, it ends."},
		{Section: s, Name: "bad value", uses: []string{"sum_session", "pid"}, needs: session, run: sessionBadValue, Promise: "A value that can't be decoded is a failure of the session; the worker lives."},
		{Section: s, Name: "process of its own", uses: echo, needs: session, run: sessionDedicated, Promise: "A session runs in a process of its own, which leaves when it has ended."},
		{Section: s, Name: "all credit at once", uses: raw, needs: session, run: sessionAllCredit, Promise: "The worker gives credit when the call has started, takes values for all of it, and gives more as they are taken."},
		{Section: s, Name: "end and credit in one message", uses: raw, needs: session, run: sessionOneMessage, Promise: "Values, the end and credit for a session are taken in the order of the document, however they are put together."},
		{Section: s, Name: "values for nobody", uses: raw, needs: session, run: sessionValuesForNobody, Promise: "Values and ends for calls that have ended, or that never come, are dropped."},
		{Section: s, Name: "values without credit", uses: []string{"deaf_session"}, needs: session, run: sessionWithoutCredit, Promise: "Values beyond the credit that the worker has given end the stream Work; it keeps no more than it has asked for."},
		{Section: s, Name: "cancelled while it waits", uses: []string{"sum_session", "add"}, needs: session, run: sessionCancelled, Promise: "A session that waits for a value wakes up when it is cancelled, and ends."},
		{Section: s, Name: "waiting is noted", uses: []string{"echo_session"}, needs: []string{capSession, capRecorder}, run: sessionWaiting, Promise: "While a session waits for a value waiting_since says since when."},
	}
}

// converse opens a session in one of the pool's workers, which is closed when the case
// ends.
func converse[Out any](p *pool, name string, arg any, opts ...procpool.Option) *procpool.Conversation[any, Out] {
	p.t.use(name)
	c := procpool.RemoteSession[any, any, Out](name).Open(p.t.ctx, p, arg, append([]procpool.Option{procpool.Shared()}, opts...)...)
	p.t.onEnd(func() { _ = c.Close() }) // the case has looked at its error
	return c
}

// ended ends the case if a session does not end here, and in peace.
func ended[Out any](p *pool, done string, c *procpool.Conversation[any, Out]) {
	v, err := c.Recv(p.t.ctx)
	switch {
	case err == nil:
		p.t.failf("%s: expected the end of the session, got the value %s", done, brief(v))
	case !errors.Is(err, io.EOF):
		p.t.failf("%s: expected the end of the session, got %s", done, p.describe(err))
	}
}

// lastly takes all values that are left and returns the error of the session.
func lastly[Out any](p *pool, done string, c *procpool.Conversation[any, Out]) error {
	for {
		if _, err := c.Recv(p.t.ctx); errors.Is(err, io.EOF) {
			p.t.failf("%s: expected that the session fails, it has ended in peace", done)
		} else if err != nil {
			return err
		}
	}
}

// receive takes the next value of a session.
func receive[Out any](p *pool, done string, c *procpool.Conversation[any, Out]) Out {
	v, err := c.Recv(p.t.ctx)
	if err != nil {
		p.t.failf("%s: expected a value, got %s", done, p.describe(err))
	}
	return v
}

// give sends a session a value.
func give[Out any](p *pool, done string, c *procpool.Conversation[any, Out], v any) {
	if err := c.Send(p.t.ctx, v); err != nil {
		p.t.failf("%s: expected that it takes the value %s, got %s", done, brief(v), p.describe(err))
	}
}

func sessionEcho(t *trial) {
	p := t.pool()
	pid := p.pid()
	const done = "echo_session was opened"
	c := converse[any](p, "echo_session", nil)
	for _, v := range []any{int64(1), "text", []byte("bytes"), nil, []any{1.5, map[string]any{"a": int64(1)}}} {
		give(p, done, c, v)
		if got := receive(p, done, c); !alike(got, v) {
			t.failf("%s and sent %s: expected the same, got %s", done, brief(v), brief(got))
		}
	}
	c.CloseSend()
	ended(p, done+" and told that there are no more", c)

	c = converse[any](p, "echo_session", nil)
	c.CloseSend()
	ended(p, done+" and sent nothing", c)
	p.sameWorker(pid, done)
}

func sessionBothWays(t *trial) {
	p := t.pool()
	const n = 5000
	const done = "echo_session was opened, and 5,000 values sent while they were taken"
	c := converse[int](p, "echo_session", nil, procpool.Window(16))
	sent := make(chan error, 1)
	go func() {
		defer c.CloseSend()
		for i := range n {
			if err := c.Send(t.ctx, i); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		expect(t, fmt.Sprintf("%s: value %d", done, i), receive(p, done, c), i)
	}
	ended(p, done, c)
	if err := <-sent; err != nil {
		t.failf("%s: expected that all are taken, got %s", done, p.describe(err))
	}
}

func sessionSum(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, n := range []int{0, 1, 3000} {
		c := converse[int](p, "sum_session", 1000)
		done := fmt.Sprintf("sum_session was opened with 1000 and sent %d ones", n)
		for range n {
			give(p, done, c, 1)
		}
		c.CloseSend()
		expect(t, done, receive(p, done, c), 1000+n)
		ended(p, done, c)
	}
	p.sameWorker(pid, "sum_session was opened")
}

func sessionLarge(t *trial) {
	p := t.pool()
	pid := p.pid()
	const done = "echo_session was opened and sent values of 8 MiB"
	c := converse[[]byte](p, "echo_session", nil)
	want := patterned(8 * mebibyte)
	for range 3 {
		give(p, done, c, want)
		if got := receive(p, done, c); !bytes.Equal(got, want) {
			t.failf("%s: expected the same, got %d bytes that differ", done, len(got))
		}
	}
	c.CloseSend()
	ended(p, done, c)
	p.sameWorker(pid, done)
}

func sessionEndsEarly(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, message := range []string{"", "enough of that"} {
		arg := args{"n": 3}
		if message != "" {
			arg["fail"] = message
		}
		done := fmt.Sprintf("take_session was opened with %s and sent values without end", brief(arg))
		c := converse[int](p, "take_session", arg)
		sent := make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				if err := c.Send(t.ctx, i); err != nil {
					sent <- err
					return
				}
			}
		}()
		for i := range 3 {
			expect(t, fmt.Sprintf("%s: value %d", done, i), receive(p, done, c), i)
		}
		_, err := c.Recv(t.ctx)
		if message == "" {
			p.errorIs(done, err, io.EOF)
		} else {
			expect(t, done+": the message", errorAs[*procpool.TaskError](p, done, err).Message, message)
		}
		if err := <-sent; errors.Is(err, procpool.ErrNotDone) {
			t.failf("%s: expected that sending ends with the session, it did not in time", done)
		}
	}
	p.sameWorker(pid, "take_session had ended")
}

func sessionDeaf(t *trial) {
	p := t.pool()
	pid := p.pid()
	mark := t.path("mark")
	c := converse[any](p, "deaf_session", args{"mark": mark})
	t.awaitStarted(mark, "deaf_session was opened")
	const done = "deaf_session, which takes nothing, was opened and sent values of 64 KiB"
	const most = 64 * mebibyte
	value := patterned(64 << 10)
	sent := 0
	for ; sent < most; sent += len(value) {
		ctx, cancel := p.quickly(300 * time.Millisecond)
		err := c.Send(ctx, value)
		cancel()
		if errors.Is(err, procpool.ErrNotDone) {
			break
		}
		if err != nil {
			t.failf("%s: expected that it takes some and then no more, got %s", done, p.describe(err))
		}
	}
	if sent >= most {
		t.failf("%s: expected that it gives credit for less than 64 MiB, it took that much", done)
	}
	_ = c.Close() // nil, since Close has ended it
	p.stopped(mark, done+" and closed")
	p.sameWorker(pid, done+" and closed")
}

func sessionBadValue(t *trial) {
	p := t.pool()
	pid := p.pid()
	const done = "sum_session was opened and sent a text where it takes integers"
	c := converse[any](p, "sum_session", 0)
	give(p, done, c, "one")
	c.CloseSend()
	err := lastly(p, done, c)
	if !isCodec(err) && !isTask(err) {
		t.failf("%s: expected a failure of the codec or the function, got %s", done, p.describe(err))
	}

	const malformed = "sum_session was opened and sent what is no CBOR"
	t.use("sum_session")
	talk := procpool.RemoteSession[encoded, encoded, encoded]("sum_session", procpool.WithCodec(verbatim("cbor"))).
		Open(t.ctx, p, encoded("\x00"), procpool.Shared())
	defer talk.Close()
	t.must(talk.Send(t.ctx, encoded("\xff\xff")))
	talk.CloseSend()
	for err = nil; err == nil; { // it may send a sum before
		_, err = talk.Recv(t.ctx)
	}
	_ = errorAs[*procpool.CodecError](p, malformed, err)
	p.sameWorker(pid, malformed)
}

func sessionDedicated(t *trial) {
	p := t.pool()
	pid := p.pid()
	const done = "echo_session was opened, not shared"
	c := procpool.RemoteSession[any, any, any]("echo_session").Open(t.ctx, p, nil)
	t.onEnd(func() { _ = c.Close() }) // the case has looked at its error
	give(p, done, c, "x")
	expect(t, done, receive(p, done, c), any("x"))
	own := c.Info().PID
	if own == pid {
		t.failf("%s: expected a process of its own, it runs in the worker", done)
	}
	c.CloseSend()
	ended(p, done, c)
	if !t.soon(func() bool { return !alive(own) }) {
		t.failf("%s, and has ended: expected that its process leaves, process %d goes on", done, own)
	}
	p.sameWorker(pid, done)
}

// say sends a session values, and the end behind them if there are no more.
func (w *raw) say(task *workerv1.Task, end bool, values ...[]byte) {
	r := &workerv1.WorkRequest{}
	for _, v := range values {
		r.Values = append(r.Values, &workerv1.StreamValue{Seq: task.GetSeq(), Lane: task.GetLane(), Payload: &workerv1.StreamValue_Inline{Inline: v}})
	}
	if end {
		r.Values = append(r.Values, &workerv1.StreamValue{Seq: task.GetSeq(), Lane: task.GetLane(), End: true})
	}
	w.t.must(w.Send(r))
}

// given waits for credit that a session gives.
func (w *raw) given(task *workerv1.Task, values int64) rawhost.Credit {
	given, err := w.Given(w.t.ctx, task.GetLane(), task.GetSeq(), func(c rawhost.Credit) bool { return c.Values >= values && c.Bytes > 0 })
	w.t.must(err)
	return given
}

func sessionAllCredit(t *trial) {
	w := t.raw()
	task := w.task("echo_session", nil)
	w.send(task)
	first := w.given(task, 1)
	// As many values as there is credit for, of which the last takes the bytes below 0.
	n := int(min(first.Values, first.Bytes, 20_000))
	const done = "echo_session was called and sent as many values as it had given credit for, at once"
	values := make([][]byte, n)
	for i := range values {
		values[i] = encode(t, i%20)
	}
	values[n-1] = encode(t, strings.Repeat("x", 1000))
	w.say(task, false, values...)
	for i := range n - 1 {
		expect(t, fmt.Sprintf("%s: value %d", done, i), decode[int](t, done, w.value(done, task)), i%20)
	}
	expect(t, done+": the length of the last", len(decode[string](t, done, w.value(done, task))), 1000)
	if first.Values == int64(n) { // all was used up
		w.given(task, first.Values+1)
	}
	w.say(task, true)
	w.answer(done, task)
	w.works(done)
}

func sessionOneMessage(t *trial) {
	w := t.raw()
	const done = "echo_session was called without much credit, then a message brought two values, the end, credit and another call"
	task := w.task("echo_session", nil, begins(1, mebibyte))
	w.send(task)
	w.given(task, 2)
	next := w.task("add", args{"a": 40, "b": 2})
	stream := func(v []byte, end bool) *workerv1.StreamValue {
		value := &workerv1.StreamValue{Seq: task.GetSeq(), End: end}
		if !end {
			value.Payload = &workerv1.StreamValue_Inline{Inline: v}
		}
		return value
	}
	t.must(w.Send(&workerv1.WorkRequest{
		Tasks:   []*workerv1.Task{next},
		Values:  []*workerv1.StreamValue{stream(encode(t, 0), false), stream(encode(t, 1), false), stream(nil, true)},
		Credits: []*workerv1.Credit{{Seq: task.GetSeq(), Values: 1}},
	}))
	w.numbers(done, task, 0, 2)
	w.answer(done, task)
	expect(t, done+": that call", decode[int](t, done, w.answer(done, next)), 42)
}

func sessionValuesForNobody(t *trial) {
	w := t.raw()
	task := w.task("echo_session", nil)
	w.send(task)
	w.given(task, 1)
	w.say(task, true)
	w.answer("echo_session was called and told that there are no more values", task)
	// A host may not know yet that a session has ended to which it sends.
	w.say(task, true, encode(t, 1))
	nobody := func(lane uint32, seq uint64) { w.say(&workerv1.Task{Lane: lane, Seq: seq}, true, encode(t, 1)) }
	nobody(0, 1<<40)
	nobody(1, 1)
	nobody(1<<20, 1)
	t.must(w.Send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{{HostCall: 77, Payload: &workerv1.StreamValue_Inline{Inline: []byte{1}}}}}))
	w.works("Values came for a session that had ended, and for such as never come")
}

func sessionWithoutCredit(t *trial) {
	w := t.raw()
	mark := t.path("mark")
	task := w.task("deaf_session", args{"mark": mark})
	w.send(task)
	t.awaitStarted(mark, "deaf_session was called")
	given := w.given(task, 1)
	// One value may take the bytes below zero; the next has no credit left.
	const done = "deaf_session was called and sent a value of as many bytes as it had given credit for, and another"
	w.say(task, false, make([]byte, min(given.Bytes, 64*mebibyte)))
	if w.Violation() == nil {
		w.say(task, false, []byte{0})
	}
	w.endsWork(done)
}

func sessionCancelled(t *trial) {
	w := t.raw()
	task := w.task("sum_session", 0)
	w.send(task)
	w.given(task, 1)
	w.say(task, false, encode(t, 1))
	t.must(w.Cancel(0, task.GetSeq()))
	ctx, cancel := t.within()
	defer cancel()
	const done = "sum_session, which waited for a value, was cancelled"
	if _, err := w.Outcome(ctx, 0, task.GetSeq()); err != nil {
		t.failf("%s: expected that it ends: %v", done, err)
	}
	w.works(done)
}

func sessionWaiting(t *trial) {
	w := t.raw()
	task := w.task("echo_session", nil)
	w.send(task)
	w.given(task, 1)
	for i := range 3 {
		if !t.eventually(func() bool { return w.Lane(0).WaitingSince != 0 }) {
			t.failf("echo_session waits for a value, time %d: expected that waiting_since is set, it is 0", i+1)
		}
		w.say(task, false, encode(t, i))
		w.numbers("echo_session was called", task, i, 1)
	}
	w.say(task, true)
	w.answer("echo_session was called", task)
	expect(t, "echo_session has ended: waiting_since", w.Lane(0).WaitingSince, 0)
}
