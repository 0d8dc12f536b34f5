package wire

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/lockkeep"
)

// callHost is what a running call can ask of its host. It is made when the call's
// function first asks for it.
type callHost struct {
	server *server
	lane   *lane
	call   *callContext
	key    callKey // the call's

	over atomic.Bool // the call has ended; set with mu held
	mu   sync.Mutex
	// calls are those that the call has made and that have not ended.
	calls   map[*nestedCall]struct{}
	reports reports
	kept    lockkeep.Keeper
}

// overHost stands for what calls can ask of the host when they have ended.
var overHost = func() *callHost {
	h := new(callHost)
	h.over.Store(true)
	return h
}()

// Executor takes the calls that the call makes.
func (h *callHost) Executor() procpool.Executor { return h }

// Kept returns the mutexes that the call keeps. Package shared asks for it.
func (h *callHost) Kept() *lockkeep.Keeper { return &h.kept }

// Enqueue sends the host the calls that the running call makes.
func (h *callHost) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		switch err := h.refusal(ctx, c); {
		case err != nil:
			c.Finish(nil, err)
		case c.Unanswered():
			h.tell(c)
		default:
			h.begin(ctx, c)
		}
		c = next
	}
	// What writes to the socket gets the processor now and not when the caller
	// comes to wait.
	runtime.Gosched()
}

// refusal returns why the call can't be made.
func (h *callHost) refusal(ctx context.Context, c *procpool.Call) error {
	switch {
	case h.over.Load():
		return parentEnded(c)
	case c.Kind() != procpool.KindShared && !h.server.offers.hostCall:
		return fmt.Errorf("procpool: task %q was not called: the host of this worker takes no calls from its tasks: %w", c.Task(), errors.ErrUnsupported)
	case c.Kind() == procpool.KindShared && !h.server.offers.shared:
		return fmt.Errorf("procpool: %s was not done: the host of this worker keeps no shared state: %w", c.Task(), errors.ErrUnsupported)
	case c.Actor() != nil && !h.server.offers.actor:
		return fmt.Errorf("procpool: task %q was not called: the host of this worker knows no actors: %w", c.Task(), errors.ErrUnsupported)
	case ctx.Err() != nil:
		return procpool.CancelError(ctx, c)
	}
	if size, limit := int64(len(c.Payload())), h.server.maxPayload; limit > 0 && size > limit {
		return fmt.Errorf("procpool: the argument of task %q has %d bytes, at most %d are allowed (MaxPayload): %w",
			c.Task(), size, limit, procpool.ErrTooLarge)
	}
	if size := besideArgument(c); size > messageSlack/2 {
		return fmt.Errorf("procpool: the names, the key and the metadata of a call of task %q have %d bytes, at most %d are allowed: %w",
			c.Task(), size, messageSlack/2, procpool.ErrTooLarge)
	}
	return nil
}

// besideArgument is how many bytes of text go with a call beside its argument.
func besideArgument(c *procpool.Call) int {
	size := len(c.Task()) + len(c.Codec()) + len(c.Key())
	for k, v := range c.Metadata() {
		size += len(k) + len(v) + 16
	}
	return size
}

func parentEnded(c *procpool.Call) error {
	return procpool.NestingError(c.Task(), "the call that makes it has ended")
}

// begin makes the call.
func (h *callHost) begin(ctx context.Context, c *procpool.Call) {
	n := &nestedCall{call: c, host: h, ctx: ctx}
	c.Slot.Owner = n
	c.Hold(h)
	if !h.add(n) {
		c.Finish(nil, parentEnded(c))
		return
	}
	if ctx.Done() != nil {
		n.mu.Lock()
		n.unwatch = context.AfterFunc(ctx, n.contextEnded)
		n.mu.Unlock()
	}
	n.send()
}

// tell sends an operation to which no answer comes.
func (h *callHost) tell(c *procpool.Call) {
	h.mu.Lock() // so that it is not sent behind the end of the call
	defer h.mu.Unlock()
	if h.over.Load() {
		c.Finish(nil, parentEnded(c))
		return
	}
	h.server.sendCall(h.server.nested.number(), h.key, c)
	c.Finish(nil, nil)
}

