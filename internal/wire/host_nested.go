package wire

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/procpool/procpool"
)

const (
	// maxRelayed bounds how many calls of a worker's tasks may be outstanding.
	// Executors have a lower bound, beyond which they refuse; a worker that goes on
	// all the same is killed.
	maxRelayed = 1 << 16
	// maxRelayedBytes bounds what these take, beyond which they are refused. One is
	// always taken, of whatever size.
	maxRelayedBytes = 1 << 30
)

// relayedCall is a call that a task of the worker has made, and that has no outcome
// yet.
type relayedCall struct {
	worker *Worker
	id     uint64 // of the HostCall
	task   string
	parent callKey
	size   int64
	call   *procpool.Call
	// far is how values and credit get to the task that made the call, nil for a
	// function.
	far  *far
	over atomic.Bool
	// silent is set where nobody waits for the outcome.
	silent bool
	ended  bool // the task sends no more values; the receiver's
	// What the task may send to the session that it has called.
	credit, creditBytes atomic.Int64

	next, prev *relayedCall // of the same parent; guarded by relays.mu
}

// relays are the calls of the worker's tasks that have no outcome yet.
type relays struct {
	n  atomic.Int64 // how many there are
	mu sync.Mutex
	// calls has them by number, and children the first of each parent.
	calls    map[uint64]*relayedCall
	children map[callKey]*relayedCall
	bytes    int64
	closed   bool // no more are taken
}

var (
	errRelayedTwice = errors.New("a task of the worker makes two calls of the same number")
	errRelayedMany  = fmt.Errorf("tasks of the worker make more than %d calls at once", maxRelayed)
	errNoRoom       = fmt.Errorf("the arguments of the calls that tasks of this worker have made and that have not ended are beyond %d bytes", maxRelayedBytes)
	errWorkerEnds   = errors.New("the worker of the task that calls it has ended")
)

// add takes a call in. errNoRoom and errWorkerEnds are for the task that makes it,
// others say what the worker does wrong.
func (t *relays) add(r *relayedCall) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return errWorkerEnds
	case t.calls[r.id] != nil:
		return errRelayedTwice
	case len(t.calls) >= maxRelayed:
		return errRelayedMany
	case len(t.calls) > 0 && t.bytes+r.size > maxRelayedBytes:
		return errNoRoom
	case t.calls == nil:
		t.calls, t.children = make(map[uint64]*relayedCall), make(map[callKey]*relayedCall)
	}
	t.calls[r.id] = r
	if r.next = t.children[r.parent]; r.next != nil {
		r.next.prev = r
	}
	t.children[r.parent] = r
	t.bytes += r.size
	t.n.Add(1)
	return nil
}

func (t *relays) drop(r *relayedCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls[r.id] != r {
		return
	}
	delete(t.calls, r.id)
	if r.next != nil {
		r.next.prev = r.prev
	}
	switch {
	case r.prev != nil:
		r.prev.next = r.next
	case r.next != nil:
		t.children[r.parent] = r.next
	default:
		delete(t.children, r.parent)
	}
	t.bytes -= r.size
	t.n.Add(-1)
}

func (t *relays) get(id uint64) *relayedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[id]
}

// of returns the calls that the call has made.
func (t *relays) of(parent callKey) (calls []*relayedCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := t.children[parent]; r != nil; r = r.next {
		calls = append(calls, r)
	}
	return calls
}

// close returns all calls. No more are taken.
func (t *relays) close() (calls []*relayedCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.calls {
		calls = append(calls, r)
	}
	return calls
}

// takeHostCall takes in a call that a task of the worker makes. The error says what
// the worker does wrong.
func (w *Worker) takeHostCall(body []byte) error {
	var h hostCall
	if err := h.parse(body); err != nil {
		return fmt.Errorf("a call that a task of the worker makes can't be read: %w", err)
	}
	r := &relayedCall{worker: w, id: h.id, task: h.relay.Task, parent: h.parent, size: h.size(), silent: h.silent}
	if err := w.refusal(&h); err != nil {
		r.reply(procpool.CallInfo{}, nil, err)
		return nil
	}
	h.relay.Done = r.done
	if h.timeout > 0 {
		h.relay.Deadline = time.Now().Add(h.timeout)
	}
	if h.relay.Kind.HasValues() {
		r.far = w.box.far(streamKey{hostCall: h.id}, r.pass)
		h.relay.Window, h.relay.WindowBytes = r.far.begin(h.relay.Window, h.relay.WindowBytes)
		h.relay.Sink = relaySink{r}
	}
	r.call = h.relay.NewCall()
	switch err := w.relays.add(r); {
	case errors.Is(err, errNoRoom), errors.Is(err, errWorkerEnds):
		r.call.Finish(nil, procpool.NestingError(r.task, err.Error()))
	case err != nil:
		return err
	default:
		w.relayTo(h.relay.Kind)(h.parent.lane, h.parent.seq, r.call)
	}
	if h.relay.Kind == procpool.KindShared && r.call.Finished() {
		w.SetHot(true) // the task goes on, and its next operation may come within microseconds
	}
	return nil
}

// relayTo returns who takes calls of a kind that tasks make, nil for nobody.
func (w *Worker) relayTo(k procpool.Kind) func(lane uint32, seq uint64, call *procpool.Call) {
	if k == procpool.KindShared {
		return w.o.OnShared
	}
	return w.o.OnNested
}

