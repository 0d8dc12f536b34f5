package sched

import (
	"errors"
	"time"
)

// errEnded is what a wait for a restart ends with when the pool does.
var errEnded = errors.New("procpool: the pool was closed before all workers were replaced")

// steerLocked carries out what the fleet orders, and sees to it that it is asked
// again in time. It reports whether there were any orders.
func (s *Scheduler) steerLocked() (orders bool) {
	if s.ended || !s.began || s.steering {
		return false
	}
	s.steering = true
	now := s.now()
	for plan := s.fleet.orders(now, s.loadLocked()); len(plan) > 0; plan = s.fleet.orders(now, s.loadLocked()) {
		for _, o := range plan {
			s.obeyLocked(o)
		}
		orders = true
	}
	s.steering = false
	s.answerTicketsLocked()
	s.armSteerLocked(s.fleet.wake(s.loadLocked()))
	return orders
}

func (s *Scheduler) obeyLocked(o order) {
	if o.kind == orderLaunch {
		s.starting++
		s.cfg.Launch(o.number)
		return
	}
	w := s.workers[o.number]
	if w == nil {
		return
	}
	if o.kind == orderRetire {
		s.retireLocked(w, o.why)
		return
	}
	w.spare, w.idle = false, s.now()
	s.lanes += w.slots
	for _, l := range w.lanes {
		s.maybeIdleLocked(l)
	}
}

// loadLocked tells the fleet what the calls look like. Only where workers may come
// and go with the load does it matter who idles.
func (s *Scheduler) loadLocked() (l load) {
	l.waiting = (s.queue.count + s.cfg.Concurrency - 1) / s.cfg.Concurrency
	if l.waiting > 0 {
		l.since = s.queue.oldest()
	}
	for _, w := range s.workers {
		if w.stuck() {
			l.stuck++
		}
		if w.held > 0 || w.spare || w.retiring || w.dead {
			continue
		}
		l.idle++
		if l.idlest == 0 || w.idle < l.idleSince {
			l.idlest, l.idleSince = w.number, w.idle
		}
	}
	return l
}

// armSteerLocked has the fleet asked at a time in the scheduler's clock, 0 for not
// at all.
func (s *Scheduler) armSteerLocked(at int64) {
	if s.steerAt == at {
		return
	}
	s.steerAt = at
	if s.steer != nil {
		s.steer.Stop()
	}
	if at != 0 {
		s.steer = time.AfterFunc(time.Duration(at-s.now()), s.steerNow)
	}
}

// growsLocked reports whether the fleet has to be asked because calls wait, for which
// there are to be more workers when the first of them has waited long enough.
func (s *Scheduler) growsLocked() bool {
	return s.queue.count > 0 && !s.fleet.full() && (s.steerAt == 0 || s.steerAt > s.queue.oldest()+int64(s.cfg.GrowAfter))
}

func (s *Scheduler) steerNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steerAt = 0
	s.steerLocked()
	s.dispatchLocked()
}

// retireLocked feeds a worker nothing more. What it was sent ahead goes elsewhere;
// when what it runs has ended it is asked to leave.
func (s *Scheduler) retireLocked(w *worker, why retireReason) {
	if w.retiring || w.dead {
		return
	}
	if !w.spare {
		s.lanes -= w.slots
	}
	w.retiring, w.spare, w.why = true, false, why
	for _, l := range w.lanes {
		s.notIdleLocked(l)
		if l.held > 1 && why != retireCalls { // or else it would not get to its number
			s.withdrawAheadLocked(l)
		}
	}
	s.leaveLocked(w)
}

// leaveLocked asks a retiring worker that holds nothing any more to leave.
func (s *Scheduler) leaveLocked(w *worker) {
	if !w.retiring || w.leaving || w.dead || w.held > 0 || w.fenced() {
		return
	}
	w.leaving = true
	s.releaseKeysLocked(w)
	w.link.Stop()
}

// Start launches the first worker; the others follow when it is ready.
func (s *Scheduler) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = true
	s.steerLocked()
}

// Resize changes how many workers there are to be. It waits for nobody: workers
// that are too many take no calls any more, and leave when those they run have
// ended.
func (s *Scheduler) Resize(low, high int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet.resize(low, high)
	s.elastic = low < high
	s.steerLocked()
	s.dispatchLocked()
}

// Due has a worker replaced because of the memory that it uses.
func (s *Scheduler) Due(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet.due(number, retireMemory)
	s.steerLocked()
	s.dispatchLocked()
}

// ticket is somebody who waits for a restart.
type ticket struct {
	number int
	over   chan error
}

// Restart has all workers of the moment replaced, one after the other. The channel
// gets nil when the last of them is gone, or an error when the scheduler ends first.
func (s *Scheduler) Restart() <-chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := ticket{over: make(chan error, 1)}
	if s.closed {
		t.over <- errEnded
		return t.over
	}
	t.number = s.fleet.restart()
	s.tickets = append(s.tickets, t)
	s.steerLocked()
	s.dispatchLocked()
	return t.over
}

func (s *Scheduler) answerTicketsLocked() {
	kept := s.tickets[:0]
	for _, t := range s.tickets {
		if s.fleet.restarted(t.number) {
			t.over <- nil
			continue
		}
		kept = append(kept, t)
	}
	clear(s.tickets[len(kept):])
	s.tickets = kept
}