// sendCall makes a HostCall.
func (s *server) sendCall(id uint64, parent callKey, c *procpool.Call) {
	payload := c.Payload()
	head := append(make([]byte, 0, hostCallOverhead+len(c.Task())+min(len(payload), ownMemory)), tagResponseCalls, 0)
	head = appendHostCall(head, id, parent, c, time.Now())
	if len(payload) > 0 {
		head = append(head, tagHostCallInline)
		head = protowire.AppendVarint(head, uint64(len(payload)))
	}
	s.sendSide(sideElementOf(head, payload))
}

// add takes note of a call, unless it comes too late.
func (h *callHost) add(n *nestedCall) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over.Load() {
		return false
	}
	if h.calls == nil {
		h.calls = make(map[*nestedCall]struct{})
	}
	h.calls[n] = struct{}{}
	if len(h.calls) == 1 {
		h.lane.waits.enter(h.call)
	}
	return true
}

// drop forgets a call that has ended.
func (h *callHost) drop(n *nestedCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.calls[n]; !there {
		return // the running call has ended, too
	}
	delete(h.calls, n)
	if len(h.calls) == 0 {
		h.lane.waits.leave(h.call)
	}
}

// end says that the call has ended: what it has reported is sent, and what it has
// called is given up. The host does so, too, when it has the outcome.
func (h *callHost) end() {
	h.kept.End()
	h.mu.Lock()
	h.reports.flush(h)
	h.over.Store(true)
	calls := h.calls
	h.calls = nil
	h.mu.Unlock()
	if len(calls) == 0 {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the call that has made it has ended"))
	for n := range calls {
		if _, first := n.release(); first {
			n.call.Finish(nil, procpool.CancelError(ctx, n.call))
		}
	}
}

// CancelCall gives up a call that its own Cancel has finished.
func (h *callHost) CancelCall(c *procpool.Call) {
	if n, ok := c.Slot.Owner.(*nestedCall); ok {
		n.giveUp()
	}
}

// InspectCall tells what is known here: whether the call has started is not.
func (h *callHost) InspectCall(c *procpool.Call) procpool.CallInfo {
	if d := c.Conduit(); d != nil && d.Used() {
		return c.Record(procpool.Started)
	}
	return c.Record(procpool.Queued)
}

// nestedCall is a call that a running call has made and that has not ended.
type nestedCall struct {
	call *procpool.Call
	host *callHost
	ctx  context.Context //nolint:containedctx // of the call, which lasts as long as this

	// id is the number of the HostCall that is not answered, 0 for none. It is
	// written with mu held.
	id      atomic.Uint64
	mu      sync.Mutex
	over    bool
	feed    *procpool.Feed // of a stream or a session: where what comes of it goes
	unwatch func() bool
	retry   *time.Timer
}

// send makes a HostCall of the call, once for each attempt.
func (n *nestedCall) send() {
	// The lock is held while the message is on its way, so that no HostCancel gets
	// past it.
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	s := n.host.server
	id := s.nested.add(n)
	n.id.Store(id)
	if d := n.call.Conduit(); d != nil {
		n.feed = d.Attach(&nestedFar{call: n, key: streamKey{hostCall: id}}, s.maxPayload)
	}
	s.expectAnswer()
	s.sendCall(id, n.host.key, n.call)
}

// replied takes the answer to the call's HostCall.
func (n *nestedCall) replied(r *hostReply) {
	n.mu.Lock()
	n.id.Store(0)
	over := n.over
	n.mu.Unlock()
	if over {
		return
	}
	c := n.call
	attempts := int(c.Slot.Attempts)
	if r.worker > 0 {
		attempts++
	}
	c.Note(r.worker, r.pid, attempts, r.wait)
	c.NoteRun(r.took)
	if r.failure == nil {
		if a := c.Actor(); a != nil && c.Step() == procpool.StepOpen {
			a.Found(r.actor)
		}
		n.finish(r.data, nil)
		return
	}
	err := r.failure.err()
	if !c.MayRetry() || c.Finished() {
		n.finish(nil, err)
		return
	}
	go n.consider(procpool.Attempt{Worker: r.worker, PID: r.pid, Run: r.took, Err: err}) // runs the task's code
}

// consider decides whether the call is made again after an attempt that failed.
func (n *nestedCall) consider(a procpool.Attempt) {
	c := n.call
	wait, again, final := c.Retry(int(c.Slot.Failures)+1, a.Err)
	if !again {
		n.finish(nil, final)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	var crash *procpool.CrashError
	if errors.As(a.Err, &crash) && !crash.Finished {
		c.Slot.Suspect = true // also if it was alone: those who wait for it may be in its process next
	}
	c.NoteFailed(a)
	c.Slot.Attempts++
	c.Note(0, 0, int(c.Slot.Attempts), 0)
	c.Slot.Failures++
	n.retry = time.AfterFunc(wait, n.send)
}

// finish gives the call its outcome.
func (n *nestedCall) finish(reply []byte, err error) {
	n.release()
	n.call.Finish(reply, err)
}

// contextEnded gives the call up because its context has ended.
func (n *nestedCall) contextEnded() {
	id, first := n.release()
	if !first {
		return
	}
	n.call.Finish(nil, procpool.CancelError(n.ctx, n.call))
	n.cancel(id)
}

// giveUp gives the call up, which has its outcome.
func (n *nestedCall) giveUp() {
	id, _ := n.release()
	n.cancel(id)
}

// breach ends the call because the host does not keep the contract.
func (n *nestedCall) breach() {
	id, _ := n.release()
	n.call.Finish(nil, fmt.Errorf("procpool: the call of task %q was given up: more values came of it than its reader has taken", n.call.Task()))
	n.cancel(id)
}

// release lets go of all that is kept for the call. It returns the number of the
// HostCall that is not answered, 0 for none, and whether this was the first time.
func (n *nestedCall) release() (id uint64, first bool) {
	n.mu.Lock()
	if n.over {
		n.mu.Unlock()
		return 0, false
	}
	n.over = true
	id = n.id.Swap(0)
	unwatch, retry := n.unwatch, n.retry
	n.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	if retry != nil {
		retry.Stop()
	}
	if id != 0 {
		n.host.server.nested.take(id)
	}
	n.host.drop(n)
	return id, true
}

// cancel tells the host that a HostCall is given up, 0 being none.
func (n *nestedCall) cancel(id uint64) {
	if id == 0 {
		return
	}
	head := append(make([]byte, 0, 16), tagResponseCancels, 0)
	n.host.server.sendSide(sideElementOf(appendNumber(head, tagHostCancelID, id), nil))
}

// nestedFar sends what goes to a stream or a session that a task has called.
type nestedFar struct {
	call *nestedCall
	key  streamKey
}

func (f *nestedFar) ended() bool { return f.call.id.Load() != f.key.hostCall }

// Grant sends credit.
func (f *nestedFar) Grant(values, bytes int64) {
	if !f.ended() {
		f.call.host.server.sendSide(appendCredit(nil, tagResponseCredits, f.key, values, bytes), nil)
	}
}

// Send sends a value.
func (f *nestedFar) Send(value []byte, end bool) {
	s := f.call.host.server
	switch {
	case f.ended():
	case end:
		s.sendSide(appendEnd(nil, tagResponseValues, f.key), nil)
	case len(value) >= ownMemory:
		s.sendSide(appendValueHead(nil, tagResponseValues, f.key, len(value)), value)
	default:
		s.sendSide(appendValue(nil, tagResponseValues, f.key, value), nil)
	}
}

// sideElementOf ends an element that begins at the start of head, with its tag, and
// whose last bytes are payload. A large payload is not copied.
func sideElementOf(head, payload []byte) (fields, large []byte) {
	if len(payload) >= ownMemory {
		return closeLength(head, 1, len(payload)), payload
	}
	return closeLength(append(head, payload...), 1, 0), nil
}
