package procpool

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// A Call is one run of a task on its way through an executor: what to run, and
// the place where its outcome is put. It is the first field of a [Future], so
// that submitting allocates one object. Programs use futures; Call is for
// those who write executors.
type Call struct {
	// Slot is the executor's own space in the call.
	Slot Slot

	spec     *spec
	holder   Holder
	pack     *pack
	payload  []byte
	key      string // affinity, empty for none
	deadline int64  // Unix nanoseconds, 0 for none

	claimed atomic.Bool
	waiters atomic.Pointer[waiter] // doneMark once the outcome is there

	reply []byte
	err   error

	// Where and how long it ran. Atomic, since an executor may still write
	// them when the call's own Cancel has already resolved it.
	where atomic.Uint64 // worker<<40 | attempts<<32 | pid
	wait  atomic.Int64  // nanoseconds
	run   atomic.Int64  // nanoseconds

	extra atomic.Pointer[extra]

	small [inlinePayload]byte
}

// extra is what few calls have. It is never modified once a call refers to it.
type extra struct {
	conduit  *Conduit  // of a stream or a session
	within   *within   // the actors that wait for the call
	failed   []Attempt // that were followed by another
	progress Progress  // that the task reported last
}

// more returns what the call has of what few have.
func (c *Call) more() extra {
	if e := c.extra.Load(); e != nil {
		return *e
	}
	return extra{}
}

// addExtra changes what the call has of what few have.
func (c *Call) addExtra(change func(*extra)) {
	for {
		old := c.extra.Load()
		e := new(extra)
		if old != nil {
			*e = *old
		}
		change(e)
		if c.extra.CompareAndSwap(old, e) {
			return
		}
	}
}

// inlinePayload is how many bytes of argument fit into the call itself, so that
// a number or a short string costs no allocation of its own.
const inlinePayload = 24

// Slot is space in a [Call] for the executor that holds it, so that queueing and
// tracking a call allocates nothing. Nothing else writes it, or reads it but for
// Stamp.
type Slot struct {
	// Next and Prev link calls into lists. Next links the calls that are
	// handed to Enqueue together.
	Next, Prev *Call
	// Owner is whatever holds the call at the moment.
	Owner any
	// Group is the executor's record of the call's task.
	Group any
	// Seq numbers the call (for a pack, its first item) within Owner.
	Seq uint64
	// Stamp numbers the call in its executor (see [CallInfo]), which sets it
	// before Enqueue returns and not again. It may be a moment of its clock.
	Stamp int64
	// Cost is what the call counts against a bound in bytes.
	Cost int64
	// Estimate is how long the executor expects the call to run, in
	// nanoseconds; for a pack, each item.
	Estimate int64
	// Mark is the executor's state of the call.
	Mark uint32
	// Attempts counts the starts so far.
	Attempts uint16
	// Victims counts the workers that died with the call aboard unstarted.
	Victims uint16
	// Failures counts the attempts that failed and may be followed by another.
	Failures uint16
	// Depth is how many calls of tasks this one is nested in.
	Depth uint16
	// Suspect is set for a call that must run with no other beside it.
	Suspect bool
	// Watch and its links tie the call to the context that can end it.
	Watch                any
	WatchNext, WatchPrev *Call
}

// State says how far a call has come.
type State uint8

// The states of a call. A call that was sent to a worker ahead of time but has
// not started there is still Queued.
const (
	Queued State = iota
	Started
	Done
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Started:
		return "started"
	case Done:
		return "done"
	}
	return "invalid"
}

// CallInfo is what is known of a call.
type CallInfo struct {
	// Task is the task's name.
	Task string
	// State says how far the call has come.
	State State
	// Attempts counts how often the call was started.
	Attempts int
	// Worker is the number of the worker that ran it last, counted from 1 in
	// its pool, 0 when no worker had it.
	Worker int
	// PID is that worker's process id.
	PID int
	// Wait is the time from Submit until the call was sent to a worker.
	Wait time.Duration
	// Run is the run time of the last attempt. It stays zero until the work
	// has really stopped, which after a cancellation is later than the
	// future's end.
	Run time.Duration
	// Failed are the attempts that failed and were followed by another, the
	// oldest first (see [Retries]). It must not be modified.
	Failed []Attempt
	// Progress is what the running attempt reported last (see [Report]); what an
	// earlier attempt reported is forgotten.
	Progress Progress
	// Call is the call's number in its pool, by which [executor.Event] and log
	// lines name it; 0 where the executor has none.
	Call int64
}

