package conformance

import (
	"fmt"
	"strings"

	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// nestedCases are about calls that running calls make of their own pool.
func nestedCases() []Case {
	const s = "nested"
	nested := []string{capHostCall}
	call := []string{"call", "add"}
	return []Case{
		{Section: s, Name: "function", uses: []string{"call", "add", "echo"}, needs: nested, run: nestedFunction, Promise: "A call of a function of its own pool gets its result."},
		{Section: s, Name: "in a pool of one", uses: call, needs: nested, run: nestedRecursion, Promise: "In a pool of one worker a call, the call that it makes, and the one that that makes do not wait for each other in a circle."},
		{Section: s, Name: "errors", uses: []string{"call", "add", "fail"}, needs: nested, run: nestedErrors, Promise: "The failure of a nested call reaches its caller with its text, also that there is no such function."},
		{Section: s, Name: "many", uses: call, needs: nested, run: nestedMany, Promise: "Two hundred calls make a call each."},
		{Section: s, Name: "stream", uses: []string{"call_stream", "count", "pid"}, needs: []string{capHostCall, capStream}, run: nestedStream, Promise: "A stream of its own pool gives a call its values, all or the first of them, and its error."},
		{Section: s, Name: "session", uses: []string{"call_session", "echo_session", "sum_session"}, needs: []string{capHostCall, capSession}, run: nestedSession, Promise: "A session of its own pool takes a call's values and gives it others."},
		{Section: s, Name: "left behind", uses: []string{"call", "hold", "add"}, needs: nested, run: nestedLeft, Promise: "A nested call that its caller does not wait for is given up when that ends."},
		{Section: s, Name: "message", uses: call, needs: nested, run: nestedMessage, Promise: "A HostCall has a number of its own, its parent, name, codec and argument, and takes its HostReply."},
		{Section: s, Name: "not offered", uses: call, needs: nested, run: nestedNotOffered, Promise: "Where the host has not offered host_call none is made, and the function fails or says so."},
		{Section: s, Name: "failures", uses: call, needs: nested, run: nestedFailures, Promise: "A HostReply with a failure of any kind, also one that nobody knows, is an error for the caller."},
		{Section: s, Name: "replies for nobody", uses: []string{"call", "add"}, needs: nested, run: nestedRepliesForNobody, Promise: "A HostReply for a call that has ended, or that was never made, is dropped."},
		{Section: s, Name: "caller cancelled", uses: call, needs: nested, run: nestedCancelled, Promise: "A call that waits for one of its own wakes up when it is cancelled, and ends."},
		{Section: s, Name: "waiting is noted", uses: []string{"call"}, needs: []string{capHostCall, capRecorder}, run: nestedWaiting, Promise: "While a call waits for one of its own waiting_since says since when."},
		{Section: s, Name: "credit for a stream", uses: []string{"call_stream", "count", "add"}, needs: nested, run: nestedStreamCredit, Promise: "The worker gives credit for the values of a stream that it has called, and more as they are taken; it gives up what it does not want to the end."},
		{Section: s, Name: "credit for a session", uses: []string{"call_session", "echo_session", "add"}, needs: nested, run: nestedSessionCredit, Promise: "To a session that it has called the worker sends only what the host has given credit for, then the end."},
	}
}

// answered is what call returns.
type answered struct {
	Value any     `cbor:"value"`
	Error *string `cbor:"error"`
}

// two has a pool with two workers, so that a nested call has one to run in.
func two(c *executor.Config) { c.Workers = 2 }

func nestedFunction(t *trial) {
	p := t.pool(two)
	got := call[answered](p, "call", args{"name": "add", "argument": args{"a": 40, "b": 2}})
	if got.Error != nil || got.Value != int64(42) {
		t.failf("call was called for add with 40 and 2: expected the value 42, got %s", got)
	}
	argument := map[string]any{"list": []any{nil, true, 1.5, "text", []byte("bytes"), int64(-7)}}
	got = call[answered](p, "call", args{"name": "echo", "argument": argument})
	if got.Error != nil || !alike(got.Value, argument) {
		t.failf("call was called for echo with %s: expected the same, got %s", brief(argument), got)
	}
}

// String shows the answer.
func (a answered) String() string {
	if a.Error != nil {
		return fmt.Sprintf("the error %q", *a.Error)
	}
	return "the value " + brief(a.Value)
}

func nestedRecursion(t *trial) {
	p := t.pool()
	got := call[answered](p, "call", args{"name": "call", "argument": args{"name": "call", "argument": args{"name": "add", "argument": args{"a": 40, "b": 2}}}})
	want := map[string]any{"value": map[string]any{"value": int64(42)}}
	if got.Error != nil || !alike(got.Value, want) {
		t.failf("In a pool of one worker call was called for call, that for call, and that for add with 40 and 2: expected 42, got %s", got)
	}
}

func nestedErrors(t *trial) {
	p := t.pool(two)
	for _, c := range []struct {
		name     string
		argument any
		text     string
	}{
		{"fail", args{"message": "the printer is on fire"}, "the printer is on fire"},
		{"nobody_serves_this", nil, ""},
		{"add", "text", ""},
	} {
		got := call[answered](p, "call", args{"name": c.name, "argument": c.argument})
		if got.Error == nil || *got.Error == "" || !strings.Contains(*got.Error, c.text) {
			t.failf("call was called for %s with %s: expected an error with the text %q, got %s", c.name, brief(c.argument), c.text, got)
		}
	}
	expect(t, "call was called for what fails, then add with 1 and 2", call[int](p, "add", args{"a": 1, "b": 2}), 3)
}

func nestedMany(t *trial) {
	p := t.pool(two)
	const n = 200
	for i := range n {
		got := call[answered](p, "call", args{"name": "add", "argument": args{"a": i, "b": 1}})
		if got.Error != nil || got.Value != int64(i+1) {
			t.failf("call was called for add with %d and 1: expected the value %d, got %s", i, i+1, got)
		}
	}
}

func nestedStream(t *trial) {
	p := t.pool(two)
	all := call[[]int](p, "call_stream", args{"name": "count", "argument": args{"n": 2000}, "take": -1})
	counted(t, "call_stream was called for all values of count with 2000", all, 2000)
	some := call[[]int](p, "call_stream", args{"name": "count", "argument": args{"n": -1}, "take": 3})
	counted(t, "call_stream was called for three values of count without end", some, 3)
	err := fail(p, "call_stream", args{"name": "count", "argument": args{"n": 3, "fail": "no more paper"}, "take": -1})
	if !strings.Contains(err.Error(), "no more paper") {
		t.failf("call_stream was called for count that fails: expected an error with the text \"no more paper\", got %s", p.describe(err))
	}
	p.pid() // a worker goes on
}

func nestedSession(t *trial) {
	p := t.pool(two)
	var send []any
	for i := range 500 {
		send = append(send, i)
	}
	got := call[[]int](p, "call_session", args{"name": "echo_session", "argument": nil, "send": send})
	counted(t, "call_session was called for echo_session with 500 values", got, 500)
	sum := call[[]int](p, "call_session", args{"name": "sum_session", "argument": 10, "send": []any{1, 2, 3}})
	expect(t, "call_session was called for sum_session with 10, and 1, 2, 3", fmt.Sprint(sum), "[16]")
}

func nestedLeft(t *trial) {
	p := t.pool(two)
	mark := t.path("mark")
	got := call[answered](p, "call", args{"name": "hold", "argument": args{"mark": mark}, "leave": true})
	if got.Error != nil {
		t.failf("call was called for hold, not to wait: expected null, got %s", got)
	}
	// It may not have started by then; if it has, it is cancelled.
	over := func() bool { return p.Stats().Nested == 0 && len(t.lines(mark)) != 1 }
	if !t.soon(over) {
		t.failf("call was called for hold, not to wait: expected that hold is given up when call has ended, it has noted %q", t.lines(mark))
	}
	expect(t, "call has left a call behind, then add was called with 1 and 2", call[int](p, "add", args{"a": 1, "b": 2}), 3)
}

// parent sends a call that makes another, and returns both.
func (w *raw) parent(name string, argument args, change ...func(*workerv1.Task)) (*workerv1.Task, *workerv1.HostCall) {
	task := w.task(name, argument, change...)
	w.send(task)
	made, err := w.HostCall(w.t.ctx)
	w.t.must(err)
	done := calling(name, argument)
	expect(w.t, done+": parent_seq of its HostCall", made.GetParentSeq(), task.GetSeq())
	expect(w.t, done+": parent_lane", made.GetParentLane(), task.GetLane())
	expect(w.t, done+": name", made.GetName(), fmt.Sprint(argument["name"]))
	expect(w.t, done+": codec", made.GetCodec(), "cbor")
	return task, made
}

// reply answers a call that the worker has made.
func (w *raw) reply(id uint64, v any) {
	w.replyWith(&workerv1.HostReply{Id: id, Result: &workerv1.HostReply_Inline{Inline: encode(w.t, v)}, Worker: 3, Pid: 4712, WaitNanos: 900, RunNanos: 1500})
}

func (w *raw) replyWith(r *workerv1.HostReply) {
	w.t.must(w.Send(&workerv1.WorkRequest{HostReplies: []*workerv1.HostReply{r}}))
}

// adding is what call is called with.
func adding() args { return args{"name": "add", "argument": args{"a": 1, "b": 2}} }

func nestedMessage(t *trial) {
	w := t.raw()
	ids := make(map[uint64]bool)
	for i := range 3 {
		task, made := w.parent("call", adding(), func(task *workerv1.Task) { task.TimeoutNanos = 1e12 })
		done := "call was called for add"
		ids[made.GetId()] = true
		expect(t, done+": the numbers of HostCalls so far", len(ids), i+1)
		kind := made.GetKind()
		if kind != kindFunction && kind != workerv1.TaskKind_TASK_KIND_UNSPECIFIED {
			t.failf("%s: expected a HostCall of a function, got %v", done, made)
		}
		got := decode[map[string]int](t, done, made.GetInline())
		expect(t, done+": the argument of the HostCall", got["a"]*10+got["b"], 12)
		if left := made.GetTimeoutNanos(); left > 1e12 {
			t.failf("%s, with 1000 seconds to its deadline: expected timeout_nanos of at most that, got %d", done, left)
		}
		w.reply(made.GetId(), i)
		answer := decode[answered](t, done, w.answer(done, task))
		if answer.Value != int64(i) {
			t.failf("%s, and the HostReply had %d: expected that value, got %s", done, i, answer)
		}
	}
	w.works("HostCalls were answered")
}

func nestedNotOffered(t *trial) {
	w := t.raw(func(o *rawhost.Options) { o.Capabilities = nil })
	task := w.task("call", adding())
	w.send(task)
	const done = "The host has not offered host_call, and call was called"
	if o := w.outcome(task); o.GetFailure() == nil {
		if answer := decode[answered](t, done, o.GetInline()); answer.Error == nil {
			t.failf("%s: expected a failure or an error, got %s", done, answer)
		}
	}
	w.works(done)
}

func nestedFailures(t *trial) {
	w := t.raw()
	for kind := range workerv1.FailureKind(20) {
		task, made := w.parent("call", adding())
		f := &workerv1.Failure{Kind: kind, Task: "add", Type: "T", Message: "the reason", Language: "go", Codec: "cbor", Op: "decode the argument", Stack: "stack"}
		switch kind {
		case workerv1.FailureKind_FAILURE_KIND_CRASH, workerv1.FailureKind_FAILURE_KIND_START:
			f.Crash = &workerv1.Crash{Worker: 2, Pid: 77, ExitCode: 3, Reason: "exit status 3", Stderr: "last words", Attempt: 1, Suspects: 1}
			f.Cause = &workerv1.Failure{Message: "what else there was"}
		case workerv1.FailureKind_FAILURE_KIND_TIMEOUT:
			f.LimitNanos, f.Attempt = 1e9, 1
		}
		done := fmt.Sprintf("call was called for add, and the HostReply was a failure of %v", kind)
		w.replyWith(&workerv1.HostReply{Id: made.GetId(), Result: &workerv1.HostReply_Failure{Failure: rawhost.WithUnknown(f)}})
		answer := decode[answered](t, done, w.answer(done, task))
		if answer.Error == nil || *answer.Error == "" {
			t.failf("%s: expected an error with a text, got %s", done, answer)
		}
		if kind == workerv1.FailureKind_FAILURE_KIND_TASK && !strings.Contains(*answer.Error, "the reason") {
			t.failf("%s with the message \"the reason\": expected that in the error, got %s", done, answer)
		}
	}
	task, made := w.parent("call", adding())
	w.replyWith(&workerv1.HostReply{Id: made.GetId()})
	const done = "call was called for add, and the HostReply had an empty result, which is no CBOR"
	if answer := decode[answered](t, done, w.answer(done, task)); answer.Error == nil {
		t.failf("%s: expected an error, got %s", done, answer)
	}
	w.works("HostCalls failed")
}

func nestedRepliesForNobody(t *trial) {
	w := t.raw()
	w.reply(12345, 1)
	leaving := adding()
	leaving["leave"] = true
	task, made := w.parent("call", leaving)
	w.answer("call was called for add, not to wait", task)
	w.reply(made.GetId(), 3)
	w.works("HostReplies came for calls that had ended or were never made")
	task, made = w.parent("call", adding())
	w.reply(made.GetId()+1000, 4)
	w.reply(made.GetId(), 3)
	const done = "HostReplies came for a call that was never made, and for one that was"
	if answer := decode[answered](t, done, w.answer(done, task)); answer.Value != int64(3) {
		t.failf("%s: expected the value 3, got %s", done, answer)
	}
}

func nestedCancelled(t *trial) {
	w := t.raw()
	task, made := w.parent("call", adding())
	t.must(w.Cancel(0, task.GetSeq()))
	ctx, cancel := t.within()
	defer cancel()
	const done = "call, which waited for a HostReply, was cancelled"
	if _, err := w.Outcome(ctx, 0, task.GetSeq()); err != nil {
		t.failf("%s: expected that it ends: %v", done, err)
	}
	w.reply(made.GetId(), 3)
	w.works(done)
}

func nestedWaiting(t *trial) {
	w := t.raw()
	task, made := w.parent("call", adding())
	if !t.eventually(func() bool { return w.Lane(0).WaitingSince != 0 }) {
		t.failf("call waits for a HostReply: expected that waiting_since is set, it is 0")
	}
	w.reply(made.GetId(), 3)
	w.answer("call was called for add", task)
	expect(t, "call has ended: waiting_since", w.Lane(0).WaitingSince, 0)
}

// feed sends a stream or a session that the worker has called values, from 0 up.
func (w *raw) feed(id uint64, from, n int) {
	r := &workerv1.WorkRequest{}
	for i := range n {
		r.Values = append(r.Values, &workerv1.StreamValue{HostCall: id, Payload: &workerv1.StreamValue_Inline{Inline: encode(w.t, from+i)}})
	}
	w.t.must(w.Send(r))
}

func nestedStreamCredit(t *trial) {
	w := t.raw()
	const n = 3000
	task, made := w.parent("call_stream", args{"name": "count", "argument": args{"n": n}, "take": -1})
	const done = "call_stream was called for 3,000 values"
	expect(t, done+": the kind of its HostCall", made.GetKind(), kindStream)
	given := rawhost.Credit{Values: int64(made.GetResultCredit()), Bytes: int64(made.GetResultCreditBytes())}
	if given.Values < 1 || given.Bytes < 1 {
		t.failf("%s: expected credit for values and bytes in its HostCall, got %d and %d", done, given.Values, given.Bytes)
	}
	for sent, bytes := 0, int64(0); sent < n; {
		more, err := w.HostGiven(t.ctx, made.GetId(), func(c rawhost.Credit) bool {
			return given.Values+c.Values > int64(sent) && given.Bytes+c.Bytes > bytes
		})
		t.must(err)
		k := int(min(int64(n-sent), given.Values+more.Values-int64(sent), (given.Bytes+more.Bytes-bytes+2)/3))
		w.feed(made.GetId(), sent, k)
		sent, bytes = sent+k, bytes+int64(k)*3 // bytes, or less
	}
	w.replyWith(&workerv1.HostReply{Id: made.GetId()})
	counted(t, done, decode[[]int](t, done, w.answer(done, task)), n)

	task, made = w.parent("call_stream", args{"name": "count", "argument": args{"n": -1}, "take": 1})
	const left = "call_stream was called for one value of a stream without end"
	w.feed(made.GetId(), 0, 1)
	// The call may wait for the end of the stream that it gives up, or not.
	t.must(w.HostCancel(t.ctx, made.GetId()))
	w.replyWith(&workerv1.HostReply{
		Id: made.GetId(), Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_CANCELLED, Task: "count"}},
	})
	counted(t, left, decode[[]int](t, left, w.answer(left, task)), 1)
	w.works(left)
}

