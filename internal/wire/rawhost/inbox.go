package rawhost

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// inbox is what has come from the worker, for those who wait for it.
type inbox struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	ledger  ledger

	violation error // what the worker has done that it must not do
	ended     error // how a stream has ended

	outcomes map[callKey]*workerv1.Outcome
	values   map[callKey][]*workerv1.StreamValue // those that nobody has taken yet
	credit   map[callKey]Credit                  // what the worker has given, in all

	hostCalls   []*workerv1.HostCall // those that nobody has taken yet
	hostCancels map[uint64]bool
	hostValues  map[uint64][]*workerv1.StreamValue
	hostCredit  map[uint64]Credit
	pongs       []*workerv1.Pong
	progress    []*workerv1.Progress
	logs        []*workerv1.Log
	saidBy      map[callKey]said
}

// Credit counts values and bytes.
type Credit struct{ Values, Bytes int64 }

func (b *inbox) begin(r *workerv1.HelloRequest, hello *workerv1.HelloResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.begin(r, hello)
	b.changed = make(chan struct{})
	b.outcomes, b.values = make(map[callKey]*workerv1.Outcome), make(map[callKey][]*workerv1.StreamValue)
	b.credit, b.hostCredit = make(map[callKey]Credit), make(map[uint64]Credit)
	b.saidBy = make(map[callKey]said)
	b.hostCancels, b.hostValues = make(map[uint64]bool), make(map[uint64][]*workerv1.StreamValue)
}

// changeLocked wakes all who wait.
func (b *inbox) changeLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// take enters a WorkResponse, in the order in which a host handles what is in it.
func (b *inbox) take(r *workerv1.WorkResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.changeLocked()
	if err := b.ledger.check(r); err != nil && b.violation == nil {
		b.violation = fmt.Errorf("the worker broke the contract: %w", err)
	}
	b.progress, b.logs = append(b.progress, r.GetProgress()...), append(b.logs, r.GetLogs()...)
	b.hostCalls = append(b.hostCalls, r.GetHostCalls()...)
	for _, c := range r.GetHostCancels() {
		b.hostCancels[c.GetId()] = true
	}
	for _, v := range r.GetValues() {
		if id := v.GetHostCall(); id != 0 {
			b.hostValues[id] = append(b.hostValues[id], v)
			continue
		}
		key := callKey{v.GetLane(), v.GetSeq()}
		b.values[key] = append(b.values[key], v)
	}
	for _, c := range r.GetCredits() {
		if id := c.GetHostCall(); id != 0 {
			b.hostCredit[id] = b.hostCredit[id].plus(c)
			continue
		}
		key := callKey{c.GetLane(), c.GetSeq()}
		b.credit[key] = b.credit[key].plus(c)
	}
	for _, o := range r.GetOutcomes() {
		key := callKey{o.GetLane(), o.GetSeq()}
		b.outcomes[key], b.saidBy[key] = o, said{len(b.progress), len(b.logs)}
	}
}

// said counts what had come when an outcome did.
type said struct{ progress, logs int }

func (c Credit) plus(more *workerv1.Credit) Credit {
	return Credit{c.Values + credit(more.GetValues()), c.Bytes + credit(more.GetBytes())}
}

// takeControl enters a ControlResponse. What is not known is passed over.
func (b *inbox) takeControl(r *workerv1.ControlResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.changeLocked()
	if pong := r.GetPong(); pong != nil {
		b.pongs = append(b.pongs, pong)
	}
}

// end notes that a stream has ended.
func (b *inbox) end(stream string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.changeLocked()
	if b.ended == nil {
		b.ended = fmt.Errorf("the stream %s has ended (%w)", stream, err)
	}
}

// sent, told and fenced enter what the host does, before it does it.
func (b *inbox) sent(r *workerv1.WorkRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.sent(r)
}

func (b *inbox) told(r *workerv1.ControlRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := r.GetCancel(); c != nil {
		b.ledger.given[callKey{c.GetLane(), c.GetSeq()}] = true
	}
}

func (b *inbox) fenced(lane uint32, k uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.ledger.of(lane)
	l.lowestFence = min(l.lowestFence, k)
}

// deathTime is how long a worker whose connection has ended may take to be dead,
// before errors say that it lives.
const deathTime = 2 * time.Second

// await waits until ready, which looks at the inbox, is true. The error says what was
// waited for, and what came instead.
func (h *Host) await(ctx context.Context, what string, ready func(b *inbox) bool) error {
	b := &h.inbox
	for {
		b.mu.Lock()
		is, violation, ended, changed := ready(b), b.violation, b.ended, b.changed
		b.mu.Unlock()
		switch {
		case violation != nil:
			return violation
		case is:
			return nil
		case ended != nil:
			dead, cancel := context.WithTimeout(ctx, deathTime)
			_, _ = h.AwaitEnd(dead) // End says it
			cancel()
			return fmt.Errorf("%s did not come: %w; %s", what, ended, h.End())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s did not come in time (%w); %s", what, context.Cause(ctx), h.End())
		}
	}
}

// Violation returns what the worker has done that no worker may do, nil for nothing.
func (h *Host) Violation() error {
	h.inbox.mu.Lock()
	defer h.inbox.mu.Unlock()
	return h.inbox.violation
}

