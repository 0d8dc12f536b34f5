//go:build unix

package plainworker

import (
	"context"
	"fmt"
	"sync"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// port is a task's end of the values of a stream or a session. It is a procpool.Port.
type port struct {
	lane *lane
	seq  uint64
	ctx  context.Context //nolint:containedctx // of the call, which lasts as long as this

	mu      sync.Mutex
	changed chan struct{} // closed at the next change

	values, bytes int64  // the credit that is left
	kept          []byte // of KeepsFirst

	ownValues, ownBytes int64 // the credit that the host has left

	input [][]byte // what has come and was not taken
	ended bool     // there is no more
}

// The credit with which a session begins.
const (
	firstValues = 64
	firstBytes  = 1 << 20
)

func newPort(l *lane, c call, r *running) *port {
	return &port{
		lane: l, seq: c.seq, ctx: r, changed: make(chan struct{}),
		values: int64(c.task.GetResultCredit()), bytes: int64(c.task.GetResultCreditBytes()),
	}
}

func (p *port) changeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// grant adds to the credit.
func (p *port) grant(values, bytes uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values, p.bytes = p.values+int64(min(values, 1<<40)), p.bytes+int64(min(bytes, 1<<40))
	p.changeLocked()
}

// receive takes a value that has come. It reports false if there was no credit for it.
func (p *port) receive(v *workerv1.StreamValue) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case v.GetEnd():
		p.ended = p.lane.server.fault != NoEnd
	case p.ownValues <= 0 || p.ownBytes <= 0:
		return p.lane.server.fault == TakesAll
	default:
		p.ownValues, p.ownBytes = p.ownValues-1, p.ownBytes-int64(len(v.GetInline()))
		p.input = append(p.input, v.GetInline())
	}
	p.changeLocked()
	return true
}

// await waits until something holds; false says that the call was given up. The caller
// holds mu.
func (p *port) awaitLocked(holds func() bool) bool {
	if holds() {
		return true
	}
	goOn := p.lane.wait()
	defer goOn()
	for !holds() {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-p.ctx.Done():
			p.mu.Lock()
			return false
		}
	}
	return true
}

// Room returns nothing: a value is allocated.
func (p *port) Room() []byte { return nil }

// Emit sends a value.
func (p *port) Emit(value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault := p.lane.server.fault
	if limit := p.lane.server.hello.GetMaxPayloadBytes(); limit > 0 && uint64(len(value)) > limit && fault != NoLimit {
		return fmt.Errorf("the value has %d bytes: %w", len(value), procpool.ErrTooLarge)
	}
	room := func() bool { return p.values > 0 && (p.bytes > 0 || fault == NoBytes) || fault == NoCredit }
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if !p.awaitLocked(room) {
		return p.ctx.Err()
	}
	p.values, p.bytes = p.values-1, p.bytes-int64(len(value))
	if fault == KeepsFirst {
		value, p.kept = p.kept, value
		if value == nil {
			return nil
		}
	}
	p.lane.server.post(&workerv1.WorkResponse{Values: []*workerv1.StreamValue{p.message(value)}})
	return nil
}

func (p *port) message(value []byte) *workerv1.StreamValue {
	return &workerv1.StreamValue{Seq: p.seq, Lane: p.lane.index, Payload: &workerv1.StreamValue_Inline{Inline: value}}
}

// close sends what was kept.
func (p *port) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept != nil {
		p.lane.server.post(&workerv1.WorkResponse{Values: []*workerv1.StreamValue{p.message(p.kept)}})
	}
}

// welcome gives the first credit for a session's values.
func (p *port) welcome() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveLocked(firstValues, firstBytes)
}

func (p *port) giveLocked(values, bytes uint64) {
	p.ownValues, p.ownBytes = p.ownValues+int64(values), p.ownBytes+int64(bytes)
	p.lane.server.post(&workerv1.WorkResponse{Credits: []*workerv1.Credit{{Seq: p.seq, Lane: p.lane.index, Values: values, Bytes: bytes}}})
}

// Next returns the next value that has come.
func (p *port) Next() ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || !p.awaitLocked(func() bool { return len(p.input) > 0 || p.ended }) || len(p.input) == 0 {
		return nil, false
	}
	value := p.input[0]
	p.input = p.input[1:]
	if p.lane.server.fault != NoMore {
		p.giveLocked(1, uint64(len(value)))
	}
	return value, true
}
