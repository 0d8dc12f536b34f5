package procpooltest

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/procpool/procpool"
)

// roomBytes is the size of the buffer in which a value is encoded, unless it is
// larger.
const roomBytes = 512

// A port is both ends of an attempt's values that are not the caller's: the task's,
// and the one that the caller's conduit knows.
type port struct {
	a                   *attempt
	feed                *procpool.Feed
	window, windowBytes int64 // of the input, which is that of the output
	room                []byte
	last                []byte // the input's value that the task has

	mu                  sync.Mutex
	credit, creditBytes int64
	granted             chan struct{} // there may be credit
	input               [][]byte
	ended               bool // there is no more input
	taken, takenBytes   int64
	came                chan struct{} // there may be input
}

var (
	_ procpool.Port = (*port)(nil)
	_ procpool.Far  = (*port)(nil)
)

func newPort(a *attempt) *port {
	conduit := a.r.call.Conduit()
	p := &port{a: a, granted: make(chan struct{}, 1), came: make(chan struct{}, 1)}
	p.window, p.windowBytes = conduit.Window()
	p.credit, p.creditBytes = conduit.Window()
	p.feed = conduit.Attach(p, 0)
	return p
}

// open gives the caller of a session its first credit: the task runs.
func (p *port) open() {
	if p.a.r.call.Conduit().TakesInput() {
		p.feed.Credit(p.window, p.windowBytes)
	} else {
		p.Send(nil, true)
	}
}

// Grant implements procpool.Far.
func (p *port) Grant(values, bytes int64) {
	p.mu.Lock()
	p.credit += values
	p.creditBytes += bytes
	p.mu.Unlock()
	token(p.granted)
}

// Send implements procpool.Far.
func (p *port) Send(value []byte, end bool) {
	p.mu.Lock()
	if end {
		p.ended = true
	} else {
		p.input = append(p.input, value)
	}
	p.mu.Unlock()
	token(p.came)
}

func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Room implements procpool.Port.
func (p *port) Room() []byte {
	if p.room == nil {
		p.room = make([]byte, 0, roomBytes)
	}
	return p.room
}

// Emit implements procpool.Port.
func (p *port) Emit(value []byte) error {
	spent := func() bool { return p.spend(int64(len(value))) }
	if !p.await(p.granted, spent) {
		return fmt.Errorf("procpool: task %q was given up: %w", p.a.r.call.Task(), context.Cause(p.a.ctx))
	}
	p.feed.Values([][]byte{bytes.Clone(value)})
	spoil(p.room[:min(len(value), cap(p.room))])
	return nil
}

func (p *port) spend(bytes int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.credit <= 0 || p.creditBytes <= 0 {
		return false
	}
	p.credit--
	p.creditBytes -= bytes
	return true
}

// await waits until there says so, which it is asked anew after each signal. It
// reports false when the call was given up or is over.
func (p *port) await(signal <-chan struct{}, there func() bool) bool {
	if p.a.ctx.Err() != nil {
		return false
	}
	if there() {
		return true
	}
	p.a.clock.wait()
	defer p.a.clock.resume()
	for {
		select {
		case <-signal:
		case <-p.a.ctx.Done():
			return false
		}
		if there() {
			return true
		}
	}
}

// Next implements procpool.Port.
func (p *port) Next() ([]byte, bool) {
	spoil(p.last)
	p.last = nil
	more := false
	if !p.await(p.came, func() bool { return p.take(&more) }) || !more {
		return nil, false
	}
	return p.last, true
}

// take takes the next value of the input, if there is one or there are no more, and
// makes its credit good by the half.
func (p *port) take(more *bool) bool {
	p.mu.Lock()
	if len(p.input) == 0 {
		defer p.mu.Unlock()
		return p.ended
	}
	*more = true
	p.last = bytes.Clone(p.input[0])
	p.input[0] = nil
	p.input = p.input[1:]
	p.taken++
	p.takenBytes += int64(len(p.last))
	var values, bytes int64
	if p.taken*2 >= p.window || p.takenBytes*2 >= p.windowBytes {
		values, bytes = p.taken, p.takenBytes
		p.taken, p.takenBytes = 0, 0
	}
	p.mu.Unlock()
	if values > 0 {
		p.feed.Credit(values, bytes) // not with the lock held, which the conduit takes
	}
	return true
}
