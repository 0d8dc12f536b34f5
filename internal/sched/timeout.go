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
	item := -1
	if s.giveUpLocked(l, c, seq, again) && !again.decided {
		item = int(seq - c.Slot.Seq)
	}
	s.telling.Add(1)
	s.dispatchLocked()
	s.mu.Unlock()
	if item >= 0 {
		c.FinishItem(item, nil, err)
	}
	s.told()
}

// overtimeLocked returns the call that the lane runs and its number if it has run
// longer than it may. If not, it sees to the next look.
func (s *Scheduler) overtimeLocked(l *lane) (c *procpool.Call, seq uint64, over bool) {
	l.alarmAt = 0
	w := l.worker
	if s.ended || s.workers[w.number] != w || l.held == 0 || l.graceSeq != 0 {
		return nil, 0, false
	}
	now := s.now()
	seq, finished, ran := w.link.Progress(l.index)
	if !w.recorder {
		// What was sent has started, alone.
		seq, finished, ran = l.base, 0, time.Duration(now)
	}
	if c = l.at(seq); c != nil && finished < seq && c.Timeout() > 0 && c.Slot.Mark == markSent {
		// A call can't have run before it was sent, whatever its worker says.
		ran = max(min(ran, time.Duration(now-c.Slot.Stamp)-c.Record(procpool.Started).Wait), 0)
		if ran >= c.Timeout() {
			return c, seq, true
		}
		s.watchTimeLocked(l, now+int64(c.Timeout()-ran))
		return nil, 0, false
	}
	for q := l.base; q < l.next; q++ {
		if c := l.at(q); c != nil && c.Timeout() > 0 && c.Slot.Mark == markSent {
			s.watchTimeLocked(l, now+int64(c.Timeout()))
		}
	}
	return nil, 0, false
}

// giveUpLocked stops an attempt that has run too long. It reports false when the
// call has ended after all.
func (s *Scheduler) giveUpLocked(l *lane, c *procpool.Call, seq uint64, again rerun) bool {
	if last := s.withdrawLocked(l, seq); last > seq || l.at(seq) != c {
		s.watchTimeLocked(l, s.now()) // the next call runs by now
		return false
	}
	s.counters.timedOut++
	if again.decided {
		c.Slot.Mark = markAgain
	} else {
		s.counters.failed++
		c.Slot.Mark = markRevoked
	}
	s.startGraceLocked(l, seq, again)
	return true
}
