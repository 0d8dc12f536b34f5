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
// of a worker come in the order of its calls, one for each.
type Reply struct {
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
	s.telling.Add(1)
	if !sane {
		s.killLocked(w)
	}
	if s.queue.head != nil && s.feedLocked(w) {
		s.pumpLocked(w)
	}
	s.maybeIdleLocked(w)
	s.dispatchLocked()
	s.mu.Unlock()
	w.tell()
	s.told()
	return sane
}

// settleLocked books the answers; the outcomes wait in w.finishing. Those that
// were found in a dead worker's recorder need not be complete.
func (s *Scheduler) settleLocked(w *worker, replies []Reply, recovered bool) (sane bool) {
	sane = true
	for i := range replies {
		if !s.settleOneLocked(w, &replies[i], recovered) {
			sane = false
			s.counters.senseless++
		}
	}
	s.noteAheadLocked(w)
	return sane
}

// settleOneLocked books one answer. It reports false, and books nothing, when the
// answer makes no sense.
func (s *Scheduler) settleOneLocked(w *worker, r *Reply, recovered bool) bool {
	// base is the first call without an answer, unless that is still to be
	// sent: an answer must not skip it.
	if r.Seq <= w.answered || r.Seq > w.sendEnd || r.Seq > w.base && !recovered {
		return false
	}
	c := w.at(r.Seq)
	switch {
	case r.Kind == Declined:
		if c != nil && !w.mayDecline(c, r.Seq) {
			return false
		}
		if c != nil {
			s.requeueLocked([]*procpool.Call{s.takeBackLocked(w, c, r.Seq)})
		}
	case c == nil:
		return false // it ran what was taken back
	default:
		w.finishing = append(w.finishing, s.answerLocked(w, c, r))
	}
	w.answered = r.Seq
	if r.Seq == w.graceSeq {
		w.stopGrace()
	}
	if w.fenced && r.Seq >= w.fenceEnd {
		w.fenced = false
		if !w.dead {
			w.link.Unfence(lane)
		}
	}
	return true
}

// mayDecline reports whether the worker had reason not to run a call: the fence
// is in its way, or its future is over, or it met a fence that was lifted at once,
// which happens to one call for each. Behind a pack's item only the fence keeps
// the others from running.
func (w *worker) mayDecline(c *procpool.Call, seq uint64) bool {
	if w.fenced && seq > w.fenceAt {
		return true
	}
	if seq != endOf(c) {
		return false
	}
	if c.Finished() {
		return true
	}
	w.strays--
	return w.strays >= 0
}

func (s *Scheduler) answerLocked(w *worker, c *procpool.Call, r *Reply) outcome {
	if w.ran == 0 {
		s.restarts.proved()
	}
	w.ran = r.Seq
	if c.Slot.Mark != markRevoked {
		if r.Kind == Failed {
			s.counters.failed++
		} else {
			s.counters.succeeded++
		}
	}
	item := int(r.Seq - c.Slot.Seq)
	if w.forget(r.Seq, c) {
		s.overLocked(c)
	}
	c.NoteRun(r.Run)
	if f, ok := c.Slot.Group.(*function); ok {
		f.observe(r.Run)
	}
	return outcome{c, item, r.Data, r.Err}
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
	}
}

// overLocked ends the scheduler's interest in a call.
func (s *Scheduler) overLocked(c *procpool.Call) {
	c.Slot.Mark, c.Slot.Owner = markOver, nil
	s.unwatchLocked(c)
}

// takeBackLocked takes the items of c from sequence number seq on off w's
// account, and returns them as a call.
func (s *Scheduler) takeBackLocked(w *worker, c *procpool.Call, seq uint64) *procpool.Call {
	for q, end := seq, endOf(c); q <= end; q++ {
		if w.at(q) == c {
			w.forget(q, c)
		}
	}
	if seq == c.Slot.Seq {
		c.Note(0, 0, int(c.Slot.Attempts), 0)
		return c
	}
	rest := s.splitLocked(c, int(seq-c.Slot.Seq))
	if w.at(seq-1) == c {
		w.bytes += c.Slot.Cost
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
		if !c.Finished() {
			s.counters.requeued += uint64(c.Items())
			s.queue.putBack(c)
			continue
		}
		if c.Slot.Mark != markRevoked {
			s.counters.cancelled += uint64(c.Items())
		}
		s.overLocked(c)
	}
}
