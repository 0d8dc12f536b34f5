package sched

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
)

// admitLocked decides whether the call may be queued, and waits for room. It
// books the calls that it refuses.
func (s *Scheduler) admitLocked(ctx context.Context, c *procpool.Call) error {
	err := s.refusalLocked(c)
	for err == nil {
		if len(s.queue.turns) == 0 && s.roomLocked(c.Slot.Cost) {
			return nil
		}
		if c.NoWait() {
			err = fmt.Errorf("%w: %d calls with %d bytes wait in it", procpool.ErrQueueFull, s.queue.n, s.queue.bytes)
			break
		}
		t := s.queue.wait(c.Slot.Cost)
		s.mu.Unlock()
		ended := false
		select {
		case <-t.ready:
		case <-ctx.Done():
			ended = true
		}
		s.mu.Lock()
		granted := s.queue.quit(t)
		if ended {
			s.letInLocked() // what was granted, or whoever stood behind
			items := uint64(c.Seal())
			s.counters.submitted += items
			s.counters.cancelled += items
			c.Slot.Mark = markOver
			return procpool.CancelError(ctx, c)
		}
		if err = s.refusalLocked(c); err == nil && granted {
			return nil
		}
	}
	s.letInLocked() // it may have been granted room
	items := uint64(c.Seal())
	s.counters.submitted += items
	s.counters.refused += items
	c.Slot.Mark = markOver
	return err
}

// refusalLocked returns the error with which the call is to be refused even if
// there is room for it.
func (s *Scheduler) refusalLocked(c *procpool.Call) error {
	if s.closed && s.over == nil && actorRefusal(c) == nil && (s.ended || !closesActor(c)) {
		return procpool.ErrClosed
	}
	return s.unfitLocked(c)
}

// unfitLocked returns the error with which the call is to be refused whatever else is
// under way.
func (s *Scheduler) unfitLocked(c *procpool.Call) error {
	f := s.functionLocked(c.Task())
	c.Slot.Group = f
	if err := actorRefusal(c); err != nil {
		return err
	}
	if s.over != nil {
		return s.over
	}
	if s.served && !f.served {
		return s.cfg.Unknown(c)
	}
	if c.Slot.Cost > s.cfg.MaxPayload {
		return s.tooLarge(c, c.Slot.Cost)
	}
	return s.fleet.refusal()
}

func (s *Scheduler) tooLarge(c *procpool.Call, size int64) error {
	return fmt.Errorf("%w: the argument of task %q takes %d bytes, the pool's MaxPayload is %d: send less, or raise it",
		procpool.ErrTooLarge, c.Task(), size, s.cfg.MaxPayload)
}

// roomLocked reports whether the queue may grow by a call of that many bytes. An
// empty queue takes any call, however large.
func (s *Scheduler) roomLocked(cost int64) bool {
	n, bytes := s.queue.n+s.queue.granted, s.queue.bytes+s.queue.grantedBytes
	return n == 0 || n < s.cfg.QueueSize && bytes+cost <= s.cfg.QueueBytes
}

// letInLocked grants the first of the blocked submitters what room there is. It
// is called whenever the queue may have become shorter.
func (s *Scheduler) letInLocked() {
	for len(s.queue.turns) > 0 && s.roomLocked(s.queue.turns[0].cost) {
		s.queue.grant()
	}
}
