//go:build unix

package plainworker

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// madeCalls are the HostCalls that are not answered.
type madeCalls struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*madeCall
}

// madeCall is a call that a task has made.
type madeCall struct {
	call   *procpool.Call
	feed   *procpool.Feed // nil for a function
	parent *running
	id     uint64
	goOn   func()
	once   sync.Once
}

func (m *madeCalls) add(c *madeCall, fault Fault) {
	c.id = m.number(fault)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = make(map[uint64]*madeCall)
	}
	m.open[c.id] = c
}

// number returns one for a HostCall.
func (m *madeCalls) number(fault Fault) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == 0 || fault != SameCall {
		m.last++
	}
	return m.last
}

func (m *madeCalls) get(id uint64) *madeCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[id]
}

func (m *madeCalls) drop(id uint64) *madeCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.open[id]
	delete(m.open, id)
	return c
}

// dropped drops a call that is given up, and reports whether it was there. The number may
// be another's by now: of SameCall all are.
func (m *madeCalls) dropped(c *madeCall) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[c.id] != c {
		return false
	}
	delete(m.open, c.id)
	return true
}

// value takes a value of a stream or a session that a task has called.
func (m *madeCalls) value(v *workerv1.StreamValue) {
	if c := m.get(v.GetHostCall()); c != nil && c.feed != nil {
		c.feed.Values([][]byte{v.GetInline()})
	}
}

// credit takes credit for what a task sends to a session that it has called.
func (m *madeCalls) credit(c *workerv1.Credit) {
	if made := m.get(c.GetHostCall()); made != nil && made.feed != nil {
		made.feed.Credit(int64(min(c.GetValues(), 1<<40)), int64(min(c.GetBytes(), 1<<40)))
	}
}

// reply takes the answer to a call.
func (m *madeCalls) reply(r *workerv1.HostReply, fault Fault) {
	c := m.drop(r.GetId())
	switch {
	case c == nil:
		return
	case r.GetFailure() != nil:
		c.finish(nil, failureError(r.GetFailure(), fault))
		return
	}
	if a := c.call.Actor(); a != nil && c.call.Step() == procpool.StepOpen && fault != LosesNumber {
		a.Found(r.GetActor())
	}
	c.finish(r.GetInline(), nil)
}

// finish gives the call its outcome, once.
func (c *madeCall) finish(reply []byte, err error) {
	c.once.Do(func() {
		c.goOn()
		c.parent.mu.Lock()
		delete(c.parent.calls, c.id)
		c.parent.mu.Unlock()
		c.call.Finish(reply, err)
	})
}

// Executor takes the calls that the task makes.
func (r *running) Executor() procpool.Executor { return r }

// Enqueue makes HostCalls of them.
func (r *running) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		r.make(ctx, c)
		c = next
	}
}

func (r *running) make(ctx context.Context, call *procpool.Call) {
	s := r.lane.server
	if !s.takes(call) && s.fault != CallsAtWill {
		call.Finish(nil, errors.New("the host takes no such calls"))
		return
	}
	if call.Unanswered() || s.fault == DoneUnheard && call.Task() == "queue.done" {
		r.tell(call)
		return
	}
	c := &madeCall{call: call, parent: r, goOn: r.lane.wait()}
	s.made.add(c, s.fault)
	message := r.message(c.id, call)
	if d := call.Conduit(); d != nil {
		values, bytes := d.Window()
		message.ResultCredit, message.ResultCreditBytes = uint64(values), uint64(bytes)
		c.feed = d.Attach(c, int64(s.hello.GetMaxPayloadBytes()))
	}
	call.Hold(r)
	call.Slot.Owner = c
	r.mu.Lock()
	over := r.over
	if r.calls == nil {
		r.calls = make(map[uint64]*madeCall)
	}
	r.calls[c.id] = c
	if !over {
		s.post(&workerv1.WorkResponse{HostCalls: s.split(message)})
	}
	r.mu.Unlock()
	if over {
		c.finish(nil, procpool.NestingError(call.Task(), "the call that makes it has ended"))
		return
	}
	context.AfterFunc(ctx, func() {
		c.giveUp()
		c.finish(nil, procpool.CancelError(ctx, call))
	})
}

