package sched

import "github.com/procpool/procpool"

// A scheduler may be the home of actors: one worker, whose state is theirs. Its calls
// are as any others; what differs is that the worker's death may end it all, and that
// an actor's calls can be given up together.

// Loss is a worker that is gone without having been asked to leave, or that could not be
// started.
type Loss struct {
	// Death is how it ended, Worked whether it had started a call. Death is nil for one
	// that could not be started, for which Start says why.
	Death  *procpool.CrashError
	Worked bool
	Start  error
}

// lossLocked asks whether there is to be another worker. If not it returns the calls that
// are to be refused, and why.
func (s *Scheduler) lossLocked(l Loss) (refused []*procpool.Call, why error) {
	if s.cfg.Lost == nil || s.ended || s.over != nil {
		return nil, s.over
	}
	if s.over = s.cfg.Lost(l); s.over == nil {
		return nil, nil
	}
	s.fleet.end()
	s.armSteerLocked(0)
	refused = append(s.emptyQueueLocked(), s.emptyDelaysLocked()...)
	s.queue.disperse()
	return refused, s.over
}

// emptyDelaysLocked takes all that waits for another attempt, to be refused.
func (s *Scheduler) emptyDelaysLocked() (calls []*procpool.Call) {
	for _, d := range s.delays.all {
		if d.call.Slot.Mark != markDelayed {
			continue
		}
		s.undelayLocked(d.call)
		if d.call.Finished() {
			s.counters.cancelled++
			continue
		}
		s.counters.refused++
		calls = append(calls, d.call)
	}
	s.delays.all = nil
	return calls
}

// actorRefusal returns why the call's actor takes it not, nil for no reason.
func actorRefusal(c *procpool.Call) error {
	if a := c.Actor(); a != nil && c.Step() != procpool.StepClose {
		return a.Refusal()
	}
	return nil
}

// closesActor reports whether the call is the last of an actor, which is taken until the
// worker is asked to leave.
func closesActor(c *procpool.Call) bool {
	return c.Actor() != nil && c.Step() == procpool.StepClose
}

// GiveUp ends the calls of an actor, which takes no more, for the reason that it has
// given for that: those that wait never run, those that run are stopped as after a
// cancellation.
func (s *Scheduler) GiveUp(a *procpool.Instance) {
	s.mu.Lock()
	calls := s.callsOfLocked(a)
	s.queue.disperse() // those of other actors come back
	s.mu.Unlock()
	won := calls[:0]
	for _, c := range calls {
		if c.Finish(nil, a.Refusal()) {
			won = append(won, c)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range won {
		s.cancelLocked(c)
	}
	s.dispatchLocked()
	s.checkDrainedLocked()
}

// callsOfLocked returns the calls of an actor, but for the one that closes it.
func (s *Scheduler) callsOfLocked(a *procpool.Instance) (calls []*procpool.Call) {
	add := func(c *procpool.Call) {
		if c != nil && c.Actor() == a && !closesActor(c) {
			calls = append(calls, c)
		}
	}
	waiting := func(q *lines) {
		for _, l := range q.all {
			for c := l.head; c != nil; c = c.Slot.Next {
				add(c)
			}
		}
	}
	for _, w := range s.workers {
		for _, l := range w.lanes {
			for seq := l.base; seq < l.next; seq++ {
				add(l.at(seq))
			}
			waiting(&l.own)
		}
	}
	waiting(&s.queue.lines)
	for _, d := range s.delays.all {
		if d.call.Slot.Mark == markDelayed {
			add(d.call)
		}
	}
	return calls
}

// Caller returns the running call p and how deeply it is nested, nil when it does not run
// any more.
func (s *Scheduler) Caller(p Parent) (c *procpool.Call, depth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, c = s.runningLocked(p); c == nil {
		return nil, 0
	}
	return c, int(c.Slot.Depth)
}

// Quiet returns a channel that is closed when no call waits or runs. More may come
// then.
func (s *Scheduler) Quiet() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet := make(chan struct{})
	s.quiet = append(s.quiet, quiet)
	s.draining.Store(true)
	s.checkDrainedLocked()
	return quiet
}
