package sched

import (
	"fmt"
	"time"

	"github.com/procpool/procpool"
)

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

// SetServed says which tasks the workers serve.
func (s *Scheduler) SetServed(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.functionLocked(name).served = true
	}
	s.served = true
}

// Grow launches n workers.
func (s *Scheduler) Grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.launchLocked()
	}
}

func (s *Scheduler) launchLocked() {
	if s.killed {
		return
	}
	s.numbers++
	s.starting++
	s.cfg.Launch(s.numbers)
}

// Started says that a launched worker is ready. Each such worker is later
// reported to Exited.
func (s *Scheduler) Started(number int, link Link, recorder bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
	w := newWorker(number, link, recorder)
	s.workers[number] = w
	s.counters.starts++
	s.restarts.succeeded()
	s.eventLocked(Event{Kind: WorkerReady, Worker: number, PID: link.PID()})
	if s.killed {
		link.Kill()
		return
	}
	s.maybeIdleLocked(w)
	s.dispatchLocked()
}

// StartFailed says that a launched worker never became ready. It is tried again
// after a while that grows with each failure; when several fail in a row and no
// worker is left, what waits is refused with the error until one starts.
func (s *Scheduler) StartFailed(number int, err error) {
	s.mu.Lock()
	s.starting--
	s.counters.startFailures++
	s.eventLocked(Event{Kind: WorkerStartFailed, Worker: number, Err: err})
	refused := s.retryLocked(err)
	s.checkGoneLocked()
	s.mu.Unlock()
	finishAll(refused, err)
}

// retryLocked plans the next attempt after a failed start. It returns the calls
// that are to be refused for it.
func (s *Scheduler) retryLocked(err error) (refused []*procpool.Call) {
	if s.killed {
		return nil
	}
	delay := s.restarts.failed(err)
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.retries, timer)
		s.launchLocked()
	})
	s.retries[timer] = struct{}{}
	if s.restarts.refusal() == nil || len(s.workers) > 0 {
		return nil
	}
	refused = s.emptyQueueLocked()
	s.counters.refused += uint64(len(refused))
	s.queue.admit(len(s.queue.turns))
	s.checkDrainedLocked()
	return refused
}

func (s *Scheduler) emptyQueueLocked() (calls []*procpool.Call) {
	for s.queue.head != nil {
		c := s.queue.head
		s.queue.remove(c)
		c.Seal()
		s.overLocked(c)
		calls = append(calls, c)
	}
	return calls
}

func finishAll(calls []*procpool.Call, err error) {
	for _, c := range calls {
		c.Finish(nil, err)
	}
}

// Exited says that a worker is gone, for whatever reason. Calls it had started
// fail; those it had not go elsewhere; another worker is launched.
func (s *Scheduler) Exited(number int, r Report) {
	s.mu.Lock()
	w := s.workers[number]
	if w == nil {
		s.mu.Unlock()
		return
	}
	s.settleLocked(w, r.Replies)
	delete(s.workers, number)
	s.notIdleLocked(w)
	w.stopGrace()
	crashed, unstarted := s.sortDeadLocked(w, r)
	if w.isAhead {
		w.isAhead = false
		s.ahead--
	}
	for _, c := range unstarted {
		c.Slot.Victims++
	}
	s.requeueLocked(unstarted)
	if len(crashed) > 0 {
		s.counters.crashes++
	}
	var (
		refused []*procpool.Call
		early   error
	)
	death := r.Crash
	if !s.killed {
		s.eventLocked(Event{Kind: WorkerExited, Worker: number, PID: death.PID, Err: &death})
		if w.served || len(crashed) > 0 {
			s.launchLocked()
		} else {
			early = &procpool.StartError{
				Reason:   fmt.Sprintf("workers die before they start their first call (%s)", death.Reason),
				ExitCode: death.ExitCode, Output: death.Stderr,
			}
			refused = s.retryLocked(early)
		}
	}
	s.dispatchLocked()
	s.checkDrainedLocked()
	s.checkGoneLocked()
	s.mu.Unlock()
	w.tell()
	for _, o := range crashed {
		o.call.FinishItem(o.item, nil, o.err)
	}
	finishAll(refused, early)
}

// sortDeadLocked tells apart what a dead worker had started and what not.
func (s *Scheduler) sortDeadLocked(w *worker, r Report) (crashed []outcome, unstarted []*procpool.Call) {
	started, finished := r.Started, r.Finished
	if !r.PageOK || started >= w.next || started < w.last || finished > started {
		started, finished = w.next-1, 0
	}
	if w.alone {
		started = max(started, w.next-1)
	}
	w.unsend(max(w.sent, w.sendEnd, started))
	suspects := 0
	for seq := w.base; seq <= started && seq < w.next; seq++ {
		if w.at(seq) != nil && seq > finished {
			suspects++
		}
	}
	for seq := w.base; seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil {
			continue
		}
		if seq > started {
			unstarted = append(unstarted, s.takeBackLocked(w, c, seq))
			continue
		}
		item := int(seq - c.Slot.Seq)
		c.Slot.Attempts++
		e := r.Crash
		e.Task, e.Attempt, e.Finished, e.Suspects = c.Task(), int(c.Slot.Attempts), seq <= finished, suspects
		if w.forget(seq, c) {
			s.overLocked(c)
		}
		crashed = append(crashed, outcome{call: c, item: item, err: &e})
	}
	return crashed, unstarted
}

// Drain refuses new calls and returns a channel that is closed once all others
// have ended.
func (s *Scheduler) Drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue.admit(len(s.queue.turns))
	s.checkDrainedLocked()
	return s.drained
}

func (s *Scheduler) checkDrainedLocked() {
	if !s.closed || s.queue.head != nil {
		return
	}
	for _, w := range s.workers {
		if w.held > 0 {
			return
		}
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// Kill ends everything: calls that have not ended fail with ErrClosed, workers
// are killed, none is launched. The channel is closed when the last worker is
// gone. It returns how many calls it ended, running and queued.
func (s *Scheduler) Kill() (gone <-chan struct{}, running, queued int) {
	s.mu.Lock()
	s.endLocked()
	given := s.emptyQueueLocked()
	queued = len(given)
	for _, w := range s.workers {
		for seq := w.base; seq < w.next; seq++ {
			if c := w.at(seq); c != nil && (len(given) == 0 || given[len(given)-1] != c) {
				given = append(given, c)
			}
		}
		w.stopGrace()
		w.link.Kill()
	}
	running = len(given) - queued
	s.checkGoneLocked()
	s.mu.Unlock()
	finishAll(given, procpool.ErrClosed)
	return s.gone, running, queued
}

// Stop asks the workers, which have nothing to do any more, to leave, and starts
// none. The channel is closed when the last is gone.
func (s *Scheduler) Stop() (gone <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked()
	for _, w := range s.workers {
		w.link.Stop()
	}
	s.checkGoneLocked()
	return s.gone
}

// endLocked refuses calls from now on and sees to it that no timer starts
// anything any more.
func (s *Scheduler) endLocked() {
	s.closed, s.killed = true, true
	for timer := range s.retries {
		timer.Stop()
		delete(s.retries, timer)
	}
	if s.overrun != nil {
		s.overrun.Stop()
	}
	s.queue.admit(len(s.queue.turns))
}

func (s *Scheduler) checkGoneLocked() {
	if !s.killed || len(s.workers) > 0 || s.starting > 0 {
		return
	}
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
}
