package sched

import (
	"fmt"
	"time"

	"github.com/procpool/procpool"
)

// SetServed says which tasks the workers serve.
func (s *Scheduler) SetServed(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		f := s.functions[name]
		if f == nil {
			f = &function{name: name}
			s.functions[name] = f
		}
		f.served = true
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
	if s.ended {
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
	w := newWorker(number, link, recorder, s.now())
	s.workers[number] = w
	s.counters.starts++
	s.eventLocked(Event{Kind: WorkerReady, Worker: number, PID: w.pid})
	if s.ended {
		link.Kill()
		return
	}
	if s.retry == nil {
		s.launchOwedLocked(s.owed)
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
	refused := s.retryLocked(number, err)
	s.telling.Add(1)
	s.mu.Unlock()
	finishAll(refused, err)
	s.told()
	s.checkGone()
}

// retryLocked plans the next attempt after the failed start of a worker. It
// returns the calls that are to be refused for it.
func (s *Scheduler) retryLocked(number int, err error) (refused []*procpool.Call) {
	if s.ended {
		return nil
	}
	delay := s.restarts.failed(number, s.numbers, err)
	s.owed++
	if s.retry == nil {
		s.retry = time.AfterFunc(delay, s.retryNow)
	}
	if s.restarts.refusal() == nil || len(s.workers) > 0 {
		return nil
	}
	refused = s.emptyQueueLocked()
	s.queue.disperse()
	return refused
}

// retryNow launches the workers that are owed; once patience has ended, a single
// one, and the others when that has started.
func (s *Scheduler) retryNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retry = nil
	if s.restarts.refusal() != nil {
		s.launchOwedLocked(min(s.owed, 1))
	} else {
		s.launchOwedLocked(s.owed)
	}
}

func (s *Scheduler) launchOwedLocked(n int) {
	s.owed -= n
	for range n {
		s.launchLocked()
	}
}

// emptyQueueLocked takes all that waits out of the queue, to be refused.
func (s *Scheduler) emptyQueueLocked() (calls []*procpool.Call) {
	for c := s.queue.head; c != nil; c = s.queue.head {
		s.queue.remove(c)
		items := uint64(s.sealLocked(c))
		s.overLocked(c)
		if c.Finished() {
			s.counters.cancelled += items
			continue
		}
		s.counters.refused += items
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
// fail; those it had not go elsewhere; another worker is launched. It is called
// once for each worker, when Replies can't be called any more, and blocks until a
// Send in progress has returned.
func (s *Scheduler) Exited(number int, r Report) {
	s.mu.Lock()
	w := s.workers[number]
	if w == nil {
		s.mu.Unlock()
		return
	}
	w.dead = true
	s.notIdleLocked(w)
	s.awaitSendLocked(w)
	s.settleLocked(w, r.Replies, true)
	crashed, started := s.blameLocked(w, r)
	delete(s.workers, number)
	w.stopGrace()
	var (
		refused []*procpool.Call
		early   error
	)
	death := r.Crash
	if !s.ended {
		s.eventLocked(Event{Kind: WorkerExited, Worker: number, PID: death.PID, Err: &death})
		switch {
		case started > 0 || time.Duration(s.now()-w.born) >= settled:
			s.restarts.proved() // a crash is not punished
			s.launchLocked()
		default:
			early = &procpool.StartError{
				Reason:   fmt.Sprintf("workers die before they start their first call (%s)", death.Reason),
				ExitCode: death.ExitCode, Output: death.Stderr,
			}
			refused = s.retryLocked(number, early)
		}
	}
	s.telling.Add(1)
	s.dispatchLocked()
	s.mu.Unlock()
	w.tell()
	for _, o := range crashed {
		o.call.FinishItem(o.item, nil, o.err)
	}
	finishAll(refused, early)
	s.told()
	s.checkGone()
}

// Drain refuses new calls and returns a channel that is closed once all others
// have ended.
func (s *Scheduler) Drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.draining.Store(true)
	s.queue.disperse()
	s.checkDrainedLocked()
	return s.drained
}

func (s *Scheduler) checkDrainedLocked() {
	if !s.closed || s.queue.head != nil || s.telling.Load() > 0 {
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
	waiting := s.emptyQueueLocked()
	for _, c := range waiting {
		queued += c.Items()
	}
	for _, w := range s.workers {
		running += s.refuseHeldLocked(w)
		w.stopGrace()
		w.link.Kill()
	}
	s.telling.Add(1)
	s.mu.Unlock()
	finishAll(waiting, procpool.ErrClosed)
	s.told()
	s.checkGone()
	return s.gone, running, queued
}

// Stop asks the workers, which have nothing to do any more, to leave, and starts
// none. The channel is closed when the last is gone.
func (s *Scheduler) Stop() (gone <-chan struct{}) {
	s.mu.Lock()
	s.endLocked()
	for _, w := range s.workers {
		w.link.Stop()
	}
	s.mu.Unlock()
	s.checkGone()
	return s.gone
}

// endLocked refuses calls from now on and sees to it that no timer starts
// anything any more.
func (s *Scheduler) endLocked() {
	s.closed, s.ended = true, true
	s.draining.Store(true)
	if s.retry != nil {
		s.retry.Stop()
	}
	if s.overrun != nil {
		s.overrun.Stop()
	}
	s.queue.disperse()
}

// refuseHeldLocked gives the calls that w holds their outcome, and returns how
// many it were. It does so under the lock: without it they could be split.
func (s *Scheduler) refuseHeldLocked(w *worker) (n int) {
	for seq := w.base; seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil || c.Slot.Mark == markRevoked {
			continue
		}
		items := endOf(c) - seq + 1
		c.Slot.Mark = markRevoked
		if c.Finish(nil, procpool.ErrClosed) {
			s.counters.refused += items
			n += int(items)
		} else {
			s.counters.cancelled += items
		}
	}
	return n
}

func (s *Scheduler) checkGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended || len(s.workers) > 0 || s.starting > 0 || s.telling.Load() > 0 {
		return
	}
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
}
