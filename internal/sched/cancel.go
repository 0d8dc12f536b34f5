package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// CancelCall stops the work of a call whose future was cancelled.
func (s *Scheduler) CancelCall(c *procpool.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelLocked(c)
	s.dispatchLocked()
	s.checkDrainedLocked()
}

// cancelLocked stops the work of a call that has its outcome.
func (s *Scheduler) cancelLocked(c *procpool.Call) {
	switch c.Slot.Mark {
	case markQueued, markBack:
		s.queue.remove(c)
		s.counters.cancelled += uint64(s.sealLocked(c))
		s.overLocked(c)
	case markSent:
		if w, ok := c.Slot.Owner.(*worker); ok {
			s.revokeLocked(w, c)
		}
	}
}

// revokeLocked withdraws c from w if it has not started, by the fence, so that it
// never will. If it runs, its context is cancelled and the clock of its grace
// starts; what waits behind it goes elsewhere.
func (s *Scheduler) revokeLocked(w *worker, c *procpool.Call) {
	first := w.firstOf(c)
	s.counters.cancelled += endOf(c) - first + 1
	c.Slot.Mark = markRevoked
	last := s.withdrawLocked(w, first-1)
	if w.at(last) == c {
		w.link.Cancel(lane, last)
		w.stopGrace()
		w.graceSeq = last
		w.grace = time.AfterFunc(s.cfg.CancelGrace, func() { s.graceOver(w, last) })
	}
	s.maybeIdleLocked(w)
}

func (w *worker) stopGrace() {
	if w.grace != nil {
		w.grace.Stop()
		w.grace, w.graceSeq = nil, 0
	}
}

// graceOver kills the worker of a cancelled call that goes on all the same.
func (s *Scheduler) graceOver(w *worker, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers[w.number] == w && w.graceSeq == seq && w.at(seq) != nil {
		s.killLocked(w)
	}
}

// killLocked kills a worker that does not do what it has to.
func (s *Scheduler) killLocked(w *worker) {
	if w.dead {
		return
	}
	w.dead = true
	s.notIdleLocked(w)
	s.noteAheadLocked(w)
	s.counters.killed++
	w.link.Kill()
}

// withdrawLocked keeps what w was given beyond sequence number k from starting and
// puts it back to the front of the queue. It returns the last that may have
// started, or k if that is beyond.
func (s *Scheduler) withdrawLocked(w *worker, k uint64) (limit uint64) {
	switch {
	case k >= w.sendEnd:
		limit = k // all beyond is still here
	case w.fenced && k >= w.fenceAt:
		limit = max(k, w.fenceLimit)
	default:
		limit = s.fenceLocked(w, k)
	}
	w.unsend(limit)
	var back []*procpool.Call
	for seq := max(limit+1, w.base); seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil || seq > w.sent && seq <= w.sendEnd {
			// What is being sent at this moment can't be touched: the
			// worker declines it when it arrives.
			continue
		}
		back = append(back, s.takeBackLocked(w, c, seq))
	}
	s.noteAheadLocked(w)
	s.requeueLocked(back)
	return limit
}

// fenceLocked raises the fence behind sequence number k, before which something
// was sent, and returns the last that may have started. Without a recorder that
// is all that was sent.
func (s *Scheduler) fenceLocked(w *worker, k uint64) (limit uint64) {
	if !w.recorder {
		return w.sendEnd
	}
	started, ok := w.link.Fence(lane, k)
	if !ok || started > w.sendEnd || started < w.ran {
		// A page that makes no sense means that all had started. The worker
		// is of no more use, nor would its fence be.
		w.recorder = false
		s.killLocked(w)
		return w.sendEnd
	}
	limit = max(k, started)
	if w.fenced {
		// What the fence before this one took back can't have started: it is
		// about to be declined.
		limit = min(limit, w.fenceLimit)
	}
	w.fenceAt, w.fenceLimit, w.fenceEnd = k, limit, w.sendEnd
	w.fenced = w.fenceEnd > max(limit, w.answered)
	if !w.fenced {
		w.link.Unfence(lane)
		w.strays++ // the worker may have met the fence all the same
	}
	return limit
}
