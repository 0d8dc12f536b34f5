package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// Kind says what a reply is.
type Kind uint8

// The kinds of reply.
const (
	Result   Kind = iota // the function returned
	Failed               // it failed, in the way Err says
	Declined             // it was not run: the fence, or a cancel, came first
)

// Reply is a worker's answer to one call, or to one item of a pack. The answers
// of a lane come in the order of its calls, one for each.
type Reply struct {
	Lane uint32
	Seq  uint64
	Kind Kind
	Data []byte
	Err  error
	Run  time.Duration
}

// outcome is a call's end, to be told once the lock is free.
type outcome struct {
	call *procpool.Call
	item int
	data []byte
	err  error
}

// Replies takes a batch of answers from a worker. It is called by one goroutine
// at a time for each worker. It reports false when an answer makes no sense: the
// worker is broken and is being killed.
func (s *Scheduler) Replies(number int, replies []Reply) bool {
	s.mu.Lock()
	w := s.workers[number]
	if w == nil {
		s.mu.Unlock()
		return true
	}
	sane := s.settleLocked(w, replies, false)
	failures := s.takeFailuresLocked(w)
	s.telling.Add(1)
	if !sane {
		s.killLocked(w, errSenseless)
	}
	s.refillLocked(w)
	s.dispatchLocked()
	s.mu.Unlock()
	w.tell()
	s.told()
	if failures != nil {
		go s.consider(failures)
	}
	return sane
}

// refillLocked gives a worker that has answered what it has room for, and counts its
// lanes as idle that get nothing. Which of its empty lanes a worker that lends slots may
// use is decided there.
func (s *Scheduler) refillLocked(w *worker) {
	if w.lends() {
		for _, l := range w.lanes {
			if l.held > 0 && s.feedLocked(l) {
				s.pumpLocked(w)
			}
		}
		s.maybeIdleLocked(w.lanes[0])
		return
	}
	for _, l := range w.lanes {
		if s.feedLocked(l) {
			s.pumpLocked(w)
		}
		s.maybeIdleLocked(l)
	}
}

// takeFailuresLocked returns what settling has left to consider. What is not nil is
// counted in telling.
func (s *Scheduler) takeFailuresLocked(w *worker) []failure {
	failures := w.failures
	w.failures = nil
	if failures != nil {
		s.telling.Add(1)
	}
	return failures
}

// settleLocked books the answers; the outcomes wait in w.finishing. Those that
// were found in a dead worker's recorder need not be complete.
func (s *Scheduler) settleLocked(w *worker, replies []Reply, recovered bool) (sane bool) {
	sane = true
	stuck := w.stuck()
	for i := range replies {
		if !s.settleOneLocked(w, &replies[i], recovered) {
			sane = false
			s.counters.senseless++
		}
	}
	for _, l := range w.lanes {
		s.noteAheadLocked(l)
	}
	if stuck && !w.stuck() {
		s.fleet.stale = true
	}
	return sane
}

// settleOneLocked books one answer. It reports false, and books nothing, when the
// answer makes no sense.
func (s *Scheduler) settleOneLocked(w *worker, r *Reply, recovered bool) bool {
	if int64(r.Lane) >= int64(len(w.lanes)) {
		return false
	}
	l := w.lanes[r.Lane]
	// base is the first call without an answer, unless that is still to be
	// sent: an answer must not skip it.
	if r.Seq <= l.answered || r.Seq > l.sendEnd || r.Seq > l.base && !recovered {
		return false
	}
	c := l.at(r.Seq)
	switch {
	case r.Kind == Declined:
		if c != nil && !l.mayDecline(c, r.Seq) {
			return false
		}
		if c != nil {
			back := s.takeBackLocked(l, c, r.Seq)
			if items := back.Items(); items > 1 { // the worker has yet to decline the others
				l.behind += back.Slot.Cost + int64(items)*frameBytes
			}
			s.requeueLocked([]*procpool.Call{back})
		}
	case c == nil:
		return false // it ran what was taken back
	default:
		s.answerLocked(l, c, r)
	}
	l.answered = r.Seq
	if r.Seq == l.graceSeq {
		l.stopGrace()
	}
	if l.fenced && r.Seq >= l.fenceEnd {
		l.fenced, l.behind = false, 0
		if !w.dead {
			w.link.Unfence(l.index)
		}
	}
	return true
}