// Outcome waits for the outcome of a call.
func (h *Host) Outcome(ctx context.Context, lane uint32, seq uint64) (o *workerv1.Outcome, err error) {
	err = h.await(ctx, fmt.Sprintf("the outcome of call %d on lane %d", seq, lane), func(b *inbox) bool {
		o = b.outcomes[callKey{lane, seq}]
		return o != nil
	})
	return o, err
}

// Answered reports whether a call has its outcome.
func (h *Host) Answered(lane uint32, seq uint64) bool {
	h.inbox.mu.Lock()
	defer h.inbox.mu.Unlock()
	return h.inbox.outcomes[callKey{lane, seq}] != nil
}

// Value takes the next value of a stream or a session; more is false when there are
// none left and the call has its outcome.
func (h *Host) Value(ctx context.Context, lane uint32, seq uint64) (value []byte, more bool, err error) {
	key := callKey{lane, seq}
	err = h.await(ctx, fmt.Sprintf("the next value of call %d on lane %d", seq, lane), func(b *inbox) bool {
		if left := b.values[key]; len(left) > 0 {
			value, more, b.values[key] = left[0].GetInline(), true, left[1:]
		}
		return more || b.outcomes[key] != nil
	})
	return value, more && err == nil, err
}

// Waiting returns how many values of a call have come and were not taken.
func (h *Host) Waiting(lane uint32, seq uint64) int {
	h.inbox.mu.Lock()
	defer h.inbox.mu.Unlock()
	return len(h.inbox.values[callKey{lane, seq}])
}

// Given waits until the worker has given a session credit in all that enough likes.
func (h *Host) Given(ctx context.Context, lane uint32, seq uint64, enough func(Credit) bool) (given Credit, err error) {
	err = h.await(ctx, fmt.Sprintf("credit for values to call %d on lane %d", seq, lane), func(b *inbox) bool {
		given = b.credit[callKey{lane, seq}]
		return enough(given)
	})
	return given, err
}

// Pong takes the next Pong.
func (h *Host) Pong(ctx context.Context) (pong *workerv1.Pong, err error) {
	err = h.await(ctx, "a Pong", func(b *inbox) bool {
		if len(b.pongs) == 0 {
			return false
		}
		pong, b.pongs = b.pongs[0], b.pongs[1:]
		return true
	})
	return pong, err
}

// HostCall takes the next call that the worker makes.
func (h *Host) HostCall(ctx context.Context) (call *workerv1.HostCall, err error) {
	err = h.await(ctx, "a HostCall", func(b *inbox) bool {
		if len(b.hostCalls) == 0 {
			return false
		}
		call, b.hostCalls = b.hostCalls[0], b.hostCalls[1:]
		return true
	})
	return call, err
}

// HostCancel waits until the worker gives a call up that it has made.
func (h *Host) HostCancel(ctx context.Context, id uint64) error {
	return h.await(ctx, fmt.Sprintf("the HostCancel of HostCall %d", id), func(b *inbox) bool { return b.hostCancels[id] })
}

// HostValue takes the next value for a session that the worker has opened; more is
// false for the end.
func (h *Host) HostValue(ctx context.Context, id uint64) (value []byte, more bool, err error) {
	err = h.await(ctx, fmt.Sprintf("the next value of HostCall %d", id), func(b *inbox) bool {
		left := b.hostValues[id]
		if len(left) == 0 {
			return false
		}
		value, more, b.hostValues[id] = left[0].GetInline(), !left[0].GetEnd(), left[1:]
		return true
	})
	return value, more, err
}

// HostGiven waits until the worker has given a call that it has made credit in all that
// enough likes.
func (h *Host) HostGiven(ctx context.Context, id uint64, enough func(Credit) bool) (given Credit, err error) {
	err = h.await(ctx, fmt.Sprintf("credit for the values of HostCall %d", id), func(b *inbox) bool {
		given = b.hostCredit[id]
		return enough(given)
	})
	return given, err
}

// Said returns all Progress and all Logs that had come before the outcome of a call,
// none if that has not come.
func (h *Host) Said(lane uint32, seq uint64) ([]*workerv1.Progress, []*workerv1.Log) {
	h.inbox.mu.Lock()
	defer h.inbox.mu.Unlock()
	n := h.inbox.saidBy[callKey{lane, seq}]
	return slices.Clone(h.inbox.progress[:n.progress]), slices.Clone(h.inbox.logs[:n.logs])
}

// Outcomes returns all outcomes of a lane that have come.
func (h *Host) Outcomes(lane uint32) map[uint64]*workerv1.Outcome {
	h.inbox.mu.Lock()
	defer h.inbox.mu.Unlock()
	all := make(map[uint64]*workerv1.Outcome)
	for key, o := range h.inbox.outcomes {
		if key.lane == lane {
			all[key.seq] = o
		}
	}
	return all
}

// AwaitSilence waits until the stream Work has ended, by when all that the kernel had
// from the worker has been read.
func (h *Host) AwaitSilence(ctx context.Context) error {
	select {
	case <-h.workRead:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the stream Work goes on (%w); %s", context.Cause(ctx), h.End())
	}
}
