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
	ctx        context.Context //nolint:containedctx // this is what is watched
	done       <-chan struct{}
	head, tail *procpool.Call // the newest first
	stop       func() bool
}

func (s *Scheduler) watchLocked(ctx context.Context, c *procpool.Call) {
	done := ctx.Done()
	w := s.watches.last
	if w == nil || w.done != done {
		old := w
		if w = s.watches.byDone[done]; w == nil {
			w = s.newWatchLocked(ctx, done)
		}
		s.watches.last = w
		if old != nil && old.head == nil {
			s.dropWatchLocked(old)
		}
	}
	w.link(c)
}

func (s *Scheduler) newWatchLocked(ctx context.Context, done <-chan struct{}) *watch {
	w := &watch{ctx: ctx, done: done}
	w.stop = context.AfterFunc(ctx, func() { s.contextEnded(w) })
	s.watches.byDone[done] = w
	return w
}

func (w *watch) link(c *procpool.Call) {
	c.Slot.Watch = w
	c.Slot.WatchPrev, c.Slot.WatchNext = nil, w.head
	if w.head == nil {
		w.tail = c
	} else {
		w.head.Slot.WatchPrev = c
	}
	w.head = c
}

func (w *watch) unlink(c *procpool.Call) {
	prev, next := c.Slot.WatchPrev, c.Slot.WatchNext
	if prev == nil {
		w.head = next
	} else {
		prev.Slot.WatchNext = next
	}
	if next == nil {
		w.tail = prev
	} else {
		next.Slot.WatchPrev = prev
	}
	c.Slot.Watch, c.Slot.WatchPrev, c.Slot.WatchNext = nil, nil, nil
}

func (s *Scheduler) unwatchLocked(c *procpool.Call) {
	w, ok := c.Slot.Watch.(*watch)
	if !ok {
		return
	}
	w.unlink(c)
	if w.head == nil && w != s.watches.last {
		s.dropWatchLocked(w)
	}
}

func (s *Scheduler) dropWatchLocked(w *watch) {
	w.stop()
	s.forgetWatchLocked(w)
}

func (s *Scheduler) forgetWatchLocked(w *watch) {
	if s.watches.byDone[w.done] == w {
		delete(s.watches.byDone, w.done)
	}
	if s.watches.last == w {
		s.watches.last = nil
	}
}

// contextEnded ends the calls of a context, the oldest first, some at a time so
// that others get the lock in between. A call stays linked until it has its
// outcome: what is split from it meanwhile is linked too, and has its turn.
func (s *Scheduler) contextEnded(w *watch) {
	var calls [64]*procpool.Call
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetWatchLocked(w)
	for w.tail != nil {
		n := 0
		for c := w.tail; c != nil && n < len(calls); c = c.Slot.WatchPrev {
			calls[n] = c
			n++
		}
		s.mu.Unlock()
		var won [len(calls)]bool
		for i, c := range calls[:n] {
			won[i] = c.Finish(nil, procpool.CancelError(w.ctx, c))
		}
		s.mu.Lock()
		for i, c := range calls[:n] {
			if won[i] {
				s.cancelLocked(c)
			}
			if c.Slot.Watch == w {
				w.unlink(c)
			}
		}
	}
	s.dispatchLocked()
	s.checkDrainedLocked()
}