// mayDecline reports whether the worker had reason not to run a call: the fence
// is in its way, or the call was given up, or it met a fence that was lifted at once,
// which happens to one call for each. Behind a pack's item only the fence keeps
// the others from running.
func (l *lane) mayDecline(c *procpool.Call, seq uint64) bool {
	if l.fenced && seq > l.fenceAt {
		return true
	}
	if seq != endOf(c) {
		return false
	}
	if c.Slot.Mark != markSent || c.Finished() {
		return true
	}
	l.strays--
	return l.strays >= 0
}

// answerLocked books the outcome of a call that ran.
func (s *Scheduler) answerLocked(l *lane, c *procpool.Call, r *Reply) {
	w := l.worker
	if !w.worked {
		w.worked = true
		s.fleet.proved(w.number)
	}
	l.ran = r.Seq
	if f, ok := c.Slot.Group.(*function); ok && !c.Kind().HasValues() {
		f.observe(r.Run)
	}
	if r.Kind == Failed && (c.Slot.Mark == markAgain || c.Slot.Mark == markSent && c.MayRetry()) {
		w.failures = append(w.failures, s.failureLocked(l, c, r.Seq, r.Run, r.Err, false))
		return
	}
	if c.Slot.Mark != markRevoked {
		if r.Kind == Failed {
			s.counters.failed++
		} else {
			s.counters.succeeded++
		}
	}
	item := int(r.Seq - c.Slot.Seq)
	if l.forget(r.Seq, c) && !l.holds(c) {
		s.overLocked(c)
	}
	c.NoteRun(r.Run)
	w.finishing = append(w.finishing, outcome{c, item, r.Data, r.Err})
}

// tell gives the outcomes to their futures. It runs without the lock, on the
// receiver's goroutine.
func (w *worker) tell() {
	for i := range w.finishing {
		o := &w.finishing[i]
		o.call.FinishItem(o.item, o.data, o.err)
		*o = outcome{}
	}
	w.finishing = w.finishing[:0]
}

// told ends what began with telling.Add(1). Drain counts what has been told, not
// what is about to be.
func (s *Scheduler) told() {
	if s.telling.Add(-1) == 0 && s.draining.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.checkDrainedLocked()
		s.checkGoneLocked()
	}
}

// overLocked ends the scheduler's interest in a call.
func (s *Scheduler) overLocked(c *procpool.Call) {
	c.Slot.Mark, c.Slot.Owner = markOver, nil
	if nested(c) {
		s.settledLocked(c)
		return
	}
	s.unwatchLocked(c)
}

// revokedLocked marks a call that a lane holds and that has its outcome.
func (s *Scheduler) revokedLocked(c *procpool.Call) {
	c.Slot.Mark = markRevoked
	s.settledLocked(c)
}

// takeBackLocked takes the items of c from sequence number seq on off the lane's
// account, and returns them as a call.
func (s *Scheduler) takeBackLocked(l *lane, c *procpool.Call, seq uint64) *procpool.Call {
	for q, end := seq, endOf(c); q <= end; q++ {
		if l.at(q) == c {
			l.forget(q, c)
			l.worker.given--
			if q == l.graceSeq {
				l.stopGrace() // it did not run after all
			}
		}
	}
	if seq == c.Slot.Seq {
		c.Note(0, 0, int(c.Slot.Attempts), 0)
		return c
	}
	rest := s.splitLocked(c, int(seq-c.Slot.Seq))
	if l.at(seq-1) == c {
		l.bytes += c.Slot.Cost
	} else {
		s.overLocked(c) // the part that stays was answered before
	}
	return rest
}

// requeueLocked puts calls that were sent and not started back to the front of
// the queue, in their order. It asks nobody: they have not run.
func (s *Scheduler) requeueLocked(calls []*procpool.Call) {
	for i := len(calls) - 1; i >= 0; i-- {
		c := calls[i]
		switch {
		case c.Slot.Mark == markRevoked:
			s.overLocked(c)
		case c.Finished():
			s.counters.cancelled += uint64(c.Items())
			s.overLocked(c)
		default:
			s.counters.requeued += uint64(c.Items())
			s.placeLocked(c, markBack, (*lines).put)
		}
	}
}
