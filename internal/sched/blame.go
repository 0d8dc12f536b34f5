package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// Report is what is known of a worker that is gone.
type Report struct {
	// Crash holds the facts about the death, without those of a call.
	Crash procpool.CrashError
	// Lanes tells for each lane how far its calls had come by the flight
	// recorder. PageOK is false where there is none or it makes no sense:
	// then all that was sent had started.
	Lanes  []LaneReport
	PageOK bool
	// Replies are those that never reached the host but were found in the
	// recorder.
	Replies []Reply
}

// LaneReport is how far the calls of a lane had come.
type LaneReport struct {
	// Started and Finished are the last calls that did so.
	Started, Finished uint64
	// Ran is how long ago the last call had started when the worker died, 0
	// where that is not known.
	Ran time.Duration
}

// verdict is what the host makes of a lane of a dead worker.
type verdict struct {
	lane              *lane
	started, finished uint64
	ran               time.Duration
	waited            bool // the last that had started was waiting, and has not done it
}

// judge decides which calls of a lane had started.
func (l *lane) judge(r Report) verdict {
	v := verdict{lane: l, started: l.sendEnd}
	if !r.PageOK || !l.worker.recorder || l.index >= len(r.Lanes) {
		return v
	}
	p := r.Lanes[l.index]
	switch {
	case p.Started > l.sendEnd || p.Started < l.ran || p.Finished > p.Started:
		return v
	case l.victim():
		// It has been aboard too many dead workers to be innocent.
		v.finished = p.Finished
	case l.fenced:
		// What was fenced off has not run, even if it was about to be declined
		// when the worker died.
		v.started, v.finished = min(p.Started, l.fenceLimit), p.Finished
	default:
		v.started, v.finished = p.Started, p.Finished
	}
	v.ran = p.Ran
	return v
}

// suspects counts the calls that ran in the lane, those that waited included or not.
func (v verdict) suspects(waiting bool) (n int) {
	for seq := max(v.lane.base, v.finished+1); seq <= v.started; seq++ {
		if v.lane.at(seq) != nil && (waiting || !v.excuses(seq)) {
			n++
		}
	}
	return n
}

// excuses reports whether the call waited, for nested calls or for its caller, and so is
// not to blame.
func (v verdict) excuses(seq uint64) bool { return v.waited && seq == v.started }

// blameLocked tells apart what a dead worker had started, which it returns as
// failed or to be considered for another run, and what not, which it puts back into
// the queue. worked tells whether it had started any call.
func (s *Scheduler) blameLocked(w *worker, r Report) (crashed []outcome, failures []failure, worked bool) {
	verdicts := make([]verdict, 0, len(w.lanes))
	suspects, failed := 0, 0
	for _, l := range w.lanes {
		v := l.judge(r)
		v.waited = l.waits() && l.loan.seq == v.started || w.recorder && r.PageOK && w.link.Waiting(l.index)
		verdicts = append(verdicts, v)
		suspects += v.suspects(false)
	}
	all := suspects == 0
	if all { // all of them waited
		for _, v := range verdicts {
			suspects += v.suspects(true)
		}
	}
	var unstarted []*procpool.Call
	for _, v := range verdicts {
		l := v.lane
		worked = worked || v.started >= l.first
		for seq := l.base; seq < l.next; seq++ {
			c := l.at(seq)
			if c == nil {
				continue
			}
			if seq > v.started {
				c = s.takeBackLocked(l, c, seq)
				if seq <= l.sendEnd {
					c.Slot.Victims++
				}
				unstarted = append(unstarted, c)
				continue
			}
			if c.Slot.Mark == markSent {
				failed++
			}
			e := r.Crash
			e.Task, e.Attempt, e.Finished, e.Suspects = c.Task(), int(c.Slot.Attempts)+1, seq <= v.finished, suspects
			ran := time.Duration(0)
			if seq == v.started {
				ran = v.ran
			}
			if c.MayRetry() && (c.Slot.Mark == markSent || c.Slot.Mark == markAgain) {
				failures = append(failures, s.failureLocked(l, c, seq, ran, &e, suspects > 1 && !e.Finished && (all || !v.excuses(seq))))
				continue
			}
			if ran > 0 {
				c.NoteRun(ran)
			}
			if c.Slot.Mark != markRevoked { // that one has its outcome, and died for it
				s.counters.failed++
				crashed = append(crashed, outcome{call: c, item: int(seq - c.Slot.Seq), err: &e})
			}
			if l.forget(seq, c); !l.holds(c) {
				s.overLocked(c)
			}
		}
		clear(l.outbox)
		l.outbox = nil
	}
	s.requeueLocked(unstarted)
	if failed > 0 {
		s.counters.crashes++ // and not for a kill of ours
	}
	return crashed, failures, worked
}
