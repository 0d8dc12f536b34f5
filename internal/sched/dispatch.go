package sched

import (
	"slices"
	"time"

	"github.com/procpool/procpool"
)

// suspectAfter is after how many deaths of workers with a call aboard unstarted
// that call travels alone, in case it kills by merely being received.
const suspectAfter = 3

// dispatchLocked gives calls that wait to idle lanes, and has the fleet asked if
// that is of interest to it. It lets go of the lock while it sends.
func (s *Scheduler) dispatchLocked() {
	s.feedIdleLocked()
	if s.cfg.Once && s.queue.count > 0 {
		s.fleet.stale = true // it has to launch a worker for the call
	}
	// What the fleet orders lets calls be given out, and these may be the last of a
	// worker, for which the fleet has to see to another.
	for (s.fleet.stale || s.elastic && s.growsLocked()) && s.steerLocked() {
		s.feedIdleLocked()
	}
	s.letInLocked()
}

func (s *Scheduler) feedIdleLocked() {
	var tried []*lane // that refused, so that each has its turn and none has it for ever
	for again := true; again; {
		again = false
		waiting := s.queue.waiting()
		var refused []*lane
		for l := s.idleLaneLocked(); l != nil; l = s.idleLaneLocked() {
			s.notIdleLocked(l)
			if !s.feedLocked(l) {
				refused = append(refused, l)
				continue
			}
			again = again || len(refused) > 0 // what they refused may be gone
			s.pumpLocked(l.worker)
		}
		again = again || len(refused) > 0 && s.queue.waiting() != waiting
		// What waited may have been over already; then an idle lane may take
		// work from a busy one.
		taken := s.counters.requeued
		for _, l := range refused {
			s.maybeIdleLocked(l)
		}
		tried = append(tried, refused...)
		// In the place of a lane that refused another one of its worker may idle now,
		// for which calls wait.
		again = again || s.counters.requeued != taken ||
			slices.ContainsFunc(s.wanted, func(l *lane) bool { return !slices.Contains(tried, l) })
	}
}

// idleLaneLocked returns an idle lane for which there may be work, nil when there
// is none. Calls that wait for a lane of their own come first. Of several lanes
// the one that was used last is taken: it is still awake, its caches are warm, and
// the others may sleep on. Where workers run several calls, the worker with the
// fewest is, so that the death of one hurts few.
func (s *Scheduler) idleLaneLocked() *lane {
	for len(s.wanted) > 0 {
		l := s.wanted[len(s.wanted)-1]
		s.wanted = s.wanted[:len(s.wanted)-1]
		if l.isWanted = false; l.own.count > 0 && l.isIdle {
			return l
		}
	}
	c := s.queue.first()
	if len(s.idle) == 0 || c == nil {
		return nil
	}
	if nested(c) && c.Key() != "" {
		if l := s.hintedLocked(c); l != nil {
			return l
		}
	}
	best := s.idle[len(s.idle)-1]
	if best.worker.held == 0 {
		return best
	}
	for i := len(s.idle) - 2; i >= 0; i-- {
		if l := s.idle[i]; l.worker.held < best.worker.held {
			best = l
		}
	}
	return best
}

// feedLocked assigns to a lane what it has room for; it reports whether that was
// anything.
func (s *Scheduler) feedLocked(l *lane) bool {
	c := s.nextLocked(l)
	if c == nil {
		return false
	}
	now := s.now()
	// The others get work too where there is enough to be worth their waking.
	share := (s.queue.waiting() + s.lanes - 1) / max(s.lanes, 1)
	fed := 0
	for ; c != nil; c = s.nextLocked(l) {
		if fed >= share && l.load >= worthSharing {
			break
		}
		f, _ := c.Slot.Group.(*function)
		n := l.room(c, f)
		if n == 0 || s.shunsLocked(l.worker, c) {
			break
		}
		key := s.holdKeyLocked(l, c)
		s.displaceLocked(c)
		if items := s.cutLocked(c, f, n); items > 0 {
			s.assignLocked(l, c, f, items, now)
			fed++
		}
		if key != nil {
			key.uses--
		}
	}
	if fed == 0 {
		return false
	}
	s.notIdleLocked(l)
	s.noteAheadLocked(l)
	return true
}

// shunsLocked reports whether a suspect had better wait for another worker, since calls
// wait in this one that would die with it. There must be one that may come to be free,
// or else it might wait for those that wait for it. A dead one is as good until it is
// gone, when it is replaced or not and this is asked again.
func (s *Scheduler) shunsLocked(w *worker, c *procpool.Call) bool {
	if w.waiting == 0 || !suspect(c) {
		return false
	}
	for _, other := range s.workers {
		if other.waiting == 0 && !other.spare && !other.retiring {
			return true
		}
	}
	return s.starting > 0
}

// cutLocked makes a call that was taken from the queue ready for a lane that has
// room for n of its items: it seals it and puts what is over back. It returns how
// many items are left to run, 0 when the call is over.
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
	s.placeLocked(s.splitLocked(c, n), markBack, (*lines).pushFront)
}

// shareLocked returns how many of a pack's items one lane may take, so that the
// others get some where there is enough to be worth their waking.
func (s *Scheduler) shareLocked(f *function, items int) int {
	if f.slow == 0 || s.queue.waiting() >= s.lanes {
		return items
	}
	return max((items+s.lanes-1)/max(s.lanes, 1), int(worthSharing/f.slow), 1)
}

func (s *Scheduler) assignLocked(l *lane, c *procpool.Call, f *function, items int, now int64) {
	w := l.worker
	l.put(c, items, f.predict(c))
	c.Slot.Mark, c.Slot.Owner = markSent, l
	c.Note(w.number, w.pid, int(c.Slot.Attempts)+1, time.Duration(max(now-c.Slot.Stamp, 0)))
	l.outbox = append(l.outbox, c)
	if c.Timeout() > 0 {
		s.watchTimeLocked(l, now+int64(c.Timeout()))
	}
	if suspect(c) {
		w.suspect, w.alone = true, true
		for _, other := range w.lanes {
			s.notIdleLocked(other)
		}
	}
	w.idle = 0
	if w.given += items; w.limit > 0 {
		s.fleet.used(w.number, w.given, now)
	}
	if hot := f.slow > 0 && f.slow <= hotBelow; hot != w.hot {
		w.hot = hot
		w.link.SetHot(hot)
	}
}

// splitLocked cuts the items of c from n on off into a call of their own.
func (s *Scheduler) splitLocked(c *procpool.Call, n int) *procpool.Call {
	rest := c.Split(n)
	rest.Slot.Stamp += int64(n)
	rest.Slot.Group, rest.Slot.Mark = c.Slot.Group, c.Slot.Mark
	rest.Slot.Cost = int64(len(rest.Payload()))
	c.Slot.Cost = int64(len(c.Payload()))
	if wt, ok := c.Slot.Watch.(*watch); ok {
		wt.link(rest)
	}
	return rest
}
