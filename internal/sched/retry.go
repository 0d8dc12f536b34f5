package sched

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/procpool/procpool"
)

// failure is an attempt that failed, of a call that may be run again. The call has
// no other item, and nobody holds it but the goroutine that considers it.
type failure struct {
	call    *procpool.Call
	attempt procpool.Attempt
	again   rerun // decided already, if so
	suspect bool
}

// rerun is the decision to run a call again.
type rerun struct {
	decided bool
	wait    time.Duration
	err     error // of the attempt that failed
}

// failureLocked takes a call, or the item of a pack, whose attempt has failed off
// the lane's account. What else the pack holds stays where it is.
func (s *Scheduler) failureLocked(l *lane, c *procpool.Call, seq uint64, ran time.Duration, err error, suspect bool) failure {
	f := failure{suspect: suspect}
	if l.graceSeq == seq && c.Slot.Mark == markAgain {
		// It was given up before it ended in this way, and for that.
		f.again, f.suspect = l.again, false
		err = l.again.err
	}
	c = s.aloneLocked(l, c, seq)
	l.forget(seq, c)
	c.Slot.Mark, c.Slot.Owner = markPending, nil
	info := c.Record(procpool.Started)
	f.call = c
	f.attempt = procpool.Attempt{Worker: info.Worker, PID: info.PID, Run: ran, Err: err}
	return f
}

// aloneLocked makes an item of a pack that has started a call of its own, in its place
// on the lane.
func (s *Scheduler) aloneLocked(l *lane, c *procpool.Call, seq uint64) *procpool.Call {
	if seq < endOf(c) {
		s.partLocked(l, c, seq+1)
	}
	if seq == c.Slot.Seq {
		return c
	}
	item := s.partLocked(l, c, seq)
	if !l.holds(c) { // what was recovered from a dead worker may have gaps
		l.bytes -= c.Slot.Cost
		s.overLocked(c)
	}
	return item
}

// partLocked makes the items of a pack from sequence number seq on a call of their
// own, in their places on the lane.
func (s *Scheduler) partLocked(l *lane, c *procpool.Call, seq uint64) *procpool.Call {
	rest := s.splitLocked(c, int(seq-c.Slot.Seq))
	rest.Slot.Seq, rest.Slot.Owner, rest.Slot.Estimate = seq, c.Slot.Owner, c.Slot.Estimate
	info := c.Record(procpool.Started)
	rest.Note(info.Worker, info.PID, info.Attempts, info.Wait)
	mask := uint64(len(l.ring) - 1)
	for q := max(seq, l.base); q <= endOf(rest); q++ {
		if l.at(q) == c {
			l.ring[q&mask] = rest
		}
	}
	if !l.holds(rest) {
		s.overLocked(rest)
	}
	return rest
}

// consider decides on the calls of failures: they are run again, after a while, or
// finished. It runs the caller's code (see procpool.RetryOn) without the lock, on a
// goroutine that nobody waits for. telling was counted up for it.
func (s *Scheduler) consider(failures []failure) {
	for i := range failures {
		f := &failures[i]
		wait, again, final := f.again.wait, true, error(nil)
		if !f.again.decided {
			wait, again, final = f.call.Retry(int(f.call.Slot.Failures)+1, f.attempt.Err)
		}
		if final = s.decided(f, wait, again, final); final != nil {
			f.call.NoteRun(f.attempt.Run)
			f.call.FinishItem(0, nil, final)
		}
	}
	s.told()
}

// decided carries out a decision, but for finishing the call with the error that it
// returns.
func (s *Scheduler) decided(f *failure, wait time.Duration, again bool, final error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := f.call
	switch {
	case c.Finished(): // its caller gave it up meanwhile
		s.counters.cancelled++
	case !again:
		s.counters.failed++
	case s.ended, s.over != nil, actorRefusal(c) != nil:
		s.counters.refused++
		final = cmp.Or(actorRefusal(c), s.over, procpool.ErrClosed)
	default:
		c.NoteFailed(f.attempt)
		c.Note(0, 0, int(c.Slot.Attempts)+1, 0)
		c.Slot.Attempts++
		c.Slot.Failures++
		c.Slot.Suspect = c.Slot.Suspect || f.suspect
		s.counters.retried++
		s.delayLocked(c, wait)
		return nil
	}
	s.overLocked(c)
	return final
}

// delayed is a call that waits for its next attempt.
type delayed struct {
	call *procpool.Call
	due  int64
}

// delays holds what waits, that which is due first at the front. A call that was
// given up meanwhile stays until then, with another mark.
type delays struct {
	all   delayHeap
	n     int // those that still wait
	timer *time.Timer
}

type delayHeap []delayed

func (h *delayHeap) Len() int           { return len(*h) }
func (h *delayHeap) Less(i, j int) bool { return (*h)[i].due < (*h)[j].due }
func (h *delayHeap) Swap(i, j int)      { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *delayHeap) Push(x any)         { d, _ := x.(delayed); *h = append(*h, d) }
func (h *delayHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = delayed{}
	*h = (*h)[:last]
	return d
}

func (s *Scheduler) delayLocked(c *procpool.Call, wait time.Duration) {
	if wait <= 0 {
		s.placeLocked(c, markBack, (*lines).put)
		s.dispatchLocked()
		return
	}
	c.Slot.Mark = markDelayed
	d := delayed{c, s.now() + int64(wait)}
	heap.Push(&s.delays.all, d)
	s.delays.n++
	if s.delays.all[0] == d {
		s.armDelaysLocked()
	}
}

func (s *Scheduler) armDelaysLocked() {
	if s.delays.timer != nil {
		s.delays.timer.Stop()
		s.delays.timer = nil
	}
	if len(s.delays.all) > 0 && !s.ended {
		s.delays.timer = time.AfterFunc(time.Duration(s.delays.all[0].due-s.now()), s.delayOver)
	}
}

// delayOver puts the calls whose time has come back into the queue.
func (s *Scheduler) delayOver() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	var refused []*procpool.Call
	refusal := s.fleet.refusal()
	for now := s.now(); len(s.delays.all) > 0 && s.delays.all[0].due <= now; {
		d, _ := heap.Pop(&s.delays.all).(delayed)
		if d.call.Slot.Mark != markDelayed {
			continue
		}
		s.delays.n--
		if refusal != nil && !d.call.Finished() {
			s.counters.refused++
			s.overLocked(d.call)
			refused = append(refused, d.call)
			continue
		}
		s.placeLocked(d.call, markBack, (*lines).put)
	}
	s.armDelaysLocked()
	s.telling.Add(1)
	s.dispatchLocked()
	s.mu.Unlock()
	finishAll(refused, refusal)
	s.told()
}

// undelayLocked ends the wait of a call that is given up, and books nothing.
func (s *Scheduler) undelayLocked(c *procpool.Call) {
	s.delays.n--
	s.overLocked(c)
}
