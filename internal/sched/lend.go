package sched

import (
	"slices"
	"time"
)

// A worker runs as many calls at once as it has slots. A call that waits for nested
// calls lends its slot: meanwhile another lane of the worker may take a call. When it
// goes on it takes its slot back, without anybody being interrupted: the worker then
// gets no call before as many have ended.

// loan is what a running call that makes nested calls has of its lane's slot. It ties
// these calls to it.
type loan struct {
	lane   *lane         // nil when the call has ended there
	seq    uint64        // of the call
	calls  int           // outstanding; the slot is lent while there are any
	waits  int           // why the call waits: that its slot is lent is one reason
	since  int64         // when it began to wait
	waited time.Duration // how long it has waited before
}

// pause says that the call waits, for one reason more.
func (ln *loan) pause(now int64) {
	if ln.waits == 0 {
		ln.since = now
	}
	ln.waits++
}

// resume says that it waits for one reason less.
func (ln *loan) resume(now int64) {
	ln.waits--
	if ln.waits == 0 {
		ln.waited += time.Duration(now - ln.since)
	}
}

// Pause says that the running call p waits from now on and keeps its slot: that time
// does not count as run time. goesOn, which is to be called once, ends that.
func (s *Scheduler) Pause(p Parent) (goesOn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, c := s.runningLocked(p)
	if c == nil {
		return func() {}
	}
	ln := s.loanForLocked(l, p.Seq)
	ln.pause(s.now())
	s.dispatchLocked()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ln.resume(s.now())
		if ln.waits == 0 && ln.lane != nil && !s.ended {
			s.goesOnLocked(ln.lane)
		}
	}
}

// loanForLocked returns the loan of the call that runs. The caller has to dispatch, for
// what may be taken back.
func (s *Scheduler) loanForLocked(l *lane, seq uint64) *loan {
	if old := l.loan; old == nil || old.seq != seq {
		lent := l.waits()
		l.loan = &loan{lane: l, seq: seq}
		if old != nil {
			old.lane = nil // the answer of its call is on its way
		}
		if lent {
			s.takeBackSlotLocked(l.worker)
		}
	}
	return l.loan
}

// endLoan unties the call that has made nested ones from them.
func (l *lane) endLoan() {
	if l.loan == nil {
		return
	}
	if l.waits() {
		l.worker.waiting--
	}
	l.loan.lane, l.loan = nil, nil
}

// waits reports whether the lane's call waits for nested ones.
func (l *lane) waits() bool { return l.loan != nil && l.loan.calls > 0 }

// active is how many lanes hold calls that do not wait for nested ones.
func (w *worker) active() int { return w.busy - w.waiting }

// Active returns how many calls workers hold that do not wait for nested ones, or have
// lent their slots otherwise.
func (s *Scheduler) Active() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		n += w.active()
	}
	return n
}

// stuck reports whether all lanes that the worker has hold calls that wait, so that it
// takes no call before one of these goes on.
func (w *worker) stuck() bool {
	return w.waiting >= w.maxLanes && !w.spare && !w.retiring && !w.dead
}

// canLendLocked reports whether one more call of the worker may wait: one lane must be
// left for those that do not, or else another worker may be started in its place. A
// worker that takes no calls needs neither.
func (s *Scheduler) canLendLocked(w *worker) bool {
	return w.retiring || w.waiting+1 < w.maxLanes || s.stuckLocked() < s.cfg.Extra
}

// stuckLocked returns how many workers are stuck.
func (s *Scheduler) stuckLocked() (n int) {
	for _, w := range s.workers {
		if w.stuck() {
			n++
		}
	}
	return n
}

// relieveLocked has a worker started in the place of one that is stuck, and let go when
// it idles.
func (s *Scheduler) relieveLocked() {
	s.fleet.stale = true
	if s.elastic {
		return
	}
	s.elastic = true
	for _, w := range s.workers {
		if w.held == 0 {
			w.idle = max(s.now(), 1)
		}
	}
}

// lends reports whether the worker's idle lanes are not simply those that are empty.
func (w *worker) lends() bool { return w.waiting > 0 || len(w.lanes) > w.slots }