// Progress is how far a call says that it has come; see [Report].
type Progress struct {
	// Fraction is the part that is done, from 0 to 1.
	Fraction float64
	// Text says what is being done.
	Text string
	// Time is when the host heard of it, the zero time when it never has.
	Time time.Time
}

// Attempt is one start of a call, which failed.
type Attempt struct {
	// Worker and PID are the worker's number and process id.
	Worker, PID int
	// Run is how long it ran, 0 where that is not known.
	Run time.Duration
	// Err is why it failed: a [*CrashError], [*TimeoutError], [*TaskError] or
	// [*PanicError].
	Err error
}

// Task returns the name of the task to run.
func (c *Call) Task() string { return c.spec.name }

// Codec returns the name of the codec of the argument and the result.
func (c *Call) Codec() string { return c.spec.codecName }

// Payload returns the encoded argument; for a pack, its items back to back. It
// must not be modified.
func (c *Call) Payload() []byte { return c.payload }

// Metadata returns the call's metadata, nil when there is none. It must not be
// modified.
func (c *Call) Metadata() map[string]string { return c.spec.metadata }

// Deadline returns when the call's context ends by itself, if it does.
func (c *Call) Deadline() (time.Time, bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, c.deadline), true
}

// Local reports whether the handle was made by [Define] in this program, which
// lets an error say how to make the task known.
func (c *Call) Local() bool { return c.spec.local }

// NoWait reports whether the call is to be refused with [ErrQueueFull] where it
// would have to wait for room in the queue.
func (c *Call) NoWait() bool { return c.spec.noWait }

// Timeout returns the longest that one attempt may run, 0 for no limit.
func (c *Call) Timeout() time.Duration { return c.spec.timeout }

// Priority returns the call's priority: of two that wait, the one with the higher
// runs first.
func (c *Call) Priority() int { return c.spec.priority }

// Key returns the call's key (see [Func.KeyBy]), empty for none.
func (c *Call) Key() string { return c.key }

// Kind says how the task is called.
func (c *Call) Kind() Kind { return c.spec.kind }

// Conduit returns the caller's end of the values that travel with the call, nil for
// a call of a function.
func (c *Call) Conduit() *Conduit {
	if !c.spec.kind.HasValues() {
		return nil
	}
	return c.more().conduit
}

// Dedicated reports whether the call is to run in a process of its own.
func (c *Call) Dedicated() bool { return c.spec.kind == KindSession && !c.spec.shared }

// Hold makes h the call's holder. An executor calls it before it makes the call
// visible to other goroutines.
func (c *Call) Hold(h Holder) { c.holder = h }

// Cancel gives the call up, as [Future.Cancel] does. It reports whether it had no
// outcome yet.
func (c *Call) Cancel() bool {
	if !c.Finish(nil, &cancelError{task: c.spec.name, err: context.Canceled}) {
		return false
	}
	if c.holder != nil {
		c.holder.CancelCall(c)
	}
	return true
}

// Finished reports whether the call has its outcome.
func (c *Call) Finished() bool { return c.waiters.Load() == doneMark }

// Succeeded reports whether the call has its outcome and that is no error.
func (c *Call) Succeeded() bool { return c.Finished() && c.err == nil }

// Finish gives the call its outcome: the encoded result, or an error. The first
// outcome counts; Finish reports whether this was it. It does not block and runs
// no user code. reply must not be modified afterwards. On a pack it gives the
// same outcome to every item that has none.
func (c *Call) Finish(reply []byte, err error) bool {
	if c.pack != nil {
		return c.pack.finishRest(c, reply, err)
	}
	if !c.claimed.CompareAndSwap(false, true) {
		return false
	}
	c.reply, c.err = reply, c.judge(err)
	c.publish()
	return true
}

// judge returns what an executor's error means to the caller. A task's error gets
// the sentinel that its code names in the caller's handle; the error itself is
// left alone, since an executor may hand it to several calls. Where the call's
// deadline has passed, the call has run out of time, whether the task or the
// caller's context says so first: who wins that race must not decide what the
// error matches.
func (c *Call) judge(err error) error {
	te, ok := err.(*TaskError) //nolint:errorlint // the executor hands over the bare error
	if !ok {
		return err
	}
	if c.pastDeadline() {
		return &cancelError{task: c.spec.name, err: context.DeadlineExceeded}
	}
	return c.identify(te)
}

