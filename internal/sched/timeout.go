package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// watchTimeLocked has the lane looked at when one of its calls may have run too
// long. One timer serves all calls of a lane: it fires as early as any of them can
// be over its time, and looks which one runs.
func (s *Scheduler) watchTimeLocked(l *lane, at int64) {
	if l.alarmAt != 0 && l.alarmAt <= at {
		return
	}
	l.alarmAt = at
	wait := time.Duration(at - s.now())
	if l.alarm == nil {
		l.alarm = time.AfterFunc(wait, func() { s.alarm(l) })
		return
	}
	l.alarm.Reset(wait)
}

func (l *lane) stopAlarm() {
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarmAt = 0
	}
}

// alarm gives up the call of a lane that has run longer than it may.
func (s *Scheduler) alarm(l *lane) {
	s.mu.Lock()
	c, seq, over := s.overtimeLocked(l)
	if !over {
		s.mu.Unlock()
		return
	}
	var (
		err   error = &procpool.TimeoutError{Task: c.Task(), Limit: c.Timeout(), Attempt: int(c.Slot.Attempts) + 1}
		again rerun
	)
	if c.MayFailAgain() {
		// Whether to run it again is for the caller's code to say, without the
		// lock. It may end by itself meanwhile.
		failures := int(c.Slot.Failures) + 1
		s.mu.Unlock()
		wait, yes, final := c.Retry(failures, err)
		again = rerun{decided: yes, wait: wait, err: err}
		if !yes {
			err = final
		}
		s.mu.Lock()
		now, _, over := s.overtimeLocked(l)
		if over && now != c {
			s.watchTimeLocked(l, s.now())
		}
		if now != c {
			s.mu.Unlock()
			return
		}
	}
	c = s.giveUpLocked(l, c, seq, again)
	s.telling.Add(1)
	s.dispatchLocked()
	s.mu.Unlock()
	if c != nil && !again.decided {
		c.FinishItem(0, nil, err)
	}
	s.told()
}

// overtimeLocked returns the call that the lane runs and its number if it has run
// longer than it may. If not, it sees to the next look.
func (s *Scheduler) overtimeLocked(l *lane) (c *procpool.Call, seq uint64, over bool) {
	l.alarmAt = 0
	w := l.worker
	if s.ended || w.dead || l.held == 0 || l.graceSeq != 0 {
		return nil, 0, false
	}
	now := s.now()
	seq, finished, ran := w.link.Progress(l.index)
	if !w.recorder {
		// What was sent has started, alone.
		seq, finished, ran = l.base, 0, time.Duration(now)
	}
	if c = l.at(seq); c != nil && finished < seq && c.Timeout() > 0 && c.Slot.Mark == markSent {
		// Whatever its worker says, a call can't have run before it was sent, and
		// has run since it was first seen to.
		if l.seenSeq != seq {
			l.seenSeq, l.seenAt = seq, now
		}
		ran = min(ran, time.Duration(now-c.Slot.Stamp)-c.Record(procpool.Started).Wait)
		ran = max(ran, time.Duration(now-l.seenAt))
		if ran >= c.Timeout() {
			return c, seq, true
		}
		s.watchTimeLocked(l, now+int64(c.Timeout()-ran))
	}
	for q := max(l.base, seq+1); q < l.next; q++ {
		if c := l.at(q); c != nil && c.Timeout() > 0 && c.Slot.Mark == markSent {
			s.watchTimeLocked(l, now+int64(c.Timeout()))
		}
	}
	return nil, 0, false
}

// giveUpLocked stops an attempt that has run too long, and returns the call, or the
// item of a pack as a call of its own: nil when it has ended after all.
func (s *Scheduler) giveUpLocked(l *lane, c *procpool.Call, seq uint64, again rerun) *procpool.Call {
	if last := s.withdrawLocked(l, seq); last > seq || l.at(seq) != c {
		s.watchTimeLocked(l, s.now()) // the next call runs by now
		return nil
	}
	c = s.aloneLocked(l, c, seq)
	s.counters.timedOut++
	if again.decided {
		c.Slot.Mark = markAgain
	} else {
		s.counters.failed++
		c.Slot.Mark = markRevoked
	}
	s.startGraceLocked(l, seq, again)
	return c
}
