package sched

import (
	"errors"
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
		s.displaceLocked(c)
		s.counters.cancelled += uint64(s.sealLocked(c))
		s.overLocked(c)
	case markDelayed:
		s.counters.cancelled++
		s.undelayLocked(c)
	case markSent, markAgain:
		if l, ok := c.Slot.Owner.(*lane); ok {
			s.revokeLocked(l, c)
		}
	}
}

// revokeLocked withdraws c from l if it has not started, by the fence, so that it
// never will. If it runs, its context is cancelled and the clock of its grace
// starts; what waits behind it goes elsewhere.
func (s *Scheduler) revokeLocked(l *lane, c *procpool.Call) {
	first := l.firstOf(c)
	s.counters.cancelled += endOf(c) - first + 1
	again := c.Slot.Mark == markAgain // it was given up before
	s.revokedLocked(c)
	if last := s.withdrawLocked(l, first-1); l.at(last) == c && !again {
		s.startGraceLocked(l, last, rerun{})
	}
	s.maybeIdleLocked(l)
}

// startGraceLocked has a call that runs and was given up end its context, and after
// a while its worker. Nothing is sent behind it.
func (s *Scheduler) startGraceLocked(l *lane, seq uint64, again rerun) {
	l.worker.link.Cancel(l.index, seq)
	l.stopGrace()
	l.graceSeq, l.again = seq, again
	l.grace = time.AfterFunc(s.cfg.CancelGrace, func() { s.graceOver(l, seq) })
}

func (l *lane) stopGrace() {
	if l.grace != nil {
		l.grace.Stop()
		l.grace, l.graceSeq, l.again, l.deaf = nil, 0, rerun{}, false
	}
}

var (
	errDeaf      = errors.New("it was killed because a call that had been given up went on")
	errSenseless = errors.New("it was killed because what it answered made no sense")
)

// graceOver kills the worker of a given-up call that goes on all the same. Where it
// runs other calls it is retired first, and has until they end, or RetireGrace. One that
// holds state goes on in that time, since no other could take its place.
func (s *Scheduler) graceOver(l *lane, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := l.worker
	if s.workers[w.number] != w || l.graceSeq != seq || l.at(seq) == nil || w.dead {
		return
	}
	l.deaf = true
	if s.condemnLocked(w); w.dead || w.doom != nil {
		return
	}
	w.doom = time.AfterFunc(s.cfg.RetireGrace, func() { s.doomed(w) })
	if !w.retiring && s.cfg.Lost == nil {
		s.fleet.lost(w.number)
		s.retireLocked(w, retireStuck)
		s.steerLocked()
	}
	s.dispatchLocked()
}

// condemnLocked kills a worker that holds nothing but calls that do not stop.
func (s *Scheduler) condemnLocked(w *worker) {
	if deaf, others := w.deaf(); deaf && !others {
		s.killLocked(w, errDeaf)
	}
}

// doomed kills a retired worker whose other calls have had their time, unless the one
// that did not stop has after all.
func (s *Scheduler) doomed(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.doom = nil
	if deaf, _ := w.deaf(); deaf && s.workers[w.number] == w {
		s.killLocked(w, errDeaf)
	}
}

// killLocked kills a worker that does not do what it has to.
func (s *Scheduler) killLocked(w *worker, why error) {
	if w.dead {
		return
	}
	w.dead = true
	for _, l := range w.lanes {
		s.notIdleLocked(l)
		s.noteAheadLocked(l)
	}
	s.counters.killed++
	w.link.Kill(why)
}

// KillWorker kills a worker for a reason of the caller's, such as that it is hung.
// It reports false when there is no such worker any more.
func (s *Scheduler) KillWorker(number int, why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[number]
	if w == nil || w.dead {
		return false
	}
	s.killLocked(w, why)
	return true
}

// withdrawLocked keeps what l was given beyond sequence number k from starting and
// puts it back to the front of the queue. It returns the last that may have
// started, or k if that is beyond.
func (s *Scheduler) withdrawLocked(l *lane, k uint64) (limit uint64) {
	switch {
	case k >= l.sendEnd:
		limit = k // all beyond is still here
	case l.fenced && k >= l.fenceAt:
		limit = max(k, l.fenceLimit)
	default:
		limit = s.fenceLocked(l, k)
	}
	l.unsend(limit)
	var back []*procpool.Call
	for seq := max(limit+1, l.base); seq < l.next; seq++ {
		c := l.at(seq)
		if c == nil || seq > l.sent && seq <= l.sendEnd {
			// What is being sent at this moment can't be touched: the
			// worker declines it when it arrives.
			continue
		}
		c = s.takeBackLocked(l, c, seq)
		if seq <= l.sent {
			l.behind += c.Slot.Cost + int64(c.Items())*frameBytes
		}
		back = append(back, c)
	}
	s.noteAheadLocked(l)
	s.requeueLocked(back)
	return limit
}

// fenceLocked raises the fence behind sequence number k, before which something
// was sent, and returns the last that may have started. Without a recorder that
// is all that was sent.
func (s *Scheduler) fenceLocked(l *lane, k uint64) (limit uint64) {
	w := l.worker
	if !w.recorder {
		return l.sendEnd
	}
	started, ok := w.link.Fence(l.index, k)
	if !ok || started > l.sendEnd || started < l.ran {
		// A page that makes no sense means that all had started. The worker
		// is of no more use, nor would its fence be.
		w.recorder = false
		s.killLocked(w, errSenseless)
		return l.sendEnd
	}
	limit = max(k, started)
	if l.fenced {
		// What the fence before this one took back can't have started: it is
		// about to be declined.
		limit = min(limit, l.fenceLimit)
	}
	l.fenceAt, l.fenceLimit, l.fenceEnd = k, limit, l.sendEnd
	l.fenced = l.fenceEnd > max(limit, l.answered)
	if !l.fenced {
		w.link.Unfence(l.index)
		l.strays++ // the worker may have met the fence all the same
	}
	return limit
}
