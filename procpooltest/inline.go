package procpooltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
)

// concurrency is how many calls an Inline executor runs at once, the same on
// every machine, so that a test behaves the same.
const concurrency = 8

// Inline returns an executor that runs the tasks in this process, each call on a
// goroutine of its own, at most 8 at a time; the others wait, without bound, in
// the order they came. A call that is made by a running task starts at once.
//
// It keeps the contract of a pool as far as a process can: arguments and results
// pass through the codec, a task sees the metadata and the deadline of its call
// but no value of its caller's context, its context ends with the caller's or
// with Future.Cancel, and a panic or runtime.Goexit in it is a
// *procpool.PanicError. What it can't do is stop a task that does not heed its
// context, or outlive os.Exit, a fatal error of the runtime, or a panic in a
// goroutine that a task started.
//
// Inline panics when two tasks have the same name, a task is nil, or a handle was
// made by procpool.Remote.
func Inline(tasks ...procpool.Task) procpool.Executor {
	ex := &inline{tasks: make(map[string]procpool.Task, len(tasks))}
	for _, t := range tasks {
		if t == nil {
			panic("procpool: procpooltest.Inline: a task is nil")
		}
		name := t.Name()
		if handle, ok := t.(interface{ Local() bool }); ok && !handle.Local() {
			panic(fmt.Sprintf("procpool: procpooltest.Inline: task %q is a Remote handle, which has no function to run", name))
		}
		if ex.tasks[name] != nil {
			panic(fmt.Sprintf("procpool: procpooltest.Inline: two tasks have the name %q", name))
		}
		ex.tasks[name] = t
	}
	return ex
}

// inline is the executor that Inline returns.
type inline struct {
	tasks map[string]procpool.Task

	mu      sync.Mutex
	running int
	waiting []*inlineCall
}

// inlineCall is a call in the hands of an inline executor.
type inlineCall struct {
	ex       *inline
	call     *procpool.Call
	task     procpool.Task
	ctx      context.Context //nolint:containedctx // the task's own, made before the task starts
	cancel   context.CancelFunc
	unwatch  func() bool
	nested   bool
	enqueued time.Time

	mu      sync.Mutex
	started bool
}

// insideKey marks the contexts of an executor's running tasks.
type insideKey struct{}

// Enqueue implements procpool.Executor. It does not block.
func (ex *inline) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		ex.enqueue(ctx, c)
		c = next
	}
}

func (ex *inline) enqueue(ctx context.Context, c *procpool.Call) {
	task := ex.tasks[c.Task()]
	if task == nil {
		c.Finish(nil, procpool.UnknownTaskError(c, slices.Collect(maps.Keys(ex.tasks)), "pass it to procpooltest.Inline"))
		return
	}
	r := &inlineCall{ex: ex, call: c, task: task, enqueued: time.Now(), nested: ctx.Value(insideKey{}) == ex}
	// Only what crosses to a worker reaches the task, so its context is not
	// derived from the caller's.
	inside := context.WithValue(context.Background(), insideKey{}, ex)
	inside = procpool.WithMetadata(inside, maps.Clone(c.Metadata()))
	if deadline, ok := c.Deadline(); ok {
		r.ctx, r.cancel = context.WithDeadline(inside, deadline)
	} else {
		r.ctx, r.cancel = context.WithCancel(inside)
	}
	c.Hold(r)
	r.unwatch = context.AfterFunc(ctx, func() {
		if c.Finish(nil, procpool.CancelError(ctx, c)) {
			r.CancelCall(c)
		}
	})
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if !r.nested && ex.running >= concurrency {
		ex.waiting = append(ex.waiting, r)
		return
	}
	ex.startLocked(r)
}

func (ex *inline) startLocked(r *inlineCall) {
	if !r.nested {
		ex.running++
	}
	go r.run()
}

// over says that r has left its place, and gives the place to the next.
func (ex *inline) over(r *inlineCall) {
	r.unwatch()
	r.cancel()
	if r.nested {
		return
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.running--
	if len(ex.waiting) > 0 {
		next := ex.waiting[0]
		ex.waiting[0] = nil
		ex.waiting = ex.waiting[1:]
		ex.startLocked(next)
	}
}

// CancelCall implements procpool.Holder.
func (r *inlineCall) CancelCall(*procpool.Call) { r.cancel() }

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

// start reports false when the call was given up meanwhile: it must not run.
func (r *inlineCall) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.call.Finished() {
		return false
	}
	r.started = true
	r.call.Note(0, 0, 1, time.Since(r.enqueued))
	return true
}