func nestedSessionCredit(t *trial) {
	w := t.raw()
	send := []any{0, 1, 2, 3, 4}
	task, made := w.parent("call_session", args{"name": "echo_session", "argument": nil, "send": send})
	const done = "call_session was called for echo_session with five values, and credit came for two, then for many"
	expect(t, done+": the kind of its HostCall", made.GetKind(), kindSession)
	w.settle() // without credit nothing may come
	taken := 0
	for _, credit := range []uint64{2, 100} {
		t.must(w.Send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{HostCall: made.GetId(), Values: credit, Bytes: 1000}}}))
		for taken < min(len(send), int(credit)) {
			v, more, err := w.HostValue(t.ctx, made.GetId())
			t.must(err)
			if !more {
				t.failf("%s: expected value %d, got the end", done, taken)
			}
			expect(t, done+": a value", decode[int](t, done, v), taken)
			w.feed(made.GetId(), taken, 1)
			taken++
		}
	}
	if _, more, err := w.HostValue(t.ctx, made.GetId()); more || err != nil {
		t.failf("%s: expected the end behind the last, got another value or an error: %v", done, err)
	}
	w.replyWith(&workerv1.HostReply{Id: made.GetId()})
	counted(t, done, decode[[]int](t, done, w.answer(done, task)), len(send))
	w.works(done)
}
