package procpooltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedstate"
)

const (
	// concurrency is how many calls an Inline executor runs at once, the same on
	// every machine, so that a test behaves the same.
	concurrency = 8
	// nestingDepth is how deeply calls may be nested, as in a pool by default.
	nestingDepth = 100
)

// Inline returns an executor that runs the tasks in this process, each call on a
// goroutine of its own, at most 8 at a time; the others wait, without bound, by
// priority and then in the order they came. A call that is made by a running task
// starts at once, and so does a session that would have a process of its own. The calls
// of an actor run one at a time in the order they came, beside the 8.
//
// It keeps the contract of a pool as far as a process can: arguments, results and the
// values of streams and sessions pass through the codec, a task sees the metadata, the
// deadline and the attempt of its call but no value of its caller's context, its
// context ends with the caller's, with Future.Cancel or with the call's Timeout, and a
// panic or runtime.Goexit in it is a *procpool.PanicError. Who sends values waits for
// who takes them as in a pool (see procpool.Window). Calls that may be run again are,
// after timeouts and task failures where RetryOn says so; the calls of one key run
// one at a time in their order. To a running task procpool.ExecutorFrom gives this
// executor, where calls may be nested 100 deep; procpool.Logger writes to
// slog.Default. What package shared has belongs to this executor, and what a call holds
// of it is taken back when its task has returned.
//
// What it can't do is stop a task that does not heed its context: its future is
// resolved in time, yet it keeps its place among the 8, and its key, until it
// returns, and only then is it run again. Nor can it outlive os.Exit, a fatal
// error of the runtime, or a panic in a goroutine that a task started, so nothing
// is run again after a crash, nor is an actor ever opened again. All keys share one
// memory, and a call that is made by
// a running task does not wait for its key. No payload is too large.
//
// Inline panics when two tasks have the same name, a task is nil, or a handle was
// made by procpool.Remote, RemoteStream, RemoteSession or RemoteActor.
func Inline(tasks ...procpool.Task) procpool.Executor {
	ex := &inline{
		tasks: make(map[string]served, len(tasks)), keys: make(map[string][]*inlineCall), shared: sharedstate.New(inlineWaits),
		actors: make(map[uint64]*inlineActor),
	}
	for _, t := range tasks {
		if t == nil {
			panic("procpool: procpooltest.Inline: a task is nil")
		}
		name := t.Name()
		if handle, ok := t.(interface{ Local() bool }); ok && !handle.Local() {
			panic(fmt.Sprintf("procpool: procpooltest.Inline: task %q is a Remote handle, which has no function to run", name))
		}
		if ex.tasks[name].Task != nil {
			panic(fmt.Sprintf("procpool: procpooltest.Inline: two tasks have the name %q", name))
		}
		info := t.Describe()
		one := served{Task: t, kind: info.Kind}
		for _, m := range info.Methods {
			one.methods = append(one.methods, m.Name)
		}
		ex.tasks[name] = one
	}
	return ex
}

// inline is the executor that Inline returns.
type inline struct {
	tasks  map[string]served
	shared *sharedstate.Registry

	mu      sync.Mutex
	running int
	came    int                      // calls so far
	waiting []*inlineCall            // in the order in which they are to start
	keys    map[string][]*inlineCall // for each key in use, those that wait for its turn
	actors  map[uint64]*inlineActor
}

// served is a task, and how it is called.
type served struct {
	procpool.Task
	kind    procpool.Kind
	methods []string // of an actor
}

// Enqueue implements procpool.Executor. It does not block.
func (ex *inline) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	parent, ok := ctx.Value(procpool.HostKey()).(*attempt)
	if ok && parent.r.ex != ex {
		parent = nil // another executor's
	}
	ex.enqueueAll(ctx, first, n, parent)
}

func (ex *inline) enqueueAll(ctx context.Context, first *procpool.Call, n int, parent *attempt) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		if c.Kind() == procpool.KindShared {
			ex.share(ctx, c, parent)
		} else if err := ex.refuse(c, parent); err != nil {
			c.Finish(nil, err)
		} else {
			ex.enqueue(ctx, c, parent)
		}
		c = next
	}
}

// refuse returns why a call that parent makes, nil for none, can't be run.
func (ex *inline) refuse(c *procpool.Call, parent *attempt) error {
	task, known := ex.tasks[taskOf(c)]
	switch {
	case !known:
		return procpool.UnknownTaskError(c, slices.Collect(maps.Keys(ex.tasks)), "pass it to procpooltest.Inline")
	case task.kind != c.Kind():
		return procpool.KindError(c.Task(), c.Kind(), task.kind)
	case parent == nil:
		return nil
	case parent.ctx.Err() != nil:
		return procpool.CancelError(parent.ctx, c)
	case parent.r.depth >= nestingDepth:
		return procpool.NestingError(c.Task(), fmt.Sprintf("it would be nested more than %d deep", nestingDepth))
	}
	return nil
}

// taskOf returns the name by which the task of a call is served.
func taskOf(c *procpool.Call) string {
	if i := c.Actor(); i != nil {
		return i.Actor()
	}
	return c.Task()
}

func (ex *inline) enqueue(ctx context.Context, c *procpool.Call, parent *attempt) {
	r := &inlineCall{ex: ex, call: c, task: ex.tasks[taskOf(c)].Task, parent: parent, enqueued: time.Now()}
	r.placeless = parent != nil || c.Dedicated()
	if parent != nil {
		c.Nest(parent.r.call)
	}
	if c.Actor() != nil {
		r.placeless = true
		if err := ex.adopt(r); err != nil {
			c.Finish(nil, err)
			return
		}
		if c.Step() == procpool.StepClose {
			r.actor.giveUp()
		}
		if err := r.actor.joins(r); err != nil {
			c.Finish(nil, err)
			return
		}
	}
	r.key = c.Key()
	if r.placeless && r.actor == nil {
		r.key = ""
	}
	// Only what crosses to a worker reaches the task, so its context is not
	// derived from the caller's.
	inside := procpool.WithMetadata(context.Background(), maps.Clone(c.Metadata()))
	if deadline, ok := c.Deadline(); ok {
		r.ctx, r.cancel = context.WithDeadline(inside, deadline)
	} else {
		r.ctx, r.cancel = context.WithCancel(inside)
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.came++
	r.number = ex.came
	c.Slot.Stamp = int64(r.number)
	c.Hold(r)
	if parent != nil {
		r.depth = parent.r.depth + 1
		parent.clock.wait()
		r.leave = context.AfterFunc(parent.ctx, func() { r.giveUp(parent.ctx) })
	}
	r.unwatch = context.AfterFunc(ctx, func() { r.giveUp(ctx) })
	if r.key != "" {
		behind, busy := ex.keys[r.key]
		if busy {
			ex.keys[r.key] = append(behind, r)
			return
		}
		ex.keys[r.key] = nil
	}
	ex.placeLocked(r)
}
