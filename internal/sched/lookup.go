package sched

import "github.com/procpool/procpool"

// CallAt returns the call that a worker runs on a lane under a number, and which
// attempt of it that is. It returns nil when there is none, or when the call has been
// given up.
func (s *Scheduler) CallAt(number int, lane uint32, seq uint64) (c *procpool.Call, attempt int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[number]
	if w == nil || int64(lane) >= int64(len(w.lanes)) {
		return nil, 0
	}
	c = w.lanes[lane].at(seq)
	if c == nil || c.Slot.Mark != markSent {
		return nil, 0
	}
	return c, int(c.Slot.Attempts) + 1
}
