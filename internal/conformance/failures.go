package conformance

import (
	"errors"
	"fmt"
	"strings"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// failureCases are about calls that fail and leave their worker unharmed.
func failureCases() []Case {
	const s = "failures"
	uses := []string{"fail", "pid"}
	return []Case{
		{Section: s, Name: "message", uses: uses, run: failureMessage, Promise: "A failure comes with the function's name, the error's type and its message, word by word; the worker lives."},
		{Section: s, Name: "texts", uses: uses, run: failureTexts, Promise: "Messages that are empty, of a megabyte, or hold what is no UTF-8 come as a failure all the same; the worker lives."},
		{Section: s, Name: "sentinel", uses: uses, run: failureSentinel, Promise: "An error that matches a sentinel of the task comes with its name as the code, and no other does."},
		{Section: s, Name: "data", uses: []string{"fail", "add"}, run: failureData, Promise: "Of the message Failure the kind is FAILURE_KIND_TASK, task and language are set, and cause and notes, if they are set, are the error's."},
		{Section: s, Name: "panic", uses: []string{"panic", "pid"}, run: failurePanic, Promise: "A panic, or what stands for one, is a failure with its text; the worker lives."},
		{Section: s, Name: "end of the thread", uses: []string{"end_thread", "pid"}, run: failureExit, Promise: "A function that ends its thread fails with FAILURE_KIND_EXIT; the worker lives."},
		{Section: s, Name: "unknown function", uses: []string{"add"}, run: unknownFunction, Promise: "A function number out of range fails with FAILURE_KIND_UNKNOWN_TASK; the worker lives."},
		{Section: s, Name: "called as what it is not", uses: []string{"add", "count"}, needs: []string{capStream}, run: wrongKind, Promise: "A stream called as a function, and a function called as a stream or a session, fails with FAILURE_KIND_UNKNOWN_TASK."},
		{Section: s, Name: "many in a row", uses: []string{"fail", "add", "pid"}, run: manyFailures, Promise: "Failures and results follow each other a hundred times; the worker lives."},
	}
}

func isCodec(err error) bool { return matches[*procpool.CodecError](err) }
func isTask(err error) bool  { return matches[*procpool.TaskError](err) }
func isPanic(err error) bool { return matches[*procpool.PanicError](err) }

func matches[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func failureMessage(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, message := range []string{"disk full", "two\nlines", "100 % \x00 žluť 🙂"} {
		arg := args{"message": message}
		done := calling("fail", arg)
		e := errorAs[*procpool.TaskError](p, done, fail(p, "fail", arg))
		expect(t, done+": the message", e.Message, message)
		expect(t, done+": the task", e.Task, "fail")
		expect(t, done+": the language", e.Language, t.kit.hello.GetLanguage())
		expect(t, done+": the code", e.Code, "")
		if e.Type == "" {
			t.failf("%s: expected the type of the error, got none", done)
		}
	}
	p.sameWorker(pid, "fail was called")
}

func failureTexts(t *trial) {
	p := t.pool()
	pid := p.pid()
	long := strings.Repeat("0123456789", 100_000)
	for _, message := range []string{"", long} {
		done := fmt.Sprintf("fail was called with a message of %d bytes", len(message))
		e := errorAs[*procpool.TaskError](p, done, fail(p, "fail", args{"message": message}))
		if !strings.HasPrefix(e.Message, message[:min(len(message), 1000)]) {
			t.failf("%s: expected that it begins as the message, got %s", done, brief(e.Message))
		}
	}
	// Strings of some languages can hold half of a surrogate pair, which has no UTF-8.
	for codec, arguments := range map[string][]string{
		"json": {`{"message": "half a pair: \ud800."}`, `{"message": "\udfff"}`, `{"message": "m", "cause": "\ud800", "notes": ["\udfff"]}`},
		"cbor": {"\xa1\x67message\x64\xff\xfe\x80."},
	} {
		for _, argument := range arguments {
			done := fmt.Sprintf("fail was called with the %s %q", codec, argument)
			f := procpool.Remote[encoded, encoded]("fail", procpool.WithCodec(verbatim(codec))).Submit(t.ctx, p, encoded(argument))
			if err := failure(p, done, f); !isTask(err) && !isCodec(err) {
				t.failf("%s: expected a failure of the function or the codec, got %s", done, p.describe(err))
			}
		}
	}
	p.sameWorker(pid, "fail was called with odd messages")
}

// errSentinel is what the caller makes of the code "known".
var errSentinel = errors.New("the sentinel that the standard function fail calls known")

func failureSentinel(t *trial) {
	p := t.pool()
	pid := p.pid()
	handle := procpool.Remote[args, any]("fail", procpool.Errors(map[string]error{"known": errSentinel}))
	arg := args{"message": "no such file", "code": "known"}
	done := calling("fail", arg)
	err := failure(p, done, handle.Submit(t.ctx, p, arg))
	e := errorAs[*procpool.TaskError](p, done, err)
	expect(t, done+": the code", e.Code, "known")
	expect(t, done+": the message", e.Message, "no such file")
	p.errorIs(done, err, errSentinel)

	arg = args{"message": "no such file", "code": "another"}
	done = calling("fail", arg)
	expect(t, done+": the code", errorAs[*procpool.TaskError](p, done, failure(p, done, handle.Submit(t.ctx, p, arg))).Code, "")
	p.sameWorker(pid, "fail was called")
}

func failureData(t *trial) {
	w := t.raw()
	const done = "fail was called with a message, a cause and two notes"
	task := w.task("fail", args{"message": "m", "cause": "because", "notes": []any{"one", "two"}})
	w.send(task)
	f := w.failed(done, task, workerv1.FailureKind_FAILURE_KIND_TASK)
	expect(t, done+": the message", f.GetMessage(), "m")
	expect(t, done+": the task", f.GetTask(), "fail")
	expect(t, done+": the language", f.GetLanguage(), w.Hello().GetLanguage())
	if f.GetCause() != nil {
		expect(t, done+": the message of the cause", f.GetCause().GetMessage(), "because")
	}
	if len(f.GetNotes()) > 0 {
		expect(t, done+": the notes", strings.Join(f.GetNotes(), "; "), "one; two")
	}
	if f.GetCrash() != nil || f.GetLimitNanos() != 0 || f.GetAttempt() != 0 {
		t.failf("%s: expected that crash, limit_nanos and attempt are not set, which are the host's, got %v", done, f)
	}
	w.works(done)
}

func failurePanic(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, text := range []string{"index out of range", ""} {
		done := calling("panic", text)
		err := fail(p, "panic", text)
		var said string
		if e, ok := errors.AsType[*procpool.PanicError](err); ok {
			said = e.Value
		} else {
			said = errorAs[*procpool.TaskError](p, done, err).Message
		}
		if !strings.Contains(said, text) {
			t.failf("%s: expected that text in the failure, got %q", done, said)
		}
	}
	p.sameWorker(pid, "panic was called")
}

func failureExit(t *trial) {
	p := t.pool()
	pid := p.pid()
	for range 2 {
		e := errorAs[*procpool.PanicError](p, "end_thread was called", fail(p, "end_thread", nil))
		expect(t, "end_thread was called: the failure is of FAILURE_KIND_EXIT", e.Goexit, true)
	}
	p.sameWorker(pid, "end_thread was called")
}

func unknownFunction(t *trial) {
	w := t.raw()
	served := uint32(len(w.Hello().GetTasks()))
	for _, function := range []uint32{served, served + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		task := w.task("add", encoded("\xf6"), func(task *workerv1.Task) { task.Function = function })
		w.send(task)
		w.failed(fmt.Sprintf("Function %d was called, of %d that are served", function, served), task, workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK)
	}
	w.works("Functions were called that are not served")
}

func wrongKind(t *trial) {
	w := t.raw()
	asStream := func(task *workerv1.Task) { task.ResultCredit, task.ResultCreditBytes = 16, mebibyte }
	asSession := func(task *workerv1.Task) { asStream(task); task.StreamsArgument = true }
	asFunction := func(task *workerv1.Task) {
		task.ResultCredit, task.ResultCreditBytes, task.StreamsArgument = 0, 0, false
	}
	numbers := args{"a": 1, "b": 2, "n": 2}
	for _, c := range []struct {
		name, as string
		how      func(*workerv1.Task)
	}{{"count", "a function", asFunction}, {"count", "a session", asSession}, {"add", "a stream", asStream}, {"add", "a session", asSession}} {
		task := w.task(c.name, numbers, c.how)
		w.send(task)
		w.failed(fmt.Sprintf("%s was called as %s", c.name, c.as), task, workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK)
	}
	w.works("Functions were called as what they are not")
}

func manyFailures(t *trial) {
	p := t.pool()
	pid := p.pid()
	for i := range 100 {
		message := fmt.Sprintf("failure %d", i)
		failing, adding := submit[any](p, "fail", args{"message": message}), submit[int](p, "add", args{"a": i, "b": 1})
		done := fmt.Sprintf("fail and add were called for time %d", i)
		expect(t, done, errorAs[*procpool.TaskError](p, done, failure(p, done, failing)).Message, message)
		expect(t, done, result(p, done, adding), i+1)
	}
	p.sameWorker(pid, "fail was called a hundred times")
}
