package sched

import (
	"cmp"
	"fmt"

	"github.com/procpool/procpool"
)

// Parent names a running call that makes nested ones. The zero Parent is a caller
// outside of the scheduler's workers, which has no slot to lend.
type Parent struct {
	Worker int
	Lane   uint32
	Seq    uint64
}

// EnqueueNested takes a call that the running call p makes, depth calls deep (rule
// 6.12). It does not block. An error says why the call is refused, and whoever made it
// has to finish it.
//
// Nested calls go before all others, the deepest first. They do not count in the
// queue, but have bounds of their own, and are taken until all that runs has ended.
func (s *Scheduler) EnqueueNested(c *procpool.Call, p Parent, depth int) error {
	c.Slot.Cost = int64(len(c.Payload()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.submitted++
	ln, err := s.admitNestedLocked(c, p, depth)
	if err != nil {
		s.counters.refused++
		s.dispatchLocked()
		return err
	}
	s.stamp = max(s.stamp+1, s.now())
	c.Slot.Stamp, c.Slot.Depth, c.Slot.Watch = s.stamp, uint16(max(depth, 1)), ln
	c.Hold(s)
	s.nested++
	s.placeLocked(c, markBack, (*lines).pushBack)
	s.lendLocked(ln)
	if s.ahead > 0 {
		s.overtakeLocked(c)
	}
	s.dispatchLocked()
	return nil
}

// admitNestedLocked decides whether a nested call is taken, and returns what ties it to
// its parent.
func (s *Scheduler) admitNestedLocked(c *procpool.Call, p Parent, depth int) (*loan, error) {
	if s.ended || s.isDrainedLocked() {
		return nil, cmp.Or(actorRefusal(c), procpool.ErrClosed)
	}
	ln, why := s.loanLocked(p)
	switch {
	case why != "":
	case depth > s.cfg.NestingDepth:
		why = fmt.Sprintf("it would be nested %d calls deep, and Config.NestingDepth is %d", depth, s.cfg.NestingDepth)
	case s.nested >= s.cfg.NestedCalls:
		why = fmt.Sprintf("%d nested calls are under way, and Config.NestedCalls is %d", s.nested, s.cfg.NestedCalls)
	default:
		return ln, s.unfitLocked(c)
	}
	return nil, procpool.NestingError(c.Task(), why)
}

// loanLocked returns the loan of a running call, or why it can't have one. The caller
// has to dispatch either way.
func (s *Scheduler) loanLocked(p Parent) (ln *loan, why string) {
	if p == (Parent{}) {
		return &s.strangers, ""
	}
	l, c := s.runningLocked(p)
	switch {
	case c == nil:
		return nil, "the call that makes it has ended"
	case c.Slot.Mark != markSent || c.Finished():
		return nil, "the call that makes it was given up"
	}
	if ln = s.loanForLocked(l, p.Seq); ln.calls == 0 && !s.canLendLocked(l.worker) {
		why = fmt.Sprintf("its worker has %d lanes, and calls that wait for nested ones hold all but the last", l.worker.maxLanes)
		if s.cfg.Extra > 0 {
			why += fmt.Sprintf("; so it is in %d workers, and Config.MaxDedicated allows for no more in their place", s.cfg.Extra)
		}
		return nil, why
	}
	return ln, ""
}

// runningLocked returns the call that a worker runs, and its lane; nil when it does not
// run there any more.
func (s *Scheduler) runningLocked(p Parent) (*lane, *procpool.Call) {
	w := s.workers[p.Worker]
	if w == nil || w.dead || int64(p.Lane) >= int64(len(w.lanes)) {
		return nil, nil
	}
	l := w.lanes[p.Lane]
	if p.Seq > l.sendEnd || l.loan != nil && p.Seq < l.loan.seq {
		return nil, nil
	}
	return l, l.at(p.Seq)
}

// DepthOf returns how deeply a call is nested that runs in a worker, 0 for one that no
// task has made.
func (s *Scheduler) DepthOf(p Parent) (depth int, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, c := s.runningLocked(p)
	if c == nil {
		return 0, false
	}
	return int(c.Slot.Depth), true
}

// Lend lends the slot of the running call p, as EnqueueNested does, while it waits for
// something that runs elsewhere, such as a session in a process of its own. over, which
// may be called at any time and more than once, ends that. The error, one of a nested
// call of the named task, says why it can't be.
func (s *Scheduler) Lend(p Parent, task string) (over func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, procpool.ErrClosed
	}
	ln, why := s.loanLocked(p)
	if why != "" {
		s.dispatchLocked()
		return nil, procpool.NestingError(task, why)
	}
	s.lendLocked(ln)
	s.dispatchLocked()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if ln != nil {
			s.returnLocked(ln)
			ln = nil
			s.dispatchLocked()
		}
	}, nil
}

// settledLocked ends the wait of the call that has made c, which has its outcome. It
// is nothing to calls that are not nested.
func (s *Scheduler) settledLocked(c *procpool.Call) {
	ln, ok := c.Slot.Watch.(*loan)
	if !ok {
		return
	}
	c.Slot.Watch = nil
	s.nested--
	s.returnLocked(ln)
}
