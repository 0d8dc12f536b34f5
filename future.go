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
		select {
		case <-f.call.doneChan():
		case <-ctx.Done():
			var zero T
			return zero, notDone(ctx, fmt.Sprintf("the call of task %q", f.call.spec.name))
		}
	}
	return f.outcome()
}

// await is Result for those whose context ends the call itself.
func (f *Future[T]) await() (T, error) {
	if !f.call.Finished() {
		<-f.call.doneChan()
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

func notDone(ctx context.Context, what string) error {
	return fmt.Errorf("%w: waiting for %s ended: %w", ErrNotDone, what, context.Cause(ctx))
}

// Cancel gives the call up, queued or running. It reports whether this resolved
// the future: its error then matches [context.Canceled]. A call that had not
// started never will; one that runs has its context cancelled, and its process
// killed if it does not heed that in time. Cancel does not wait for either.
func (f *Future[T]) Cancel() bool { return f.call.Cancel() }

// OnDone has fn called when the future is resolved: on a goroutine of its own,
// which calls the functions given for one future one after the other in that
// order; or at once, on the caller's goroutine, when the future is resolved
// already. A panic in one is logged with slog and harms nothing else.
func (f *Future[T]) OnDone(fn func()) {
	if !f.call.addWaiter(&waiter{fn: fn}) {
		runCallback(fn)
	}
}

func runCallbacks(fns []func()) {
	next := 0
	defer func() {
		if next < len(fns) {
			go runCallbacks(fns[next:]) // runtime.Goexit in one ends this goroutine
		}
	}()
	for next < len(fns) {
		fn := fns[next]
		next++
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
