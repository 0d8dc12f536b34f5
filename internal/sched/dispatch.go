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
// first: it is still awake, its caches are warm, and the others may sleep on. It
// lets go of the lock while it sends.
func (s *Scheduler) dispatchLocked() {
	for s.queue.head != nil && len(s.idle) > 0 {
		w := s.idle[len(s.idle)-1]
		s.notIdleLocked(w)
		if s.feedLocked(w) {
			s.pumpLocked(w)
			continue
		}
		refused := s.queue.head != nil // or else what waited was over already
		s.maybeIdleLocked(w)
		if refused {
			break
		}
	}
	s.letInLocked()
}

// feedLocked assigns to w what it has room for; it reports whether that was
// anything.
func (s *Scheduler) feedLocked(w *worker) bool {
	c := s.queue.head
	if c == nil {
		return false
	}
	now := s.now()
	// The others get work too where there is enough to be worth their waking.
	share := (s.queue.n + len(s.workers) - 1) / max(len(s.workers), 1)
	fed := 0
	for ; c != nil; c = s.queue.head {
		if fed >= share && w.load >= worthSharing {
			break
		}
		f, _ := c.Slot.Group.(*function)
		n := w.room(c, f)
		if n == 0 {
			break
		}
		s.queue.remove(c)
		if items := s.cutLocked(c, f, n); items > 0 {
			s.assignLocked(w, c, f, items, now)
			fed++
		}
	}
	if fed == 0 {
		return false
	}
	s.notIdleLocked(w)
	s.noteAheadLocked(w)
	return true
}

// cutLocked makes a call that was taken from the queue ready for a worker that
// has room for n of its items: it seals it and puts what is over back. It returns
// how many items are left to run, 0 when the call is over.
func (s *Scheduler) cutLocked(c *procpool.Call, f *function, n int) int {
	items := s.sealLocked(c)
	if c.Finished() {
		s.counters.cancelled += uint64(items)
		s.overLocked(c)
		return 0
	}
	if c.ItemSizes() == nil {
		return 1
	}
	if fit := s.fittingLocked(c); fit == 0 {
		return 0
	} else if fit < items {
		s.putBackRestLocked(c, fit)
		items = fit
	}
	if n = min(n, s.shareLocked(f, items)); n < items {
		s.putBackRestLocked(c, n)
		items = n
	}
	return items
}

// sealLocked ends the growth of a call that was taken from the queue and returns
// the number of its items, which it counts the first time.
func (s *Scheduler) sealLocked(c *procpool.Call) (items int) {
	items = c.Seal()
	if c.Slot.Mark == markQueued {
		s.counters.submitted += uint64(items) - 1
		c.Slot.Mark = markBack
		c.Slot.Cost = int64(len(c.Payload()))
	}
	return items
}

// fittingLocked returns how many items of a pack, from the first on, are not too
// large. If the first is it is refused, the others are put back, and 0 returned.
// The size of a pack's later items is not known before it is sealed.
func (s *Scheduler) fittingLocked(c *procpool.Call) int {
	sizes := c.ItemSizes()
	if c.Slot.Cost <= s.cfg.MaxPayload {
		return len(sizes)
	}
	for i, size := range sizes {
		if int64(size) <= s.cfg.MaxPayload {
			continue
		}
		if i > 0 {
			return i
		}
		if len(sizes) > 1 {
			s.putBackRestLocked(c, 1)
		}
		s.counters.refused++
		s.overLocked(c)
		c.Finish(nil, s.tooLarge(c, int64(size)))
		return 0
	}
	return len(sizes)
}

// putBackRestLocked puts the items of c from n on back to the front of the queue.
func (s *Scheduler) putBackRestLocked(c *procpool.Call, n int) {
	s.queue.pushFront(s.splitLocked(c, n))
}

// shareLocked returns how many of a pack's items one worker may take, so that the
// others get some where there is enough to be worth their waking.
func (s *Scheduler) shareLocked(f *function, items int) int {
	workers := len(s.workers)
	if f.slow == 0 || s.queue.n >= workers {
		return items
	}
	return max((items+workers-1)/workers, int(worthSharing/f.slow), 1)
}

func (s *Scheduler) assignLocked(w *worker, c *procpool.Call, f *function, items int, now int64) {
	w.put(c, items, f.predicted())
	c.Slot.Mark, c.Slot.Owner = markSent, w
	c.Note(w.number, w.pid, int(c.Slot.Attempts)+1, time.Duration(now-c.Slot.Stamp))
	w.outbox = append(w.outbox, c)
	w.alone = c.Slot.Victims >= suspectAfter
	if hot := f.slow > 0 && f.slow <= hotBelow; hot != w.hot {
		w.hot = hot
		w.link.SetHot(hot)
	}
}

// splitLocked cuts the items of c from n on off into a call of their own.
func (s *Scheduler) splitLocked(c *procpool.Call, n int) *procpool.Call {
	rest := c.Split(n)
	rest.Slot.Group, rest.Slot.Mark = c.Slot.Group, c.Slot.Mark
	rest.Slot.Cost = int64(len(rest.Payload()))
	c.Slot.Cost = int64(len(c.Payload()))
	if wt, ok := c.Slot.Watch.(*watch); ok {
		wt.link(rest)
	}
	return rest
}

// maybeIdleLocked counts w as idle if it is, and finds it something to do.
func (s *Scheduler) maybeIdleLocked(w *worker) {
	if w.held > 0 || w.fenced || w.isIdle || w.dead || s.ended {
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

// stealLocked takes back what the busiest worker was sent ahead, since another
// idles. Its head stays: it is about to start, if it has not.
func (s *Scheduler) stealLocked() {
	var from *worker
	for _, w := range s.workers {
		if w.isAhead && !w.fenced && !w.dead && w.load >= worthSharing && (from == nil || w.load > from.load) {
			from = w
		}
	}
	if from != nil {
		started, _, _ := from.link.Progress(lane)
		s.withdrawLocked(from, max(started, from.base))
	}
}

// noteAheadLocked keeps count of the workers that hold more than they run, and
// the timer going while there are any.
func (s *Scheduler) noteAheadLocked(w *worker) {
	ahead := w.held > 1 && !w.dead
	if ahead == w.isAhead {
		return
	}
	w.isAhead = ahead
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
	if s.ahead > 0 && s.overrun == nil && !s.ended {
		s.overrun = time.AfterFunc(overrunTick, s.checkOverruns)
	}
}
