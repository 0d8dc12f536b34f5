package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// suspectAfter is after how many deaths of workers with a call aboard unstarted
// that call travels alone, in case it kills by merely being received.
const suspectAfter = 3

// overrunTick is how often the scheduler looks whether a call takes longer than
// expected and holds up what was sent behind it.
const overrunTick = 2 * time.Millisecond

// dispatchLocked gives queued calls to idle workers, the most recently used
// first: it is still awake, its caches are warm, and the others may sleep on.
func (s *Scheduler) dispatchLocked() {
	for s.queue.head != nil && len(s.idle) > 0 {
		w := s.idle[len(s.idle)-1]
		s.notIdleLocked(w)
		if !s.feedLocked(w) {
			s.maybeIdleLocked(w)
			return
		}
		s.pumpLocked(w)
	}
	s.letInLocked()
}

// feedLocked assigns to w what it has room for; it reports whether that was
// anything.
func (s *Scheduler) feedLocked(w *worker) bool {
	fed := false
	for c := s.queue.head; c != nil; c = s.queue.head {
		n := w.room(c)
		if n == 0 {
			break
		}
		s.queue.remove(c)
		items := c.Seal()
		c.Slot.Cost = int64(len(c.Payload()))
		if n = min(n, s.shareLocked(c, items)); n < items {
			s.queue.pushFront(s.splitLocked(c, n))
		}
		s.assignLocked(w, c)
		fed = true
	}
	s.noteAheadLocked(w)
	return fed
}

// shareLocked returns how many items like those of c one worker may take, so
// that the others get work too where there is enough to be worth their waking.
func (s *Scheduler) shareLocked(c *procpool.Call, items int) int {
	f := c.Slot.Group.(*function)
	if !f.measured() {
		return 1
	}
	workers := max(len(s.workers), 1)
	share := (s.queue.n + items + workers - 1) / workers
	return max(share, int(worthSharing/f.slow), 1)
}

func (s *Scheduler) assignLocked(w *worker, c *procpool.Call) {
	w.put(c)
	c.Slot.Mark, c.Slot.Owner = markSent, w
	wait := s.now() - c.Slot.Stamp
	c.Note(w.number, w.link.PID(), int(c.Slot.Attempts)+1, time.Duration(wait))
	w.outbox = append(w.outbox, c)
	w.alone = c.Slot.Victims >= suspectAfter
	f := c.Slot.Group.(*function)
	if hot := f.measured() && f.slow <= hotBelow; hot != w.hot {
		w.hot = hot
		w.link.SetHot(hot)
	}
}

// splitLocked cuts the items of c from n on off into a call of their own.
func (s *Scheduler) splitLocked(c *procpool.Call, n int) *procpool.Call {
	rest := c.Split(n)
	rest.Slot.Group, rest.Slot.Estimate = c.Slot.Group, c.Slot.Estimate
	rest.Slot.Cost = int64(len(rest.Payload()))
	c.Slot.Cost = int64(len(c.Payload()))
	if wt, ok := c.Slot.Watch.(*watch); ok {
		wt.link(rest)
	}
	return rest
}

// maybeIdleLocked counts w as idle if it is, and finds it something to do.
func (s *Scheduler) maybeIdleLocked(w *worker) {
	if w.held > 0 || w.fenced || w.isIdle || len(w.outbox) > 0 || s.workers[w.number] != w {
		return
	}
	w.alone = false
	w.isIdle = true
	s.idle = append(s.idle, w)
	if s.queue.head == nil && s.ahead > 0 {
		s.stealLocked()
	}
}

func (s *Scheduler) notIdleLocked(w *worker) {
	if !w.isIdle {
		return
	}
	w.isIdle = false
	for i := len(s.idle) - 1; i >= 0; i-- {
		if s.idle[i] == w {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// stealLocked takes back what some worker was sent ahead, since another idles.
func (s *Scheduler) stealLocked() {
	for _, w := range s.workers {
		if w.isAhead && !w.fenced && w.load >= worthSharing {
			started, _, _ := w.link.Progress(lane)
			s.withdrawLocked(w, max(started, w.base))
			return
		}
	}
}

// noteAheadLocked keeps count of the workers that hold more than they run, and
// the timer going while there are any.
func (s *Scheduler) noteAheadLocked(w *worker) {
	ahead := w.held > 1
	if ahead == w.isAhead {
		return
	}
	w.isAhead = ahead
	if !ahead {
		s.ahead--
		return
	}
	s.ahead++
	if s.overrun == nil {
		s.overrun = time.AfterFunc(overrunTick, s.checkOverruns)
	}
}

// checkOverruns withdraws what waits behind a call that has run since the last
// look.
func (s *Scheduler) checkOverruns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overrun = nil
	for _, w := range s.workers {
		if !w.isAhead || w.fenced {
			continue
		}
		started, _, _ := w.link.Progress(lane)
		if started != w.tickSeq || started < w.base {
			w.tickSeq = started
			continue
		}
		s.withdrawLocked(w, started)
	}
	s.dispatchLocked()
	if s.ahead > 0 && !s.killed {
		s.overrun = time.AfterFunc(overrunTick, s.checkOverruns)
	}
}
