package procpooltest

import (
	"context"
	"sync"
	"time"

	"github.com/procpool/procpool"
)

// inlineCall is a call in the hands of an inline executor.
type inlineCall struct {
	ex        *inline
	call      *procpool.Call
	task      procpool.Task
	parent    *attempt        // that makes the call, nil for none
	ctx       context.Context //nolint:containedctx // the task's own, made before the task starts
	cancel    context.CancelFunc
	unwatch   func() bool // the caller's context
	leave     func() bool // the parent's, nil without a parent
	number    int
	depth     int  // how many calls it is nested in
	placeless bool // it takes none of the executor's places, and no key that is not its actor's
	key       string
	actor     *inlineActor // that the call is of, nil for none
	enqueued  time.Time
	waited    time.Duration // for the first attempt
	failures  int

	mu      sync.Mutex
	started bool
}

// finish gives the call its outcome, unless it has one.
func (r *inlineCall) finish(reply []byte, err error) bool {
	if !r.call.Finish(reply, err) {
		return false
	}
	r.settled()
	return true
}

// settled says that the call has its outcome: nobody waits for it any more.
func (r *inlineCall) settled() {
	if r.parent != nil {
		r.parent.clock.resume()
	}
}

// giveUp ends the call because ctx has ended.
func (r *inlineCall) giveUp(ctx context.Context) {
	if r.finish(nil, procpool.CancelError(ctx, r.call)) {
		r.cancel()
	}
}

// CancelCall implements procpool.Holder.
func (r *inlineCall) CancelCall(*procpool.Call) {
	r.settled()
	r.cancel()
}

// InspectCall implements procpool.Holder.
func (r *inlineCall) InspectCall(c *procpool.Call) procpool.CallInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return c.Record(procpool.Started)
	}
	info := c.Record(procpool.Queued)
	info.Wait = time.Since(r.enqueued)
	return info
}

// start begins another attempt. It returns nil when the call was given up
// meanwhile: it must not run.
func (r *inlineCall) start() *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures > 0 && r.ctx.Err() != nil && r.unwatch() {
		r.finish(nil, procpool.CancelError(r.ctx, r.call)) // in place of what would have
		return nil
	}
	if r.call.Finished() || r.failures > 0 && r.ctx.Err() != nil {
		return nil
	}
	r.started = true
	if r.failures == 0 {
		r.waited = time.Since(r.enqueued)
	}
	r.call.Note(0, 0, r.failures+1, r.waited)
	return r.newAttempt()
}

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
		r.finish(reply, err)
	}
	return v
}

// failed says that an attempt is over and another is to follow.
func (r *inlineCall) failed(ran time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = false
	r.failures++
	r.call.NoteFailed(procpool.Attempt{Run: ran, Err: err})
}