// identify gives a task's error the sentinel that the caller's handle knows.
func (c *Call) identify(te *TaskError) error {
	sentinel := c.spec.errors[te.Code]
	if sentinel == nil && te.sentinel == nil {
		return te
	}
	identified := *te
	identified.sentinel = sentinel
	return &identified
}

func (c *Call) pastDeadline() bool {
	return c.deadline != 0 && time.Now().UnixNano() >= c.deadline
}

func (c *Call) publish() {
	if w := c.waiters.Swap(doneMark); w != nil {
		wake(w)
	}
}

// Note records where the call ran; an executor calls it before Finish. attempts
// counts its starts, wait is the time it was queued.
func (c *Call) Note(worker, pid, attempts int, wait time.Duration) {
	c.where.Store(uint64(worker)<<40 | uint64(uint8(attempts))<<32 | uint64(uint32(pid)))
	c.wait.Store(int64(wait))
}

// NoteRun records the run time of the last attempt once the work has stopped,
// before or after Finish.
func (c *Call) NoteRun(d time.Duration) { c.run.Store(int64(d)) }

func (c *Call) info() CallInfo {
	if c.Finished() {
		return c.Record(Done)
	}
	if c.holder == nil {
		return c.Record(Queued)
	}
	return c.holder.InspectCall(c)
}

// Record returns what was recorded of the call with Note, NoteRun, NoteFailed and
// NoteProgress, with the given state.
func (c *Call) Record(s State) CallInfo {
	where, more := c.where.Load(), c.more()
	return CallInfo{
		Task: c.spec.name, State: s,
		Worker: int(where >> 40), Attempts: int(uint8(where >> 32)), PID: int(uint32(where)),
		Wait: time.Duration(c.wait.Load()), Run: time.Duration(c.run.Load()),
		Failed: more.failed, Progress: more.progress, Call: c.Slot.Stamp,
	}
}

// NoteFailed records an attempt that failed and is followed by another. An
// executor calls it from one goroutine at a time.
func (c *Call) NoteFailed(a Attempt) {
	if te, ok := a.Err.(*TaskError); ok { //nolint:errorlint // the executor hands over the bare error
		a.Err = c.identify(te)
	}
	c.addExtra(func(e *extra) {
		e.failed = append(slices.Clip(e.failed), a)
		e.progress = Progress{}
	})
}

// NoteProgress records what the task has reported.
func (c *Call) NoteProgress(p Progress) {
	c.addExtra(func(e *extra) { e.progress = p })
}

// A waiter waits for a call's end. Waiters form a stack, the newest first, until
// the end swaps doneMark in.
type waiter struct {
	next *waiter
	left atomic.Bool // nobody waits here any more
	here bool        // fn is not the user's: it runs at once and does not block

	// One of these is set.
	ch    chan struct{} // closed at the end
	ended chan<- int    // gets index at the end; has room for it
	fn    func()        // runs on a goroutine of its own, unless here is set

	index int
}

// doneMark stands in Call.waiters once the call is done.
var doneMark = new(waiter)

var closedChan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// addWaiter reports false when the call is done already. It drops the waiters on
// top of the stack that were left, so that asking again and again with a short
// patience piles up nothing.
func (c *Call) addWaiter(w *waiter) bool {
	for {
		head := c.waiters.Load()
		if head == doneMark {
			return false
		}
		w.next = head
		for w.next != nil && w.next.left.Load() {
			w.next = w.next.next
		}
		if c.waiters.CompareAndSwap(head, w) {
			return true
		}
	}
}

func wake(w *waiter) {
	var callbacks []func()
	for ; w != nil; w = w.next {
		switch {
		case w.ch != nil:
			close(w.ch)
		case w.ended != nil:
			w.ended <- w.index
		case w.here:
			w.fn()
		default:
			callbacks = append(callbacks, w.fn)
		}
	}
	if callbacks != nil {
		slices.Reverse(callbacks) // into the order in which they were given
		go runCallbacks(callbacks)
	}
}

// doneChan returns the channel that all who wait for the call share. It is made
// for the first of them, and not kept in a pool: a channel that was made in a
// testing/synctest bubble must not be used outside.
func (c *Call) doneChan() <-chan struct{} {
	for w := c.waiters.Load(); w != nil && w != doneMark; w = w.next {
		if w.ch != nil {
			return w.ch
		}
	}
	w := &waiter{ch: make(chan struct{})}
	if !c.addWaiter(w) {
		return closedChan
	}
	return w.ch
}