// lendLocked counts a nested call. With the first its parent's slot is lent, and what
// was sent behind the parent goes elsewhere.
func (s *Scheduler) lendLocked(ln *loan) {
	ln.calls++
	if ln.calls > 1 || ln.lane == nil {
		return
	}
	l := ln.lane
	ln.pause(s.now())
	l.worker.waiting++
	if l.worker.stuck() {
		s.relieveLocked()
	}
	l.worker.seclude()
	s.refitLocked(l.worker)
	if l.isAhead {
		s.withdrawLocked(l, ln.seq)
	}
	s.scatterLocked(l)
}

// returnLocked counts a nested call that is over. With the last its parent takes its
// slot back.
func (s *Scheduler) returnLocked(ln *loan) {
	ln.calls--
	if ln.calls > 0 || ln.lane == nil {
		return
	}
	l := ln.lane
	ln.resume(s.now())
	s.takeBackSlotLocked(l.worker)
	s.goesOnLocked(l)
}

// takeBackSlotLocked has a slot of a worker not be lent any more. If that runs too many
// calls now, what it was sent ahead goes elsewhere.
func (s *Scheduler) takeBackSlotLocked(w *worker) {
	if w.stuck() {
		s.fleet.stale = true
	}
	w.waiting--
	w.seclude()
	if (w.active() > w.slots || w.alone) && !s.ended {
		for _, other := range w.lanes {
			if other.isAhead && !other.fenced {
				s.withdrawAheadLocked(other)
			}
		}
	}
	s.refitLocked(w)
}

// refitLocked decides which lanes of a worker that lends slots idle: as many as it has
// slots that nobody uses, those first for which calls wait.
func (s *Scheduler) refitLocked(w *worker) {
	free := 0
	if w.takes() && !s.ended {
		free = max(w.slots-w.active(), 0)
	}
	empty := w.empty[:0]
	for _, l := range w.lanes {
		if l.held == 0 && !l.fenced {
			empty = append(empty, l)
		}
	}
	slices.SortStableFunc(empty, func(a, b *lane) int { return compare(a.own.first(), b.own.first()) })
	for len(empty) < free && w.waiting > 0 && len(w.lanes) < w.maxLanes {
		empty = append(empty, w.addLane())
	}
	fresh := false
	for i, l := range empty {
		switch {
		case i >= free:
			s.notIdleLocked(l)
		case !l.isIdle:
			fresh = true
			s.idlesLocked(l)
		}
	}
	w.empty = empty[:0]
	w.dropLanes()
	if fresh && !w.suspect {
		s.findWorkLocked()
	}
}

// addLane makes one lane more, or takes one that is there already into use.
func (w *worker) addLane() *lane {
	n := len(w.lanes)
	if n == len(w.made) {
		w.made = append(w.made, newLane(w, n, 1))
	}
	w.lanes = w.made[:n+1]
	return w.made[n]
}

// use takes a lane into use that is going to hold calls.
func (w *worker) use(l *lane) {
	if l.index >= len(w.lanes) {
		w.lanes = w.made[:l.index+1]
	}
}

// dropLanes takes lanes out of use that are not needed any more, so that nobody has to
// look at them.
func (w *worker) dropLanes() {
	n := len(w.lanes)
	for n > w.slots && w.lanes[n-1].unused() {
		n--
		w.lanes[n].stopAlarm()
	}
	w.lanes = w.made[:n]
}

// unused reports whether nothing is to be expected of or done for the lane.
func (l *lane) unused() bool {
	return l.held == 0 && !l.fenced && !l.isIdle && !l.isAhead && l.own.count == 0 && l.graceSeq == 0 &&
		len(l.outbox) == 0 && l.sent == l.sendEnd
}

// seclude finds out what a worker with a suspect may take: nothing, or while the
// suspect waits for nested calls, nested calls.
func (w *worker) seclude() {
	if !w.suspect {
		return
	}
	w.suspect, w.alone = false, false
	for _, l := range w.lanes {
		if c := l.at(l.base); c != nil && suspect(c) {
			w.suspect = true
			w.alone = w.alone || !l.waits()
		}
	}
}
