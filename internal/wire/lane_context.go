package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// callContext is the context of one call in a worker. Most functions never look
// at theirs, so it makes its channel only when it is asked for it, and
// callContexts come many to an allocation. A context is never used for a second
// call: the function may have kept it.
//
// It knows the call's deadline but has no timer for it: the host, which keeps the
// time, cancels the call then. With two clocks a function that heeds its context
// could answer before the host had noticed, and its caller would get that answer
// for the deadline's error.
type callContext struct {
	seq      uint64
	deadline time.Time // zero for none
	lane     *lane
	host     atomic.Pointer[callHost] // nil until it is asked for, overHost when the call has ended

	mu     sync.Mutex
	done   atomic.Pointer[chan struct{}]
	err    error // nil until the end; guarded by mu
	afters map[*afterFunc]struct{}
}

// afterFunc is one registration of context.AfterFunc, or of a derived context.
type afterFunc struct{ f func() }

// deadlineSlack is how much earlier than here the deadline may come on the host:
// by the time that the call took to get here.
const deadlineSlack = 5 * time.Millisecond

// contextSlab is how many contexts are allocated together.
const contextSlab = 32

// Deadline tells when the call's time is over.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done returns the channel that is closed when the call is given up or has ended.
func (c *callContext) Done() <-chan struct{} {
	if ch := c.done.Load(); ch != nil {
		return *ch
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doneLocked()
}

func (c *callContext) doneLocked() chan struct{} {
	if ch := c.done.Load(); ch != nil {
		return *ch
	}
	ch := make(chan struct{})
	if c.err != nil {
		close(ch)
	}
	c.done.Store(&ch)
	return ch
}

// Err returns nil, or why the context has ended.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value holds what the call can ask of its host. Metadata comes in a context around
// this one.
func (c *callContext) Value(key any) any {
	if key == procpool.HostKey() && c.lane != nil {
		return c.callHost()
	}
	return nil
}

func (c *callContext) callHost() *callHost {
	if h := c.host.Load(); h != nil {
		return h
	}
	c.host.CompareAndSwap(nil, &callHost{server: c.lane.server, lane: c.lane, call: c, key: callKey{lane: c.lane.index, seq: c.seq}})
	return c.host.Load()
}

// close says that the call has ended.
func (c *callContext) close() {
	if h := c.host.Swap(overHost); h != nil {
		h.end()
	}
	c.cancel()
}

// AfterFunc runs f in a goroutine of its own when the context ends. The context
// package calls it for contexts that are derived from this one; without it each
// of them would cost a goroutine.
func (c *callContext) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.afters == nil {
		c.afters = make(map[*afterFunc]struct{})
	}
	a := &afterFunc{f}
	c.afters[a] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.afters[a]
		delete(c.afters, a)
		return there
	}
}

// cancel ends the context because the host gave the call up.
func (c *callContext) cancel() {
	if !c.deadline.IsZero() && time.Until(c.deadline) < deadlineSlack {
		c.end(context.DeadlineExceeded)
		return
	}
	c.end(context.Canceled)
}

// end ends the context for the reason err, unless it has ended before.
func (c *callContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if ch := c.done.Load(); ch != nil {
		close(*ch)
	}
	for a := range c.afters {
		go a.f()
	}
	c.afters = nil
}

var _ interface {
	context.Context
	AfterFunc(func()) func() bool
} = (*callContext)(nil)
