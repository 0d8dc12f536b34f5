package sched

import "github.com/procpool/procpool"

// Report is what is known of a worker that is gone.
type Report struct {
	// Crash holds the facts about the death, without those of a call.
	Crash procpool.CrashError
	// Started and Finished are the last calls that did so by the flight
	// recorder. PageOK is false where there is none or it makes no sense:
	// then all that was sent had started.
	Started, Finished uint64
	PageOK            bool
	// Replies are those that never reached the host but were found in the
	// recorder.
	Replies []Reply
}

// blameLocked tells apart what a dead worker had started, which it returns as
// failed, and what not, which it puts back into the queue. It also returns the
// last call that had started, 0 for none.
func (s *Scheduler) blameLocked(w *worker, r Report) (crashed []outcome, started uint64) {
	started, finished := r.Started, r.Finished
	switch {
	case !r.PageOK || !w.recorder || started > w.sendEnd || started < w.ran || finished > started:
		started, finished = w.sendEnd, 0
	case w.alone:
		// It has been aboard too many dead workers to be innocent.
		started = w.sendEnd
	case w.fenced:
		// What was fenced off has not run, even if it was about to be declined
		// when the worker died.
		started = min(started, w.fenceLimit)
	}
	suspects, victims := 0, uint64(0)
	for seq := max(w.base, finished+1); seq <= started; seq++ {
		if w.at(seq) != nil {
			suspects++
		}
	}
	var unstarted []*procpool.Call
	for seq := w.base; seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil {
			continue
		}
		if seq > started {
			c = s.takeBackLocked(w, c, seq)
			if seq <= w.sendEnd {
				c.Slot.Victims++
			}
			unstarted = append(unstarted, c)
			continue
		}
		e := r.Crash
		e.Task, e.Attempt, e.Finished, e.Suspects = c.Task(), int(c.Slot.Attempts)+1, seq <= finished, suspects
		crashed = append(crashed, outcome{call: c, item: int(seq - c.Slot.Seq), err: &e})
		if c.Slot.Mark != markRevoked {
			victims++
		}
		if w.forget(seq, c) {
			s.overLocked(c)
		}
	}
	clear(w.outbox)
	w.outbox = nil
	s.requeueLocked(unstarted)
	s.counters.failed += victims
	if victims > 0 {
		s.counters.crashes++ // and not for a kill of ours
	}
	return crashed, started
}