// takes reports whether the host takes such a call.
func (s *server) takes(call *procpool.Call) bool {
	switch call.Kind() {
	case procpool.KindShared:
		return s.offered("shared_state")
	case procpool.KindActor:
		return s.offered("host_call") && s.offered("actor")
	}
	return s.offered("host_call")
}

// message makes the HostCall of a call.
func (r *running) message(id uint64, call *procpool.Call) *workerv1.HostCall {
	payload := call.Payload()
	if call.Kind() == procpool.KindShared {
		payload = bent(r.lane.server.fault, call.Task(), payload)
	}
	message := &workerv1.HostCall{
		Id: id, ParentSeq: r.call.seq, ParentLane: r.lane.index, Name: call.Task(), Codec: call.Codec(),
		Payload: &workerv1.HostCall_Inline{Inline: payload}, Metadata: call.Metadata(), Key: call.Key(), Kind: kinds[call.Kind()],
	}
	if deadline, ok := call.Deadline(); ok {
		message.TimeoutNanos = uint64(max(time.Until(deadline), 1))
	}
	if a := call.Actor(); a != nil {
		message.Name, message.Method, message.Actor = a.Actor(), call.Method(), a.Number()
		message.Restarts, message.Shared = uint32(a.Restarts()), a.Shared()
	}
	return message
}

// tell makes a call to which no answer comes.
func (r *running) tell(call *procpool.Call) {
	s := r.lane.server
	message := r.message(s.made.number(s.fault), call)
	message.NoReply = true
	told := &workerv1.WorkResponse{HostCalls: []*workerv1.HostCall{message}}
	r.mu.Lock()
	switch {
	case r.over:
	case s.fault == GivesBackLate:
		r.late = append(r.late, told)
	case s.fault == KeepsUnseen && bytes.Contains(call.Payload(), []byte("unseen")):
	default:
		s.post(told)
	}
	r.mu.Unlock()
	if s.fault == AwaitsSilence {
		<-r.Done()
	}
	const emptyMap = "\xa0"
	call.Finish([]byte(emptyMap), nil) // which nobody reads, but for DoneUnheard
}

// CancelCall gives a call up, which has its outcome.
func (r *running) CancelCall(call *procpool.Call) {
	if c, ok := call.Slot.Owner.(*madeCall); ok {
		c.finish(nil, nil)
		c.giveUp()
	}
}

// InspectCall knows nothing.
func (r *running) InspectCall(call *procpool.Call) procpool.CallInfo {
	return call.Record(procpool.Queued)
}

// giveUp tells the host that a call is given up, if it has not been answered.
func (c *madeCall) giveUp() {
	if s := c.parent.lane.server; s.made.dropped(c) && s.fault != GivesUpSilently {
		s.post(&workerv1.WorkResponse{HostCancels: []*workerv1.HostCancel{{Id: c.id}}})
	}
}

// Grant gives credit for the values of a stream that a task has called.
func (c *madeCall) Grant(values, bytes int64) {
	if s := c.parent.lane.server; s.made.get(c.id) == c {
		s.post(&workerv1.WorkResponse{Credits: []*workerv1.Credit{{HostCall: c.id, Values: uint64(values), Bytes: uint64(bytes)}}})
	}
}

// Send sends a value to a session that a task has called.
func (c *madeCall) Send(value []byte, end bool) {
	s := c.parent.lane.server
	if s.made.get(c.id) != c {
		return
	}
	message := &workerv1.StreamValue{HostCall: c.id, End: end}
	if !end {
		message.Payload = &workerv1.StreamValue_Inline{Inline: value}
	}
	s.post(&workerv1.WorkResponse{Values: []*workerv1.StreamValue{message}})
}
