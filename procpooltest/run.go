package procpooltest

import (
	"bytes"
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/procpool/procpool"
)

// mark precedes the place to which a task's result is appended.
const mark = "what a worker has in this buffer"

// verdict is what becomes of a call after an attempt that failed with err.
type verdict struct {
	err   error
	again bool
	wait  time.Duration
}

// judge decides what becomes of the call, and finishes it unless it is run again.
func (r *inlineCall) judge(reply []byte, err error) verdict {
	v := verdict{err: err}
	if err != nil && !r.call.Finished() {
		v.wait, v.again, err = r.call.Retry(r.failures+1, err)
	}
	if !v.again {
		r.call.Finish(reply, err)
	}
	return v
}

// run makes one attempt at the call and does what follows of it, however the task
// ends.
func (r *inlineCall) run() {
	if !r.start() {
		r.ex.over(r)
		return
	}
	ctx, cancel := context.WithCancel(procpool.WithAttempt(r.ctx, r.failures+1))
	var (
		began    = time.Now()
		returned bool
		reply    []byte
		err      error
		late     verdict
	)
	inTime := r.limit(cancel, &late)
	defer func() {
		if !returned {
			// Without a panic to recover it was runtime.Goexit.
			reply, err = nil, procpool.NewPanicError(r.call.Task(), recover(), debug.Stack())
		}
		cancel()
		ran := time.Since(began)
		r.call.NoteRun(ran)
		var v verdict
		if inTime() {
			v = r.judge(reply, err)
		} else {
			v = late
		}
		if !v.again {
			r.ex.over(r)
			return
		}
		r.failed(ran, v.err)
		r.ex.again(r, v.wait)
	}()
	reply, err = r.runTask(ctx)
	returned = true
}

// limit bounds an attempt by the call's Timeout, after which its outcome is late
// and its context ends. inTime is to be called once it has returned.
func (r *inlineCall) limit(cancel context.CancelFunc, late *verdict) (inTime func() bool) {
	limit := r.call.Timeout()
	if limit == 0 {
		return func() bool { return true }
	}
	decided := make(chan struct{})
	timer := time.AfterFunc(limit, func() {
		defer close(decided)
		defer cancel()
		*late = r.judge(nil, &procpool.TimeoutError{Task: r.call.Task(), Limit: limit, Attempt: r.failures + 1})
	})
	return func() bool {
		if timer.Stop() {
			return true
		}
		<-decided
		return false
	}
}

// runTask runs the task as a worker would: the argument's memory is gone
// afterwards, and the result is appended to a buffer that is in use.
func (r *inlineCall) runTask(ctx context.Context) ([]byte, error) {
	in := bytes.Clone(r.call.Payload())
	out, err := r.task.Run(ctx, r.call.Codec(), in, []byte(mark))
	for i := range in {
		in[i] = 0xa5
	}
	if err != nil {
		return nil, crossed(err)
	}
	result, ok := bytes.CutPrefix(out, []byte(mark))
	if !ok {
		return nil, &procpool.CodecError{
			Task: r.call.Task(), Codec: r.call.Codec(), Op: "encode the result",
			Err: errors.New("the result was not appended to the buffer that Codec.Append and Task.Run are given"),
		}
	}
	return result, nil
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
