package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// overrunTick is how often the scheduler looks whether a call takes longer than
// expected and holds up what was sent behind it.
const overrunTick = 2 * time.Millisecond

// maybeIdleLocked counts a lane as idle if it is, and finds it something to do.
func (s *Scheduler) maybeIdleLocked(l *lane) {
	w := l.worker
	if w.suspect {
		if w.seclude(); !w.suspect {
			for _, other := range w.lanes {
				s.maybeIdleLocked(other)
			}
			return
		}
	}
	if w.held == 0 && !w.dead {
		s.emptiedLocked(w)
	} else if w.doom != nil {
		s.condemnLocked(w)
	}
	if w.lends() {
		s.refitLocked(w)
		return
	}
	if l.held > 0 || l.fenced || l.isIdle || s.ended || !w.takes() || l.index >= len(w.lanes) {
		return
	}
	s.idlesLocked(l)
	if l.own.count == 0 {
		s.findWorkLocked()
	}
}

// idlesLocked counts a lane as idle.
func (s *Scheduler) idlesLocked(l *lane) {
	l.isIdle = true
	s.idle = append(s.idle, l)
	if l.own.count > 0 {
		s.wantLocked(l)
	}
}

// findWorkLocked is called when a lane idles: if nothing waits for it, it may take work
// from a busy one.
func (s *Scheduler) findWorkLocked() {
	if s.queue.first() == nil && s.ahead > 0 {
		s.stealLocked()
	}
}

// emptiedLocked does what is due when a worker holds nothing.
func (s *Scheduler) emptiedLocked(w *worker) {
	if w.retiring {
		s.leaveLocked(w)
	}
	if s.elastic && w.idle == 0 {
		w.idle = max(s.now(), 1)
		if s.fleet.surplus() && (s.steerAt == 0 || s.steerAt > w.idle+int64(s.cfg.IdleTimeout)) {
			s.fleet.stale = true // it has to be asked in time
		}
	}
}

func (s *Scheduler) notIdleLocked(l *lane) {
	if !l.isIdle {
		return
	}
	l.isIdle = false
	for i := len(s.idle) - 1; i >= 0; i-- {
		if s.idle[i] == l {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// stealLocked takes back what the busiest lane was sent ahead, since another
// idles. Its head stays: it is about to start, if it has not.
func (s *Scheduler) stealLocked() {
	var from *lane
	for _, w := range s.workers {
		for _, l := range w.lanes {
			if l.isAhead && !l.fenced && !w.dead && l.load >= worthSharing && (from == nil || l.load > from.load) {
				from = l
			}
		}
	}
	if from != nil {
		s.withdrawAheadLocked(from)
	}
}

// overtakeLocked takes back what a lane was sent ahead if that is of a lower rank
// than a call that has come and waits, so that the lane takes that one next.
func (s *Scheduler) overtakeLocked(c *procpool.Call) {
	own, _ := c.Slot.Owner.(*lane) // the only one that may take it, if any
	if own == nil && len(s.idle) > 0 {
		return // an idle one takes it
	}
	for _, w := range s.workers {
		for _, l := range w.lanes {
			if !l.isAhead || l.fenced || w.dead || own != nil && own != l {
				continue
			}
			if last := l.newest(); last != nil && rank(last) < rank(c) {
				s.withdrawAheadLocked(l)
				return
			}
		}
	}
}

// withdrawAheadLocked takes back all that a lane has been sent ahead.
func (s *Scheduler) withdrawAheadLocked(l *lane) {
	started, _, _ := l.worker.link.Progress(l.index)
	s.withdrawLocked(l, max(started, l.base))
}

// noteAheadLocked keeps count of the lanes that hold more than they run, and the
// timer going while there are any.
func (s *Scheduler) noteAheadLocked(l *lane) {
	ahead := l.held > 1 && !l.worker.dead
	if ahead == l.isAhead {
		return
	}
	l.isAhead = ahead
	if !ahead {
		s.ahead--
		return
	}
	s.ahead++
	if s.overrun == nil && !s.ended {
		s.overrun = time.AfterFunc(overrunTick, s.checkOverruns)
	}
}

// checkOverruns withdraws what waits behind a call that has run since the last
// look.
func (s *Scheduler) checkOverruns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overrun = nil
	if s.ended {
		return
	}
	for _, w := range s.workers {
		for _, l := range w.lanes {
			if !l.isAhead || l.fenced {
				continue
			}
			started, _, _ := w.link.Progress(l.index)
			if started != l.tickSeq || started < l.base {
				l.tickSeq = started
				continue
			}
			s.withdrawLocked(l, started)
		}
	}
	s.dispatchLocked()
	if s.ahead > 0 && s.overrun == nil && !s.ended {
		s.overrun = time.AfterFunc(overrunTick, s.checkOverruns)
	}
}
