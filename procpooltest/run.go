package procpooltest

import (
	"bytes"
	"errors"
	"runtime/debug"
	"time"

	"github.com/procpool/procpool"
)

// mark precedes the place to which a task's result is appended.
const mark = "what a worker has in this buffer"

// run runs the call and finishes it, however the task ends.
func (r *inlineCall) run() {
	defer r.ex.over(r)
	if !r.start() {
		return
	}
	var (
		began    = time.Now()
		returned bool
		reply    []byte
		err      error
	)
	defer func() {
		if !returned {
			// Without a panic to recover it was runtime.Goexit.
			reply, err = nil, procpool.NewPanicError(r.call.Task(), recover(), debug.Stack())
		}
		r.call.NoteRun(time.Since(began))
		r.call.Finish(reply, err)
	}()
	reply, err = r.runTask()
	returned = true
}

// runTask runs the task as a worker would: the argument's memory is gone
// afterwards, and the result is appended to a buffer that is in use.
func (r *inlineCall) runTask() ([]byte, error) {
	in := bytes.Clone(r.call.Payload())
	out, err := r.task.Run(r.ctx, r.call.Codec(), in, []byte(mark))
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
