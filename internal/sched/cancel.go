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

func (s *Scheduler) cancelLocked(c *procpool.Call) {
	switch c.Slot.Mark {
	case markQueued:
		s.counters.cancelled++
		s.queue.remove(c)
		s.overLocked(c)
	case markSent:
		s.counters.cancelled++
		s.revokeLocked(c.Slot.Owner.(*worker), c)
	}
}

// revokeLocked withdraws c from w if it has not started, by the fence, so that it
// never will. If it runs, its context is cancelled and the clock of its grace
// starts; what waits behind it goes elsewhere.
func (s *Scheduler) revokeLocked(w *worker, c *procpool.Call) {
	first := c.Slot.Seq
	for end := first + uint64(c.Items()); first < end && w.at(first) != c; {
		first++
	}
	running := s.withdrawLocked(w, first-1)
	if w.at(running) != c {
		s.maybeIdleLocked(w)
		return
	}
	w.link.Cancel(lane, running)
	w.stopGrace()
	w.graceSeq = running
	w.grace = time.AfterFunc(s.cfg.CancelGrace, func() { s.graceOver(w, running) })
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
		s.counters.killed++
		w.link.Kill()
	}
}

// withdrawLocked keeps what w was sent beyond sequence number k from starting and
// puts it back to the front of the queue. It returns the last that may have
// started, which k's call itself is when nothing beyond has.
func (s *Scheduler) withdrawLocked(w *worker, k uint64) (limit uint64) {
	if !w.recorder {
		return w.next - 1
	}
	if w.fenced && k >= w.fenceAt {
		started, _, _ := w.link.Progress(lane)
		return max(w.fenceAt, started)
	}
	started, ok := w.link.Fence(lane, k)
	if !ok || started >= w.next {
		return w.next - 1 // the page makes no sense: all had started
	}
	limit = max(k, started)
	w.unsend(limit)
	var back []*procpool.Call
	for seq := max(limit+1, w.base); seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil || w.sending && seq > w.sent && seq <= w.sendEnd {
			// What is being sent at this moment can't be touched: the
			// worker declines it when it arrives.
			continue
		}
		back = append(back, s.takeBackLocked(w, c, seq))
	}
	w.fenced, w.fenceAt = true, k
	if w.fenceEnd = max(w.sent, w.sendEnd); w.fenceEnd <= max(limit, w.last) {
		w.fenced = false
		w.link.Unfence(lane)
	}
	s.noteAheadLocked(w)
	s.requeueLocked(back)
	return limit
}

// unsend drops from the outbox what lies beyond limit.
func (w *worker) unsend(limit uint64) {
	kept := w.outbox[:0]
	for _, c := range w.outbox {
		if c.Slot.Seq <= limit {
			kept = append(kept, c)
		}
	}
	clear(w.outbox[len(kept):])
	w.outbox = kept
}
