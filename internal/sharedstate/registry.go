package sharedstate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

const (
	// maxObjects bounds how many objects there may be: they last as long as the
	// executor, and a task can make them.
	maxObjects = 1 << 16
	// maxItemBytes bounds what the items take in memory that tasks have put into
	// queues, dead letters included: a task can make a queue of any size. itemBytes is
	// what one takes beside its value, about.
	maxItemBytes = 1 << 30
	itemBytes    = 128
	// maxClaims bounds what one call may hold and wait for at a time: not less than it
	// can get at once.
	maxClaims = sharedop.MaxBatch
	// lendAfter is how long an operation has waited before the call that waits for
	// it lends its slot, if there is no other call that does not wait, and lendAnyway
	// before it does so in any case. Most waits for a lock are shorter, and with each
	// slot that is lent another call starts, which may do no more than wait for the
	// same lock, and which may kill the process and the one that waits with it. But
	// what is waited for may need a slot.
	lendAfter  = 10 * time.Millisecond
	lendAnyway = time.Second
)

// An Owner is the call that operations are made by. The zero Owner is the program in
// the host, whose operations belong to no call.
type Owner struct {
	Worker int
	Lane   uint32
	Seq    uint64
}

// Hooks are what an executor does about a call whose operation waits. Each may be nil.
type Hooks struct {
	// Lend lends the call's slot when it has waited for some time. It returns what
	// takes the slot back, nil where there is none to lend. Stuck reports whether
	// nothing goes on but that so many calls wait which have not lent their slots;
	// without it that is taken to be so. Both are called on a goroutine of their own.
	Lend  func() (back func())
	Stuck func(waiting int) bool
	// Waits is called when the wait begins, before Do returns, and must not call
	// back. What it returns is called when the wait is over.
	Waits func() (goes func())
}

// Registry is the shared state of one executor. Its methods are safe for concurrent
// use, and none blocks.
type Registry struct {
	most  int          // how many operations of tasks may wait
	calls atomic.Int64 // how many calls hold or wait for something

	mu      sync.Mutex
	objects map[string]object
	holders map[Owner]*holder
	waiting int // operations of tasks that wait
	items   int // bytes of the items that tasks have put
	closed  bool
	later   []func() // what is to be called when the lock is free again
}

var _ procpool.Holder = (*Registry)(nil)

// New returns a registry in which at most so many operations of tasks may wait at a
// time.
func New(waits int) *Registry {
	return &Registry{most: waits, objects: make(map[string]object), holders: make(map[Owner]*holder)}
}

// Do carries out an operation that o makes, or has it wait until it can be; ctx ends
// the wait. No operation of a call may come when EndCall was called
// for it, or EndWorker for its worker.
func (r *Registry) Do(ctx context.Context, c *procpool.Call, o Owner, hooks Hooks) {
	c.Hold(r)
	op, err := parse(c)
	if err == nil && ctx.Err() != nil {
		err = procpool.CancelError(ctx, c)
	}
	if err != nil {
		c.Finish(nil, err)
		return
	}
	r.mu.Lock()
	defer r.unlock()
	if r.closed {
		c.Finish(nil, procpool.ErrClosed)
		return
	}
	if err := r.doLocked(ctx, op, o, hooks); err != nil {
		c.Finish(nil, err)
	}
}

// unlock frees the lock, and then does what must not be done with it.
func (r *Registry) unlock() {
	later := r.later
	r.later = nil
	r.mu.Unlock()
	for _, call := range later {
		call()
	}
}

func (r *Registry) doLocked(ctx context.Context, op *operation, o Owner, hooks Hooks) error {
	if op.gives {
		return r.giveBackLocked(op, o)
	}
	object, err := r.objectLocked(op)
	if err != nil {
		return err
	}
	if object.do(r, op) {
		return nil
	}
	cl, err := r.claimLocked(op, o)
	if err != nil {
		return err
	}
	cl.object = object
	object.begin(r, cl, op)
	if cl.state != waits {
		return nil
	}
	if op.args.NoWait {
		err = op.failure(sharedop.CodeWouldBlock, "it would have to wait")
	} else {
		err = r.waitLocked(ctx, cl, hooks)
	}
	if err != nil {
		r.forgetLocked(cl)
	}
	return err
}

