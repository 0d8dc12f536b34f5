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

// Reply is a worker's answer to one call, or to one item of a pack.
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
// worker is broken and to be killed.
func (s *Scheduler) Replies(number int, replies []Reply) bool {
	s.mu.Lock()
	w := s.workers[number]
	if w == nil {
		s.mu.Unlock()
		return true
	}
	sane := s.settleLocked(w, replies)
	if !w.fenced && !s.killed {
		s.feedLocked(w)
		s.pumpLocked(w)
		s.letInLocked()
	}
	s.maybeIdleLocked(w)
	if len(s.idle) > 0 && s.queue.head != nil {
		s.dispatchLocked()
	}
	s.checkDrainedLocked()
	s.mu.Unlock()
	w.tell()
	return sane
}

// settleLocked books the answers; the outcomes wait in w.finishing.
func (s *Scheduler) settleLocked(w *worker, replies []Reply) (sane bool) {
	sane = true
	for i := range replies {
		r := &replies[i]
		if r.Seq == 0 || r.Seq >= w.next || r.Seq > max(w.sent, w.sendEnd) {
			sane = false
			continue
		}
		w.last = max(w.last, r.Seq)
		if c := w.at(r.Seq); c == nil {
			s.counters.late++
		} else if r.Kind == Declined {
			s.requeueLocked([]*procpool.Call{s.takeBackLocked(w, c, r.Seq)})
		} else {
			s.answerLocked(w, c, r)
		}
		if w.fenced && r.Seq >= w.fenceEnd {
			w.fenced = false
			w.link.Unfence(lane)
		}
	}
	s.noteAheadLocked(w)
	return sane
}

func (s *Scheduler) answerLocked(w *worker, c *procpool.Call, r *Reply) {
	w.served = true
	item := int(r.Seq - c.Slot.Seq)
	if w.forget(r.Seq, c) {
		s.overLocked(c)
	}
	if r.Seq == w.graceSeq {
		w.stopGrace()
	}
	c.NoteRun(r.Run)
	c.Slot.Group.(*function).observe(r.Run)
	if r.Kind == Failed {
		s.counters.failed++
	} else {
		s.counters.succeeded++
	}
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

// overLocked ends the scheduler's interest in a call.
func (s *Scheduler) overLocked(c *procpool.Call) {
	c.Slot.Mark, c.Slot.Owner = markOver, nil
	s.unwatchLocked(c)
}

// takeBackLocked takes the items of c from sequence number seq on off w's
// account, and returns them as a call.
func (s *Scheduler) takeBackLocked(w *worker, c *procpool.Call, seq uint64) *procpool.Call {
	end := c.Slot.Seq + uint64(c.Items()) - 1
	for q := seq; q <= end; q++ {
		if w.at(q) == c {
			w.forget(q, c)
		}
	}
	if seq > c.Slot.Seq {
		rest := s.splitLocked(c, int(seq-c.Slot.Seq))
		if w.at(seq-1) != c {
			s.overLocked(c) // the part that stays was answered before
		}
		return rest
	}
	return c
}

// requeueLocked puts calls that were sent and not started back to the front of
// the queue, in their order. It asks nobody: they have not run.
func (s *Scheduler) requeueLocked(calls []*procpool.Call) {
	for i := len(calls) - 1; i >= 0; i-- {
		c := calls[i]
		if c.Finished() || s.killed {
			s.overLocked(c)
			continue
		}
		s.counters.requeued++
		s.queue.pushFront(c)
	}
}
