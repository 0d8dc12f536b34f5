package procpool

import (
	"context"
	"fmt"
	"io"
	"iter"
	"reflect"
	"sync"
	"sync/atomic"
)

// Session is a handle on a task that converses with its caller: it is opened with
// an argument, then values go both ways until it returns. A handle is immutable and
// safe for concurrent use; keep it in a package-level variable. One made by
// [DefineSession] is also a [Task], which workers serve.
type Session[Init, In, Out any] struct {
	spec *spec
	fn   func(ctx context.Context, init Init, recv iter.Seq[In], send func(Out) error) error
}

// DefineSession makes a handle on a session and the task itself, as [Define] does
// for a function: what is said there of names, worker processes and fn's context
// holds here too.
//
// fn takes its caller's values from recv, which blocks for the next one and ends when
// the caller has called CloseSend, the call was given up or fn has returned; it may be
// left and ranged over again, by one goroutine at a time. It sends with send, which
// behaves as emit of [DefineStream]. A value that can't be decoded ends the input, and
// the session with a [*CodecError]. The session ends when fn returns, with fn's error
// if there is one. It is run again as a stream is (see [Stream.All]): where its options
// allow that, and only until a value has passed, in either direction.
func DefineSession[Init, In, Out any](name string, fn func(ctx context.Context, init Init, recv iter.Seq[In], send func(Out) error) error,
	opts ...Option,
) *Session[Init, In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("procpool: DefineSession(%q): the function is nil", name))
	}
	s := newSpec("DefineSession", name, KindSession, opts)
	s.local = true
	return &Session[Init, In, Out]{spec: s, fn: fn}
}

// RemoteSession makes a handle on a session that is implemented elsewhere; see
// [Remote].
func RemoteSession[Init, In, Out any](name string, opts ...Option) *Session[Init, In, Out] {
	return &Session[Init, In, Out]{spec: newSpec("RemoteSession", name, KindSession, opts)}
}

// Name returns the task's name.
func (s *Session[Init, In, Out]) Name() string { return s.spec.name }

// Local reports whether the handle was made by [DefineSession].
func (s *Session[Init, In, Out]) Local() bool { return s.spec.local }

// With returns a copy of the handle with the options applied.
func (s *Session[Init, In, Out]) With(opts ...Option) *Session[Init, In, Out] {
	return &Session[Init, In, Out]{spec: s.spec.with(opts), fn: s.fn}
}

// Open begins a conversation with the argument init. In a pool it gets a process of
// its own, beside the pool's workers, unless the handle is [Shared]; while the pool
// runs as many as it may (Config.MaxDedicated) Open blocks, at most until ctx ends, or
// with [NoWait] is refused with [ErrQueueFull]. It does not wait for the process. ctx
// bounds the whole conversation. What goes wrong is for Recv to tell, and for Send.
//
// A conversation must be ended: by its task's return, by Close, or by ctx.
func (s *Session[Init, In, Out]) Open(ctx context.Context, ex Executor, init Init, opts ...Option) *Conversation[In, Out] {
	spec := s.spec.with(opts)
	c, err := startCall(ctx, ex, spec, init)
	if err != nil {
		c = &Call{spec: spec}
		c.extra.Store(&extra{conduit: newConduit(c, spec.window)})
		c.Finish(nil, err)
	}
	return &Conversation[In, Out]{call: c, conduit: c.Conduit()}
}

// A Conversation is a session that was opened. Send and CloseSend are for one
// goroutine at a time, and so is Recv; the two sides may be different ones. The other
// methods may be called from any.
type Conversation[In, Out any] struct {
	call    *Call
	conduit *Conduit
	closed  sync.Once
	byClose bool
}

// Send sends the task a value, which is encoded when Send returns. It blocks while
// the task is a window behind, and until the task has started. When the session has
// ended the error is that of the session, or matches io.EOF if it had none. ctx bounds
// this wait only: when it ends first the error matches [ErrNotDone] and the value was
// not sent.
func (c *Conversation[In, Out]) Send(ctx context.Context, v In) error {
	value, err := appendValue(c.call.spec, "encode a value", nil, v)
	if err != nil {
		return err
	}
	return c.conduit.Push(ctx, value)
}