// refusal returns why a call is not made.
func (w *Worker) refusal(h *hostCall) error {
	name := h.relay.Task
	switch {
	case w.relayTo(h.relay.Kind) == nil:
		return fmt.Errorf("procpool: task %q was not called: this executor takes no calls from its tasks: %w", name, errors.ErrUnsupported)
	case name == "":
		return fmt.Errorf("%w: the call names none", procpool.ErrUnknownTask)
	case int64(len(h.relay.Payload)) > w.o.MaxPayload:
		return fmt.Errorf("procpool: the argument of task %q has %d bytes, at most %d are allowed (MaxPayload): %w",
			name, len(h.relay.Payload), w.o.MaxPayload, procpool.ErrTooLarge)
	case !w.outstanding(h.parent):
		return procpool.NestingError(name, "the call that makes it has ended, or is none of this worker's")
	}
	return nil
}

// outstanding reports whether the worker has been sent a call and has not answered it.
// It is the receiver's.
func (w *Worker) outstanding(k callKey) bool {
	return uint64(k.lane) < uint64(len(w.answered)) && k.seq > w.answered[k.lane] && k.seq <= w.sent[k.lane].Load()
}

// done tells the task that made the call how it has ended.
func (r *relayedCall) done(c *procpool.Call, data []byte, err error) {
	r.over.Store(true)
	r.worker.relays.drop(r)
	r.reply(c.Record(procpool.Done), data, err)
}

// reply posts the answer to the HostCall.
func (r *relayedCall) reply(info procpool.CallInfo, data []byte, err error) {
	if r.silent {
		return
	}
	reply := hostReply{id: r.id, actor: r.made(), worker: info.Worker, pid: info.PID, wait: info.Wait, took: info.Run}
	if err != nil {
		f := hostFailureOf(r.task, err)
		reply.failure, data = &f, nil
	}
	field := append(make([]byte, 0, hostReplyOverhead), tagRequestReplies, 0)
	field = reply.append(field)
	if len(data) > 0 {
		field = append(field, tagHostReplyInline)
		field = protowire.AppendVarint(field, uint64(len(data)))
	}
	r.worker.box.reply(sideElementOf(field, data))
}

// made returns the number of the actor that the call has made, 0 if it was to make none.
func (r *relayedCall) made() uint64 {
	if r.call == nil || r.call.Actor() == nil || r.call.Step() != procpool.StepOpen {
		return 0
	}
	return r.call.Actor().Number()
}

// pass gives the call credit that the task which made it has given.
func (r *relayedCall) pass(values, bytes int64) { r.call.Conduit().Grant(values, bytes) }

// begin returns how much of the credit with which a stream of values begins the box
// has room for. The rest counts as given later.
func (f *far) begin(values, bytes int64) (nowValues, nowBytes int64) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	f.surplus, f.surplusB = values, bytes
	return f.passLocked()
}

// relaySink passes what comes of a relayed call on to the task that made it.
type relaySink struct{ *relayedCall }

// Values passes on values.
func (s relaySink) Values(values [][]byte) {
	for _, v := range values {
		if !s.over.Load() {
			s.far.Send(v, false)
		}
	}
}

// Credit passes on credit.
func (s relaySink) Credit(values, bytes int64) {
	if s.over.Load() {
		return
	}
	s.credit.Add(values)
	s.creditBytes.Add(bytes)
	s.far.Grant(values, bytes)
}

// takeHostCancel gives up a call that a task has made.
func (w *Worker) takeHostCancel(body []byte) error {
	id, err := parseHostCancel(body)
	if err != nil {
		return fmt.Errorf("a task's HostCancel can't be read: %w", err)
	}
	if r := w.relays.get(id); r != nil {
		r.call.Cancel()
	}
	return nil
}

// takeRelayedValue passes a value of a task's on to the session that it has called.
func (w *Worker) takeRelayedValue(v *streamValue) error {
	r := w.relays.get(v.hostCall)
	switch {
	case w.o.OnNested == nil:
		return errors.New("the worker sends values to a call of a task's, and there are none")
	case r == nil:
		return nil // it has ended
	case r.call.Kind() != procpool.KindSession:
		return fmt.Errorf("a task of the worker sends values to task %q, which takes none", r.task)
	case r.ended:
		return fmt.Errorf("a task of the worker sends values to task %q behind their end", r.task)
	case v.end:
		r.ended = true
		r.call.Conduit().PushRelayed(nil, true)
		return nil
	case r.credit.Load() <= 0 || r.creditBytes.Load() <= 0:
		return fmt.Errorf("a task of the worker sends values to task %q for which it has no credit", r.task)
	case int64(len(v.data)) > w.o.MaxPayload:
		return fmt.Errorf("a task of the worker sends task %q a value of %d bytes, more than MaxPayload", r.task, len(v.data))
	}
	r.credit.Add(-1)
	r.creditBytes.Add(-int64(len(v.data)))
	r.call.Conduit().PushRelayed(v.data, false)
	return nil
}

// takeRelayedCredit takes credit for what comes of a call that a task has made.
func (w *Worker) takeRelayedCredit(c credit) {
	if r := w.relays.get(c.hostCall); r != nil && r.far != nil {
		r.far.gave(c.values, c.bytes)
	}
}

// endRelayed gives up what calls have made that have ended.
func (w *Worker) endRelayed(ended []Reply) {
	if w.relays.n.Load() == 0 {
		return
	}
	for i := range ended {
		for _, r := range w.relays.of(callKey{lane: ended[i].Lane, seq: ended[i].Seq}) {
			r.call.Cancel()
		}
	}
}

// closeRelayed gives up all that the worker's tasks have called.
func (w *Worker) closeRelayed() {
	for _, r := range w.relays.close() {
		r.call.Cancel()
	}
}
