package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// callContext is the context of one call in a worker. Most functions never look
// at theirs, so it makes its channel and its timer only when it is asked for
// them, and callContexts come many to an allocation. A context is never used for
// a second call: the function may have kept it.
type callContext struct {
	seq      uint64
	deadline time.Time // zero for none

	mu     sync.Mutex
	done   atomic.Pointer[chan struct{}]
	err    error // nil until the end; guarded by mu
	timer  *time.Timer
	afters map[*afterFunc]struct{}
}

// afterFunc is one registration of context.AfterFunc, or of a derived context.
type afterFunc struct{ f func() }

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
	} else {
		c.watchLocked()
	}
	c.done.Store(&ch)
	return ch
}

// watchLocked starts the timer when somebody needs to be told of the deadline.
func (c *callContext) watchLocked() {
	if c.timer == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
}

// Err returns nil, or why the context has ended.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.endLocked(context.DeadlineExceeded)
	}
	return c.err
}

// Value holds nothing: metadata comes in a context around this one.
func (c *callContext) Value(any) any { return nil }

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
	c.watchLocked()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.afters[a]
		delete(c.afters, a)
		return there
	}
}

// end ends the context for the reason err, unless it has ended before.
func (c *callContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(err)
}

func (c *callContext) endLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.timer != nil {
		c.timer.Stop()
	}
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
