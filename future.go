package procpool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// A Future is the outcome of a call, to come. It is resolved exactly once,
// whatever dies. Its methods may be called from any goroutine.
type Future[T any] struct {
	call Call
}

// Done returns a channel that is closed when the future is resolved.
func (f *Future[T]) Done() <-chan struct{} { return f.call.doneChan() }

// Result waits for the future and returns the result, which is the caller's own:
// each call of Result decodes anew (but see [Raw]). ctx bounds this wait only:
// when it ends first the error matches [ErrNotDone] and wraps the context's
// cause, and the call goes on.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if !f.call.Finished() {
		if err := f.call.wait1(ctx); err != nil {
			var zero T
			return zero, err
		}
	}
	return f.outcome()
}

// await is Result for those whose context ends the call itself.
func (f *Future[T]) await() (T, error) {
	if !f.call.Finished() {
		_ = f.call.wait1(context.Background())
	}
	return f.outcome()
}

func (f *Future[T]) outcome() (T, error) {
	c := &f.call
	if c.err != nil {
		var zero T
		return zero, c.err
	}
	return decodeReply[T](c.spec, c.reply)
}

// wait1 blocks until the call is done or ctx ends.
func (c *Call) wait1(ctx context.Context) error {
	w := tokens.Get().(*waiter)
	if !c.addWaiter(w) {
		tokens.Put(w)
		return nil
	}
	if ctx.Done() == nil {
		<-w.wake
		tokens.Put(w)
		return nil
	}
	select {
	case <-w.wake:
		tokens.Put(w)
		return nil
	case <-ctx.Done():
		// The waiter stays linked and gets its token some day: it is lost
		// to the pool of waiters.
		return notDone(ctx, fmt.Sprintf("the call of task %q", c.spec.name))
	}
}

func notDone(ctx context.Context, what string) error {
	return fmt.Errorf("%w: waiting for %s ended: %w", ErrNotDone, what, context.Cause(ctx))
}

// Cancel gives the call up, queued or running. It reports whether this resolved
// the future: its error then matches [context.Canceled]. A call that had not
// started never will; one that runs has its context cancelled, and its process
// killed if it does not heed that in time. Cancel does not wait for either.
func (f *Future[T]) Cancel() bool {
	c := &f.call
	if !c.Finish(nil, &cancelError{task: c.spec.name, err: context.Canceled}) {
		return false
	}
	if c.holder != nil {
		c.holder.CancelCall(c)
	}
	return true
}

// OnDone has fn called when the future is resolved: on a goroutine of its own,
// or at once on the caller's when the future is resolved already. The functions
// of one future are called one after the other in the order given. A panic in
// one is logged with slog and harms nothing else.
func (f *Future[T]) OnDone(fn func()) {
	if !f.call.addWaiter(&waiter{user: fn}) {
		runCallback(fn)
	}
}

func runCallback(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("procpool: a function given to OnDone panicked", "panic", panicText(p), "stack", string(debug.Stack()))
		}
	}()
	fn()
}

// State says how far the call has come.
func (f *Future[T]) State() State { return f.call.info().State }

// Info tells what is known of the call: attempts, worker, times.
func (f *Future[T]) Info() CallInfo { return f.call.info() }

func (f *Future[T]) base() *Call { return &f.call }
