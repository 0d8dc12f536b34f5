package procpooltest

import (
	"bytes"
	"context"
	"errors"
	"runtime/debug"
	"sync"

	"github.com/procpool/procpool"
)

// mark precedes the place to which a task's result is appended.
const mark = "what a worker has in this buffer"

// errEnded is why the context of an attempt has ended when its task has.
var errEnded = errors.New("the task has ended")

// attempt is one run of a call's task.
type attempt struct {
	r      *inlineCall
	number int
	ctx    context.Context //nolint:containedctx // the task's
	cancel context.CancelCauseFunc
	clock  *clock
	port   *port // of a stream or a session
	late   verdict

	sharing sync.Mutex
	over    bool // it makes no operations on shared state any more

	owned    sync.Mutex // guards what follows
	actors   []*inlineActor
	disowned bool
}

func (r *inlineCall) newAttempt() *attempt {
	a := &attempt{r: r, number: r.failures + 1}
	a.ctx, a.cancel = context.WithCancelCause(procpool.WithAttempt(r.ctx, a.number))
	a.ctx = context.WithValue(a.ctx, procpool.HostKey(), a)
	if r.call.Kind().HasValues() {
		a.port = newPort(a)
	}
	a.clock = startClock(r.call.Timeout(), a.overran)
	return a
}

// run makes one attempt at the call and does what follows of it, however the task
// ends.
func (r *inlineCall) run() {
	a := r.start()
	if a == nil {
		r.ex.over(r)
		return
	}
	var (
		returned bool
		reply    []byte
		err      error
	)
	defer func() {
		if !returned {
			// Without a panic to recover it was runtime.Goexit.
			reply, err = nil, procpool.NewPanicError(r.call.Task(), recover(), debug.Stack())
		}
		a.ended(reply, err)
	}()
	reply, err = a.runTask()
	returned = true
}

// overran says that the attempt has run longer than the call's Timeout: its outcome
// is decided, and what the task returns counts for nothing.
func (a *attempt) overran() {
	defer a.cancel(context.DeadlineExceeded)
	a.late = a.r.judge(nil, &procpool.TimeoutError{Task: a.r.call.Task(), Limit: a.r.call.Timeout(), Attempt: a.number})
}

// ended does what follows of an attempt that is over.
func (a *attempt) ended(reply []byte, err error) {
	r := a.r
	ran, inTime := a.clock.stop()
	a.cancel(errEnded)
	a.stopSharing()
	a.disown()
	r.call.NoteRun(ran)
	v := a.late
	if inTime {
		v = r.judge(reply, err)
	}
	if !v.again {
		r.ex.over(r)
		return
	}
	r.failed(ran, v.err)
	r.ex.again(r, v.wait)
}

// runTask runs the task as a worker would: the argument's memory is gone
// afterwards, and the result is appended to a buffer that is in use.
func (a *attempt) runTask() ([]byte, error) {
	in := bytes.Clone(a.r.call.Payload())
	if a.port != nil {
		stream, ok := a.r.task.(procpool.StreamTask)
		if !ok {
			return nil, procpool.KindError(a.r.call.Task(), a.r.call.Kind(), procpool.KindFunction)
		}
		a.port.open()
		err := stream.RunStream(a.ctx, a.r.call.Codec(), in, a.port)
		spoil(in)
		return nil, crossed(err)
	}
	run := func() ([]byte, error) { return a.r.task.Run(a.ctx, a.r.call.Codec(), in, []byte(mark)) }
	if act := a.r.actor; act != nil {
		run = func() ([]byte, error) { return act.run(a, in) }
	}
	out, err := run()
	spoil(in)
	if err != nil {
		return nil, crossed(err)
	}
	result, ok := bytes.CutPrefix(out, []byte(mark))
	if !ok {
		return nil, &procpool.CodecError{
			Task: a.r.call.Task(), Codec: a.r.call.Codec(), Op: "encode the result",
			Err: errors.New("the result was not appended to the buffer that Codec.Append and Task.Run are given"),
		}
	}
	return result, nil
}

// spoil overwrites memory that is not its user's any more.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xa5
	}
}

// crossed returns what is left of an error from a task when it has come from a
// worker: of a codec's error its text.
func crossed(err error) error {
	var codec *procpool.CodecError
	if !errors.As(err, &codec) || codec.Err == nil {
		return err
	}
	flat := *codec
	flat.Err = errors.New(codec.Err.Error())
	return &flat
}
