package conformance

import (
	"fmt"
	"math"
	"slices"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// raw is one worker that is spoken to message by message. Tasks go to lane 0 unless
// they say otherwise, and number themselves.
type raw struct {
	*rawhost.Host
	t   *trial
	out *transcript
	seq uint64
}

// raw starts a worker that is killed when the case ends. Whatever the case looks at,
// it fails if the worker breaks the contract.
func (t *trial) raw(change ...func(*rawhost.Options)) *raw {
	o, out := t.rawOptions(change...)
	h, err := rawhost.Connect(t.ctx, o)
	if err != nil {
		t.failf("A worker was started and greeted: expected an answer to Hello, got: %v", err)
	}
	return t.adopt(h, out)
}

// rawOptions are the options of a raw host and where the output goes.
func (t *trial) rawOptions(change ...func(*rawhost.Options)) (rawhost.Options, *transcript) {
	o, out := t.kit.options(), new(transcript)
	o.Output = func(_ proc.Stream, line []byte) { _, _ = out.Write(append(slices.Clip(line), '\n')) }
	for _, f := range change {
		f(&o)
	}
	return o, out
}

// started starts a worker and does not connect to it.
func (t *trial) started(change ...func(*rawhost.Options)) *raw {
	o, out := t.rawOptions(change...)
	h, err := rawhost.Start(t.ctx, o)
	if err != nil {
		t.failf("A worker was started: expected a handshake, got: %v", err)
	}
	return t.adopt(h, out)
}

func (t *trial) adopt(h *rawhost.Host, out *transcript) *raw {
	t.onEnd(func() {
		h.Close()
		if err := h.Violation(); err != nil {
			t.noteFailure(err.Error())
		}
	})
	return &raw{Host: h, t: t, out: out}
}

// function returns a function's number.
func (w *raw) function(name string) uint32 {
	w.t.use(name)
	i := slices.IndexFunc(w.Hello().GetTasks(), func(d *workerv1.TaskDescription) bool { return d.GetName() == name })
	if i < 0 {
		w.t.failf("the worker does not serve the function %q, although it has said that it does", name)
	}
	return uint32(i)
}

// task makes a call with the argument in CBOR, or just those bytes if it is encoded.
// Streams and sessions get much credit.
func (w *raw) task(name string, arg any, change ...func(*workerv1.Task)) *workerv1.Task {
	w.seq++
	task := &workerv1.Task{Seq: w.seq, Function: w.function(name), Payload: &workerv1.Task_Inline{Inline: encode(w.t, arg)}}
	if f, _ := lookUp(name); f.kind == kindStream || f.kind == kindSession {
		task.ResultCredit, task.ResultCreditBytes, task.StreamsArgument = 1<<20, 64<<20, f.kind == kindSession
	}
	for _, f := range change {
		f(task)
	}
	w.seq = max(w.seq, task.GetSeq())
	return task
}

// pack makes a pack of calls of one function, an argument each.
func (w *raw) pack(name string, arguments []any, change ...func(*workerv1.Task)) *workerv1.Task {
	task := w.task(name, encoded(nil), change...)
	var all []byte
	for _, arg := range arguments {
		b := encode(w.t, arg)
		all = append(all, b...)
		task.ItemSizes = append(task.ItemSizes, uint32(len(b)))
	}
	task.Payload = &workerv1.Task_Inline{Inline: all}
	w.seq = task.GetSeq() + uint64(len(arguments)) - 1
	return task
}

// encoded is an argument that is encoded already.
type encoded []byte

func encode(t *trial, v any) []byte {
	if b, ok := v.(encoded); ok {
		return b
	}
	b, err := procpool.CBOR.Append(nil, v)
	t.must(err)
	return b
}

// decode decodes what a worker has sent.
func decode[T any](t *trial, done string, data []byte) T {
	var v T
	if err := procpool.CBOR.Decode(data, &v); err != nil {
		t.failf("%s: expected a %T in CBOR, got % x: %v", done, v, data[:min(len(data), 50)], err)
	}
	return v
}

// on puts a call on a lane.
func on(lane uint32) func(*workerv1.Task) { return func(task *workerv1.Task) { task.Lane = lane } }

// send sends calls in one message.
func (w *raw) send(tasks ...*workerv1.Task) {
	w.t.must(w.Send(&workerv1.WorkRequest{Tasks: tasks}))
}

// outcome waits for the outcome of a call.
func (w *raw) outcome(task *workerv1.Task) *workerv1.Outcome { return w.outcomeAt(task, 0) }

// outcomeAt waits for the outcome of an item of a pack.
func (w *raw) outcomeAt(task *workerv1.Task, item int) *workerv1.Outcome {
	o, err := w.Outcome(w.t.ctx, task.GetLane(), task.GetSeq()+uint64(item))
	w.t.must(err)
	return o
}

// answer returns the result of a call that must succeed.
func (w *raw) answer(done string, task *workerv1.Task) []byte { return w.answerAt(done, task, 0) }

func (w *raw) answerAt(done string, task *workerv1.Task, item int) []byte {
	o := w.outcomeAt(task, item)
	if o.GetFailure() != nil || o.GetDeclined() != nil {
		w.t.failf("%s: expected a result, got %s", done, tell(o))
	}
	return o.GetInline()
}

// failure returns the failure of a call that must fail.
func (w *raw) failure(done string, task *workerv1.Task) *workerv1.Failure {
	o := w.outcome(task)
	if o.GetFailure() == nil {
		w.t.failf("%s: expected a failure, got %s", done, tell(o))
	}
	return o.GetFailure()
}

// failed ends the case if a call has not failed with a kind.
func (w *raw) failed(done string, task *workerv1.Task, kind workerv1.FailureKind) *workerv1.Failure {
	f := w.failure(done, task)
	if f.GetKind() != kind {
		w.t.failf("%s: expected a failure of %v, got %v", done, kind, f)
	}
	return f
}

// declined ends the case if a call was not declined.
func (w *raw) declined(done string, task *workerv1.Task, item int) {
	if o := w.outcomeAt(task, item); o.GetDeclined() == nil {
		w.t.failf("%s: expected that it is declined, got %s", done, tell(o))
	}
}

// tell says what an outcome is.
func tell(o *workerv1.Outcome) string {
	switch {
	case o.GetDeclined() != nil:
		return "declined"
	case o.GetFailure() != nil:
		return fmt.Sprintf("a failure: %v", o.GetFailure())
	}
	b := o.GetInline()
	return fmt.Sprintf("a result of %d bytes: % x", len(b), b[:min(len(b), 50)])
}

// works makes a call, to show that the worker goes on as before.
func (w *raw) works(after string) {
	task := w.task("add", args{"a": 40, "b": 2})
	w.send(task)
	done := after + ", then add was called with 40 and 2"
	expect(w.t, done, decode[int](w.t, done, w.answer(done, task)), 42)
}

// echoPing waits until the worker has answered a ping, by when it has seen what was
// said on Control before.
func (w *raw) echoPing() {
	const id = math.MaxInt64
	w.t.must(w.Ping(id))
	for {
		pong, err := w.Pong(w.t.ctx)
		w.t.must(err)
		if pong.GetId() == id {
			return
		}
	}
}
