package sched

import (
	"context"

	"github.com/procpool/procpool"
)

// watches are the contexts whose end ends calls. Each distinct Done channel is
// watched once, with its calls linked to it: a watch for each call would cost
// more than the call.
type watches struct {
	byDone map[<-chan struct{}]*watch
	// last is kept although it has no calls left, for the caller that makes
	// one call after the other.
	last *watch
}

type watch struct {
	ctx  context.Context //nolint:containedctx // this is what is watched
	head *procpool.Call
	n    int
	stop func() bool
}

func (s *Scheduler) watchLocked(ctx context.Context, c *procpool.Call) {
	done := ctx.Done()
	w := s.watches.last
	if w == nil || w.ctx.Done() != done {
		old := w
		if w = s.watches.byDone[done]; w == nil {
			w = &watch{ctx: ctx}
			w.stop = context.AfterFunc(ctx, func() { s.contextEnded(w) })
			s.watches.byDone[done] = w
		}
		s.watches.last = w
		if old != nil && old.n == 0 {
			s.dropWatchLocked(old)
		}
	}
	w.link(c)
}

func (w *watch) link(c *procpool.Call) {
	c.Slot.Watch = w
	c.Slot.WatchPrev, c.Slot.WatchNext = nil, w.head
	if w.head != nil {
		w.head.Slot.WatchPrev = c
	}
	w.head = c
	w.n++
}

func (w *watch) unlink(c *procpool.Call) {
	prev, next := c.Slot.WatchPrev, c.Slot.WatchNext
	if prev == nil {
		w.head = next
	} else {
		prev.Slot.WatchNext = next
	}
	if next != nil {
		next.Slot.WatchPrev = prev
	}
	c.Slot.Watch, c.Slot.WatchPrev, c.Slot.WatchNext = nil, nil, nil
	w.n--
}

func (s *Scheduler) unwatchLocked(c *procpool.Call) {
	w, ok := c.Slot.Watch.(*watch)
	if !ok {
		return
	}
	w.unlink(c)
	if w.n == 0 && w != s.watches.last {
		s.dropWatchLocked(w)
	}
}

func (s *Scheduler) dropWatchLocked(w *watch) {
	w.stop()
	if s.watches.byDone[w.ctx.Done()] == w {
		delete(s.watches.byDone, w.ctx.Done())
	}
}

// contextEnded ends the calls of a context.
func (s *Scheduler) contextEnded(w *watch) {
	s.mu.Lock()
	delete(s.watches.byDone, w.ctx.Done())
	if s.watches.last == w {
		s.watches.last = nil
	}
	calls := make([]*procpool.Call, 0, w.n)
	for w.head != nil {
		calls = append(calls, w.head)
		w.unlink(w.head)
	}
	s.mu.Unlock()
	// Linked newest first; the oldest is resolved first.
	for i := len(calls) - 1; i >= 0; i-- {
		c := calls[i]
		if c.Finish(nil, procpool.CancelError(w.ctx, c)) {
			s.CancelCall(c)
		}
	}
}
