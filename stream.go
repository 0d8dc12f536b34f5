package procpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"sync"
)

// Stream is a handle on a task that yields a sequence of values: a generator in
// another process. A handle is immutable and safe for concurrent use; keep it in a
// package-level variable. One made by [DefineStream] is also a [Task], which workers
// serve.
type Stream[In, Out any] struct {
	spec *spec
	fn   func(ctx context.Context, in In, emit func(Out) error) error
}

// DefineStream makes a handle on a stream and the task itself, as [Define] does for
// a function: what is said there of names, worker processes and fn's context holds
// here too.
//
// fn sends values with emit, which encodes the value before it returns and blocks
// while the reader is a window behind (see [Window]), so that a slow reader slows
// nobody else. Small values share messages; the first one, and any that comes after
// a pause, is sent at once, and others wait for company for a millisecond at most
// unless fn keeps its processor busy. emit may be called by several goroutines; when
// fn has returned it only refuses. Its error says that the reader has left or the call
// was given up, or that the value can't be encoded or is too large; fn should return
// then. The stream ends when fn returns, with fn's error if there is one.
func DefineStream[In, Out any](name string, fn func(ctx context.Context, in In, emit func(Out) error) error, opts ...Option) *Stream[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("procpool: DefineStream(%q): the function is nil", name))
	}
	s := newSpec("DefineStream", name, KindStream, opts)
	s.local = true
	return &Stream[In, Out]{spec: s, fn: fn}
}

// RemoteStream makes a handle on a stream that is implemented elsewhere; see
// [Remote].
func RemoteStream[In, Out any](name string, opts ...Option) *Stream[In, Out] {
	return &Stream[In, Out]{spec: newSpec("RemoteStream", name, KindStream, opts)}
}

// Name returns the task's name.
func (s *Stream[In, Out]) Name() string { return s.spec.name }

// Local reports whether the handle was made by [DefineStream].
func (s *Stream[In, Out]) Local() bool { return s.spec.local }

// With returns a copy of the handle with the options applied.
func (s *Stream[In, Out]) With(opts ...Option) *Stream[In, Out] {
	return &Stream[In, Out]{spec: s.spec.with(opts), fn: s.fn}
}

// All runs the stream with the argument in and yields its values as they come. Each
// use of the returned sequence makes one call. It holds a worker while it runs, also
// while the reader is slow.
//
// An error is yielded once, after the values that came before it, and ends the
// sequence: that of the task, of its worker's death (values that it had sent shortly
// before may be lost), or of the executor that refuses the call. A value that can't be
// decoded ends it too. So does the end of ctx, at once: what has come and was not read
// is dropped. Leaving the loop gives the call up: its context ends in the worker, as
// after Future.Cancel.
//
// A stream that its options allow to be run again ([Idempotent]) is, until its first
// value has reached the reader's process. [Timeout] does not count what the task
// spends waiting for its reader.
func (s *Stream[In, Out]) All(ctx context.Context, ex Executor, in In, opts ...Option) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		c, err := startCall(ctx, ex, s.spec.with(opts), in)
		if err != nil {
			var zero Out
			yield(zero, err)
			return
		}
		yieldValues(ctx, c, yield)
	}
}

// yieldValues yields the values that a call sends, and its error. It gives the call up
// when the reader has left.
func yieldValues[Out any](ctx context.Context, c *Call, yield func(Out, error) bool) {
	defer c.Cancel()
	d := c.Conduit()
	for {
		value, inTime, err := d.next(ctx)
		if !inTime || err == nil && ctx.Err() != nil {
			err = CancelError(ctx, c) // what has come and was not read goes with it
		}
		if err == io.EOF { //nolint:errorlint // next returns it bare
			return
		}
		var out Out
		if err == nil {
			out, err = decodeValue[Out](c.spec, value)
		}
		if !yield(out, err) || err != nil {
			return
		}
	}
}

// startCall makes a call of a stream or a session and hands it to ex.
func startCall[In any](ctx context.Context, ex Executor, s *spec, in In) (*Call, error) {
	c := &Call{spec: s}
	if ctx.Err() != nil {
		return nil, CancelError(ctx, c)
	}
	payload, err := encode(s, c.small[:0], in)
	if err != nil {
		return nil, err
	}
	c.payload = payload
	c.deadline = deadline(ctx)
	c.extra.Store(&extra{conduit: newConduit(c, s.window)})
	ex.Enqueue(ctx, c, 1)
	return c, nil
}

// decodeValue decodes a value that a task has sent, which is the reader's own.
func decodeValue[T any](s *spec, data []byte) (T, error) {
	if _, ok := s.codec.(rawCodec); ok {
		return decodeReply[T](s, data)
	}
	return decode[T](s, "decode a value", data)
}

// Describe tells the task's name, its types, and the codecs it accepts.
func (s *Stream[In, Out]) Describe() TaskInfo {
	return s.spec.describe(reflect.TypeFor[In](), reflect.TypeFor[Out]())
}

// Run refuses: a stream is run by RunStream.
func (s *Stream[In, Out]) Run(_ context.Context, _ string, _, out []byte) ([]byte, error) {
	return out, KindError(s.spec.name, KindFunction, KindStream)
}

// RunStream runs the function; see [StreamTask]. Only workers call it.
func (s *Stream[In, Out]) RunStream(ctx context.Context, codec string, in []byte, port Port) error {
	if s.fn == nil {
		return s.spec.noFunction()
	}
	spec, err := s.spec.withCodecNamed(codec)
	if err != nil {
		return err
	}
	arg, err := decode[In](spec, "decode the argument", in)
	if err != nil {
		return err
	}
	out := emitter[Out]{spec: spec, port: port}
	defer out.close()
	return out.outcome(s.fn(ctx, arg, out.emit))
}

// emitter sends a task's values.
type emitter[Out any] struct {
	spec *spec
	port Port

	mu     sync.Mutex
	over   bool  // the function has returned, and the port is no longer its own
	failed error // the value that could not be sent, for its own fault
}

func (e *emitter[Out]) emit(v Out) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return fmt.Errorf("procpool: task %q has returned and sends no more values", e.spec.name)
	}
	value, err := appendValue(e.spec, "encode a value", e.port.Room(), v)
	bad := err != nil
	if err == nil {
		err = e.port.Emit(value)
		bad = errors.Is(err, ErrTooLarge)
	}
	if bad && e.failed == nil {
		e.failed = err
	}
	return err
}

// close ends the sending, however the function has ended. A value that another
// goroutine is sending goes first.
func (e *emitter[Out]) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}

// outcome returns what the call ends with when its function has returned err. Where
// that says that a value can't be sent, the caller gets it as what it is and not as an
// error of the task.
func (e *emitter[Out]) outcome(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case e.failed != nil && errorIs(err, e.failed):
		return e.failed
	}
	return e.spec.taskError(err)
}
