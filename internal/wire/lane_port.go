package wire

import (
	"fmt"
	"sync/atomic"

	"github.com/procpool/procpool"
)

// port is the task's end of the values of one call that runs on a lane. It is a
// procpool.Port. The function may have kept it when it returned, so it refuses then
// and is never used for a second call.
type port struct {
	lane *lane
	call *callContext
	name string // the task's

	// What may be sent. Emit takes from it, the reader of the stream adds to it.
	credit, creditBytes atomic.Int64
	room                chan struct{} // of capacity 1; gets a token when there is more

	out *valueBuffer
	in  *valueQueue
}

var _ procpool.Port = (*port)(nil)

func newPort(l *lane, call *callContext, name string, begin taskStream) *port {
	key := streamKey{seq: call.seq, lane: l.index}
	p := &port{lane: l, call: call, name: name, room: make(chan struct{}, 1), out: newValueBuffer(l.server, key), in: newValueQueue(key)}
	p.credit.Store(begin.credit)
	p.creditBytes.Store(begin.creditBytes)
	if begin.input {
		p.in.left, p.in.leftBytes = inputWindow, inputWindowBytes
	}
	return p
}

// openInput gives the host the first credit for input. The lane knows the port by now:
// the first value may come at once.
func (p *port) openInput() {
	p.lane.server.sendSide(appendCredit(nil, tagResponseCredits, p.in.key, inputWindow, inputWindowBytes), nil)
}

// Room returns where to append the next value's encoding.
func (p *port) Room() []byte { return p.out.room() }

// Emit sends a value. It blocks while there is no credit.
func (p *port) Emit(value []byte) error {
	if limit := p.lane.server.maxPayload; limit > 0 && int64(len(value)) > limit {
		return fmt.Errorf("a value of task %q has %d bytes, and the host takes at most %d (MaxPayload): %w",
			p.name, len(value), limit, procpool.ErrTooLarge)
	}
	if p.credit.Load() <= 0 || p.creditBytes.Load() <= 0 {
		p.awaitCredit()
	}
	if err := p.call.Err(); err != nil {
		return fmt.Errorf("a value of task %q was not sent, since its call was given up or has ended: %w", p.name, err)
	}
	p.credit.Add(-1)
	p.creditBytes.Add(-int64(len(value)))
	p.out.add(value)
	return nil
}

// awaitCredit blocks until there is credit or the call was given up.
func (p *port) awaitCredit() {
	p.out.push()
	p.lane.waits.enter(p.call)
	defer p.lane.waits.leave(p.call)
	for p.credit.Load() <= 0 || p.creditBytes.Load() <= 0 {
		select {
		case <-p.room:
		case <-p.call.Done():
			return
		}
	}
}

// addCredit takes credit that the host has given. It does not block.
func (p *port) addCredit(values, bytes int64) {
	p.credit.Add(values)
	p.creditBytes.Add(bytes)
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// Next returns the next value of the input. It blocks until there is one.
func (p *port) Next() ([]byte, bool) {
	for p.call.Err() == nil {
		value, ok, ended := p.in.next()
		if ok {
			if values, bytes := p.in.grant(len(value)); values > 0 {
				p.lane.server.sendSide(appendCredit(nil, tagResponseCredits, p.in.key, values, bytes), nil)
			}
			return value, true
		}
		if ended {
			return nil, false
		}
		p.awaitInput()
	}
	return nil, false
}

// awaitInput blocks until there may be more, or the call was given up.
func (p *port) awaitInput() {
	p.out.push()
	p.lane.server.expectAnswer() // the host's next value may be a reaction to ours
	p.lane.waits.enter(p.call)
	defer p.lane.waits.leave(p.call)
	select {
	case <-p.in.ready:
	case <-p.call.Done():
	}
}

// end is called when the function has returned: it sends what was not sent yet, and
// waits until all values are with the kernel, so that the host has them all if it gets
// to know that the call has finished.
func (p *port) end() { p.out.close() }