// CloseSend says that no more values follow: the task's recv ends when it has taken
// those before. It does not block, and the task goes on sending.
func (c *Conversation[In, Out]) CloseSend() { c.conduit.End() }

// Recv returns the next value that the task has sent. It blocks until there is one.
// Behind the last the error is io.EOF when the task has returned, else the session's.
// ctx bounds this wait only: when it ends first the error matches [ErrNotDone]. A value
// that can't be decoded is a [*CodecError] and costs no other.
func (c *Conversation[In, Out]) Recv(ctx context.Context) (Out, error) {
	value, err := c.conduit.Next(ctx)
	if err != nil {
		var zero Out
		return zero, err
	}
	return decodeValue[Out](c.call.spec, value)
}

// All yields what Recv returns until the session ends; its error, if there is one, is
// yielded last. Leaving the loop does not end the session.
func (c *Conversation[In, Out]) All(ctx context.Context) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		for {
			v, err := c.Recv(ctx)
			if err == io.EOF { //nolint:errorlint // Next returns it bare; a task's own may match it
				return
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the session if it has not ended: its task's context ends, and its process
// is killed when it goes on all the same. It does not wait for that. The error is the
// session's; nil if it had none, or if Close has ended it. Further calls return the
// same.
func (c *Conversation[In, Out]) Close() error {
	c.closed.Do(func() { c.byClose = c.call.Cancel() })
	if c.byClose {
		return nil
	}
	<-c.call.doneChan() // whoever was first is about to say so
	return c.call.err
}

// Done returns a channel that is closed when the session has ended.
func (c *Conversation[In, Out]) Done() <-chan struct{} { return c.call.doneChan() }

// Info tells what is known of the session: its worker, times, progress.
func (c *Conversation[In, Out]) Info() CallInfo { return c.call.info() }

func (c *Conversation[In, Out]) base() *Call { return c.call }

// Describe tells the task's name, its types, and the codecs it accepts.
func (s *Session[Init, In, Out]) Describe() TaskInfo {
	info := s.spec.describe(reflect.TypeFor[Init](), reflect.TypeFor[Out]())
	info.Receives = reflect.TypeFor[In]().String()
	return info
}

// Run refuses: a session is run by RunStream.
func (s *Session[Init, In, Out]) Run(_ context.Context, _ string, _, out []byte) ([]byte, error) {
	return out, KindError(s.spec.name, KindFunction, KindSession)
}

// RunStream runs the function; see [StreamTask]. Only workers call it.
func (s *Session[Init, In, Out]) RunStream(ctx context.Context, codec string, in []byte, port Port) error {
	if s.fn == nil {
		return s.spec.noFunction()
	}
	spec, err := s.spec.withCodecNamed(codec)
	if err != nil {
		return err
	}
	init, err := decode[Init](spec, "decode the argument", in)
	if err != nil {
		return err
	}
	input := receiver[In]{spec: spec, port: port}
	out := emitter[Out]{spec: spec, port: port}
	defer out.close()
	err = out.outcome(s.fn(ctx, init, input.recv, out.emit))
	if broken := input.broken.Load(); broken != nil {
		return *broken
	}
	return err
}

// receiver receives a session's values. It may still wait for one on a goroutine of
// its own when the function has returned.
type receiver[In any] struct {
	spec   *spec
	port   Port
	broken atomic.Pointer[error] // a value that could not be decoded
}

func (r *receiver[In]) recv(yield func(In) bool) {
	for r.broken.Load() == nil {
		value, more := r.port.Next()
		if !more {
			return
		}
		v, err := decode[In](r.spec, "decode a received value", value)
		if err != nil {
			r.broken.Store(&err)
			return
		}
		if !yield(v) {
			return
		}
	}
}
