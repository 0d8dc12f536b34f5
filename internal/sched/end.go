package sched

import (
	"slices"

	"github.com/procpool/procpool"
)

// Refuse takes no new calls but nested ones. They are taken until Drain has found that
// nothing is left.
func (s *Scheduler) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseNewLocked()
}

func (s *Scheduler) refuseNewLocked() {
	s.closed = true
	s.queue.disperse()
}

// Drain refuses new calls and returns a channel that is closed once all others
// have ended.
func (s *Scheduler) Drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseNewLocked()
	s.leaves = true
	s.draining.Store(true)
	s.checkDrainedLocked()
	return s.drained
}

func (s *Scheduler) checkDrainedLocked() {
	if !s.draining.Load() || s.queue.waiting() > 0 || s.delays.n > 0 || s.telling.Load() > 0 {
		return
	}
	for _, w := range s.workers {
		if w.held > 0 {
			return
		}
	}
	for _, quiet := range s.quiet {
		close(quiet)
	}
	s.quiet = nil
	if s.leaves && !s.isDrainedLocked() {
		close(s.drained)
	}
}

func (s *Scheduler) isDrainedLocked() bool {
	select {
	case <-s.drained:
		return true
	default:
		return false
	}
}

// Ended is what the end of a scheduler cut short.
type Ended struct {
	// Running and Queued count the calls that were given up. Those that wait
	// for another attempt count as queued.
	Running, Queued int
	// Tasks are the names of the tasks that were running, each once.
	Tasks []string
}

// Kill ends everything: calls that have not ended fail with ErrClosed, workers
// are killed, none is launched. The channel is closed when the last worker is
// gone. It returns what it ended.
func (s *Scheduler) Kill() (gone <-chan struct{}, what Ended) {
	s.mu.Lock()
	s.endLocked()
	waiting := s.emptyQueueLocked()
	waiting = append(waiting, s.emptyDelaysLocked()...)
	for _, c := range waiting {
		what.Queued += c.Items()
	}
	for _, w := range s.workers {
		for _, l := range w.lanes {
			s.refuseHeldLocked(l, &what)
		}
		w.stopTimers()
		w.link.Kill(nil)
	}
	s.telling.Add(1)
	s.mu.Unlock()
	finishAll(waiting, procpool.ErrClosed)
	s.told()
	s.checkGone()
	return s.gone, what
}

// Stop asks the workers, which have nothing to do any more, to leave, and starts
// none. The channel is closed when the last is gone.
func (s *Scheduler) Stop() (gone <-chan struct{}) {
	s.mu.Lock()
	s.endLocked()
	for _, w := range s.workers {
		if !w.leaving {
			w.leaving = true
			w.link.Stop()
		}
	}
	s.mu.Unlock()
	s.checkGone()
	return s.gone
}

// endLocked refuses calls from now on and sees to it that no timer starts
// anything any more.
func (s *Scheduler) endLocked() {
	s.closed, s.ended, s.leaves = true, true, true
	s.draining.Store(true)
	s.fleet.end()
	s.armSteerLocked(0)
	s.armDelaysLocked()
	if s.overrun != nil {
		s.overrun.Stop()
	}
	for _, t := range s.tickets {
		t.over <- errEnded
	}
	s.tickets = nil
	s.queue.disperse()
}

// refuseHeldLocked gives the calls that a lane holds their outcome, and counts
// them. It does so under the lock: without it they could be split.
func (s *Scheduler) refuseHeldLocked(l *lane, what *Ended) {
	for seq := l.base; seq < l.next; seq++ {
		c := l.at(seq)
		if c == nil || c.Slot.Mark == markRevoked {
			continue
		}
		items := endOf(c) - seq + 1
		s.revokedLocked(c)
		if c.Finish(nil, procpool.ErrClosed) {
			s.counters.refused += items
			what.Running += int(items)
			what.add(c.Task())
		} else {
			s.counters.cancelled += items
		}
	}
}

func (e *Ended) add(task string) {
	if !slices.Contains(e.Tasks, task) {
		e.Tasks = append(e.Tasks, task)
	}
}

func (s *Scheduler) checkGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkGoneLocked()
}

func (s *Scheduler) checkGoneLocked() {
	if !s.ended || len(s.workers) > 0 || s.starting > 0 || s.telling.Load() > 0 {
		return
	}
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
}