// objectLocked returns the object that an operation names. It is made when it is
// named first.
func (r *Registry) objectLocked(op *operation) (object, error) {
	is := op.definition()
	if o := r.objects[op.args.Name]; o != nil {
		if was := o.definition(); was != is {
			return nil, op.failure(sharedop.CodeMismatch, fmt.Sprintf("it is %v in this pool, and %v where it is used here; a name means one thing in a pool", was, is))
		}
		return o, nil
	}
	if len(r.objects) >= maxObjects {
		return nil, op.failure(sharedop.CodeLimit, fmt.Sprintf("this pool has %d shared objects already, as many as may be", maxObjects))
	}
	o := is.make()
	r.objects[op.args.Name] = o
	return o, nil
}

// giveBackLocked carries out an operation that gives something back: all that it names,
// or nothing. Of what was granted of so many at the most it is all that was granted.
func (r *Registry) giveBackLocked(op *operation, o Owner) error {
	var claims []*claim
	if h := r.holders[o]; h != nil {
		for _, ticket := range op.tickets() {
			if cl := h.tickets[ticket]; cl != nil && cl.name == op.args.Name && cl.kind == op.kind {
				claims = append(claims, cl)
			}
		}
	}
	if len(claims) == 0 || len(claims) < len(op.args.Tickets) {
		return op.failure(sharedop.CodeNotHeld, "it is not held, or not any more, by the one who wants to give it back")
	}
	for _, cl := range claims {
		if cl.state == waits { // whoever waits for it has given it up, and this was faster
			r.refuseLocked(cl, procpool.CancelError(canceled, cl.call))
		} else {
			r.forgetLocked(cl)
			cl.object.release(r, cl, op.release)
		}
	}
	claims[0].object.serve(r)
	op.answer(sharedop.Reply{})
	return nil
}

// canceled is a context that has ended.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Busy reports whether any call holds or waits for anything. It is cheap.
func (r *Registry) Busy() bool { return r.calls.Load() > 0 }

// EndCall takes what a call holds from it, which has ended, and gives up what it waits
// for. Whoever gets it next is told that it was abandoned.
func (r *Registry) EndCall(o Owner) {
	if !r.Busy() {
		return
	}
	r.mu.Lock()
	defer r.unlock()
	if h := r.holders[o]; h != nil {
		r.endLocked(h)
	}
}

// EndWorker does so for all calls of a worker, which is dead.
func (r *Registry) EndWorker(number int) {
	if !r.Busy() {
		return
	}
	r.mu.Lock()
	defer r.unlock()
	var dead []*holder
	for o, h := range r.holders {
		if o.Worker == number {
			dead = append(dead, h)
		}
	}
	r.endLocked(dead...)
}

// endLocked ends holders. Others are served only when all that these had and wanted is
// gone, so that nothing is granted to the dead.
func (r *Registry) endLocked(holders ...*holder) {
	touched := make(map[object]struct{})
	for _, h := range holders {
		for _, cl := range h.all() {
			touched[cl.object] = struct{}{}
			if cl.state == waits {
				r.refuseLocked(cl, procpool.NestingError(cl.call.Task(), "the call that makes it has ended"))
			} else {
				r.forgetLocked(cl)
				cl.object.release(r, cl, abandoned)
			}
		}
	}
	for object := range touched {
		object.serve(r)
	}
}

// Close ends every wait with procpool.ErrClosed, and refuses every operation from now
// on.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.unlock()
	r.closed = true
	for _, h := range r.holders {
		for _, cl := range h.all() {
			if cl.state == waits {
				r.settleLocked(cl, nil, procpool.ErrClosed)
			}
		}
	}
	clear(r.objects)
	clear(r.holders)
	r.calls.Store(0)
}

// CancelCall implements procpool.Holder.
func (r *Registry) CancelCall(c *procpool.Call) { r.giveUp(c, nil) }

// InspectCall implements procpool.Holder.
func (r *Registry) InspectCall(c *procpool.Call) procpool.CallInfo { return c.Record(procpool.Queued) }
