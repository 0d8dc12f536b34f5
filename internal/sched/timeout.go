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
	if c.MayRetry() {
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
	s.giveUpLocked(l, c, seq, again, err)
	s.dispatchLocked()
	s.mu.Unlock()
}

// overtimeLocked returns the call that the lane runs and its number if it has run
// longer than it may, the time in which it waited not counted. If not, it sees to the
// next look.
func (s *Scheduler) overtimeLocked(l *lane) (c *procpool.Call, seq uint64, over bool) {
	l.alarmAt = 0
	w := l.worker
	if s.ended || w.dead || l.held == 0 || l.graceSeq != 0 {
		return nil, 0, false
	}
	now := s.now()
	seq, finished, ran := w.link.Progress(l.index)
	waits := w.recorder && w.link.Waiting(l.index)
	if !w.recorder {
		// What was sent has started, alone.
		seq, finished, ran = l.base, 0, time.Duration(now)
		waits = l.pauses()
	}
	if seq > l.sendEnd || seq < l.ran {
		s.killLocked(w, errSenseless)
		return nil, 0, false
	}
	if c = l.at(seq); c != nil && finished < seq && c.Timeout() > 0 && c.Slot.Mark == markSent {
		// Whatever its worker says, a call can't have run before it was sent, and
		// has run since it was first seen to, unless it may have waited.
		again := l.seenSeq == seq
		if !again {
			l.seenSeq, l.seenAt = seq, now
		}
		ran = min(max(ran, 0), time.Duration(now-c.Slot.Stamp)-c.Record(procpool.Started).Wait)
		switch {
		case !w.recorder:
			ran -= l.waited(seq, now)
		case !l.mayWait(c, seq):
			since := time.Duration(now - l.seenAt)
			if waits {
				since -= waitTick // its nested call is on its way here, or it lies
			}
			ran = max(ran, since)
		}
		if ran >= c.Timeout() {
			return c, seq, true
		}
		left := c.Timeout() - ran
		if waits || again && c.Kind().HasValues() {
			left = max(left, waitTick)
		}
		s.watchTimeLocked(l, now+int64(left))
	}
	for q := max(l.base, seq+1); q < l.next; q++ {
		if c := l.at(q); c != nil && c.Timeout() > 0 && c.Slot.Mark == markSent {
			s.watchTimeLocked(l, now+int64(c.Timeout()))
		}
	}
	return nil, 0, false
}

// giveUpLocked stops an attempt that has run too long, unless it has ended after all.
// If it is not to be run again it fails before its worker hears of it, lest the worker's
// answer to that be the outcome.
func (s *Scheduler) giveUpLocked(l *lane, c *procpool.Call, seq uint64, again rerun, err error) {
	if last := s.withdrawLocked(l, seq); last > seq || l.at(seq) != c {
		s.watchTimeLocked(l, s.now()) // the next call runs by now
		return
	}
	c = s.aloneLocked(l, c, seq)
	s.counters.timedOut++
	switch {
	case again.decided:
		c.Slot.Mark = markAgain
	case c.FinishItem(0, nil, err):
		s.revokedLocked(c)
		s.counters.failed++
	default: // its caller has given it up at this moment
		s.revokedLocked(c)
		s.counters.cancelled++
	}
	s.startGraceLocked(l, seq, again)
}

// waitTick is how often at most the scheduler looks how long a call has run that waits
// now and then, which takes no time of its limit.
const waitTick = 5 * time.Millisecond

// mayWait reports whether the call may have spent time that does not count.
func (l *lane) mayWait(c *procpool.Call, seq uint64) bool {
	return c.Kind().HasValues() || l.loan != nil && l.loan.seq == seq
}

// pauses reports whether the lane's call waits for something that the host knows of.
func (l *lane) pauses() bool { return l.loan != nil && l.loan.waits > 0 }

// waited returns how long the call has waited for such things, by the host's books.
func (l *lane) waited(seq uint64, now int64) time.Duration {
	switch {
	case l.loan == nil || l.loan.seq != seq:
		return 0
	case l.pauses():
		return l.loan.waited + time.Duration(now-l.loan.since)
	default:
		return l.loan.waited
	}
}

// goesOnLocked has the time limit of a call looked at that has waited.
func (s *Scheduler) goesOnLocked(l *lane) {
	if c := l.at(l.loan.seq); c != nil && c.Timeout() > 0 && c.Slot.Mark == markSent {
		left := time.Duration(0)
		if l.worker.recorder {
			_, _, ran := l.worker.link.Progress(l.index)
			left = max(c.Timeout()-ran, 0)
		}
		s.watchTimeLocked(l, s.now()+int64(left))
	}
}
