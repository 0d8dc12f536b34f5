package procpooltest

import (
	"cmp"
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
// goroutine of its own, at most 8 at a time; the others wait, without bound, by
// priority and then in the order they came. A call that is made by a running task
// starts at once.
//
// It keeps the contract of a pool as far as a process can: arguments and results
// pass through the codec, a task sees the metadata, the deadline and the attempt
// of its call but no value of its caller's context, its context ends with the
// caller's, with Future.Cancel or with the call's Timeout, and a panic or
// runtime.Goexit in it is a *procpool.PanicError. Calls that may be run again are,
// after timeouts and task failures where RetryOn says so; the calls of one key run
// one at a time in their order.
//
// What it can't do is stop a task that does not heed its context: its future is
// resolved in time, yet it keeps its place among the 8, and its key, until it
// returns, and only then is it run again. Nor can it outlive os.Exit, a fatal
// error of the runtime, or a panic in a goroutine that a task started, so nothing
// is run again after a crash. All keys share one memory, and a call that is made by
// a running task does not wait for its key.
//
// Inline panics when two tasks have the same name, a task is nil, or a handle was
// made by procpool.Remote.
func Inline(tasks ...procpool.Task) procpool.Executor {
	ex := &inline{tasks: make(map[string]procpool.Task, len(tasks)), keys: make(map[string][]*inlineCall)}
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
	came    int                      // calls so far
	waiting []*inlineCall            // in the order in which they are to start
	keys    map[string][]*inlineCall // for each key in use, those that wait for its turn
}

// inlineCall is a call in the hands of an inline executor.
type inlineCall struct {
	ex       *inline
	call     *procpool.Call
	task     procpool.Task
	ctx      context.Context //nolint:containedctx // the task's own, made before the task starts
	cancel   context.CancelFunc
	unwatch  func() bool
	number   int
	nested   bool
	enqueued time.Time
	waited   time.Duration // for the first attempt
	failures int

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
	ex.came++
	r.number = ex.came
	if key := c.Key(); key != "" && !r.nested {
		behind, busy := ex.keys[key]
		if busy {
			ex.keys[key] = append(behind, r)
			return
		}
		ex.keys[key] = nil
	}
	ex.placeLocked(r)
}

// placeLocked starts r, or has it wait for a place in its order.
func (ex *inline) placeLocked(r *inlineCall) {
	if r.nested {
		go r.run()
		return
	}
	if ex.running < concurrency {
		ex.running++
		go r.run()
		return
	}
	i, _ := slices.BinarySearchFunc(ex.waiting, r, func(a, b *inlineCall) int {
		return cmp.Or(cmp.Compare(b.call.Priority(), a.call.Priority()), cmp.Compare(a.number, b.number))
	})
	ex.waiting = slices.Insert(ex.waiting, i, r)
}

// leaveLocked says that r has left its place, and gives the place to the next.
func (ex *inline) leaveLocked(r *inlineCall) {
	if r.nested {
		return
	}
	if len(ex.waiting) == 0 {
		ex.running--
		return
	}
	next := ex.waiting[0]
	ex.waiting[0] = nil
	ex.waiting = ex.waiting[1:]
	go next.run()
}

// over says that nothing of r will run any more.
func (ex *inline) over(r *inlineCall) {
	r.unwatch()
	r.cancel()
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if key := r.call.Key(); key != "" && !r.nested {
		if behind := ex.keys[key]; len(behind) > 0 {
			ex.keys[key] = behind[1:]
			ex.placeLocked(behind[0])
		} else {
			delete(ex.keys, key)
		}
	}
	ex.leaveLocked(r)
}

// again gives up r's place, and places it anew after a wait.
func (ex *inline) again(r *inlineCall, wait time.Duration) {
	ex.mu.Lock()
	ex.leaveLocked(r)
	ex.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.placeLocked(r) // given up or not: run ends it
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
	if r.failures > 0 && r.ctx.Err() != nil && r.unwatch() {
		r.call.Finish(nil, procpool.CancelError(r.ctx, r.call)) // in place of what would have
		return false
	}
	if r.call.Finished() || r.failures > 0 && r.ctx.Err() != nil {
		return false
	}
	r.started = true
	if r.failures == 0 {
		r.waited = time.Since(r.enqueued)
	}
	r.call.Note(0, 0, r.failures+1, r.waited)
	return true
}

// failed says that an attempt is over and another is to follow.
func (r *inlineCall) failed(ran time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = false
	r.failures++
	r.call.NoteFailed(procpool.Attempt{Run: ran, Err: err})
}
