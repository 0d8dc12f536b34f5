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

// Started says that a launched worker is ready. Each such worker is later
// reported to Exited.
func (s *Scheduler) Started(number int, link Link, t Traits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
	now := s.now()
	w := newWorker(number, link, t, now)
	w.bindings = s.keys
	s.workers[number] = w
	s.counters.starts++
	s.eventLocked(Event{Kind: WorkerReady, Worker: number, PID: w.pid})
	w.limit = s.fleet.ready(number, now)
	if t.Proved {
		w.worked = true
		s.fleet.proved(number)
	}
	if s.ended {
		link.Kill(nil)
		return
	}
	s.steerLocked()
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
	s.fleet.failed(number, s.now(), err)
	refused, refusal := s.lossLocked(Loss{Start: err})
	if refusal == nil {
		refused, refusal = s.refuseLocked()
	}
	s.steerLocked()
	s.dispatchLocked()
	s.telling.Add(1)
	s.mu.Unlock()
	finishAll(refused, refusal)
	s.told()
	s.checkGone()
}

// refuseLocked takes what waits out of the queue when no worker is left to run it,
// and none could be started for a while.
func (s *Scheduler) refuseLocked() (refused []*procpool.Call, refusal error) {
	if refusal = s.fleet.refusal(); refusal == nil || s.ended {
		return nil, nil
	}
	for _, w := range s.workers {
		if w.active() > 0 {
			return nil, nil // it retires, and may yet leave calls behind
		}
	}
	refused = s.emptyQueueLocked()
	s.queue.disperse()
	return refused, refusal
}

// emptyQueueLocked takes all that waits out of the queue, to be refused.
func (s *Scheduler) emptyQueueLocked() (calls []*procpool.Call) {
	take := func(q *lines) {
		for c := q.first(); c != nil; c = q.first() {
			s.displaceLocked(c)
			items := uint64(s.sealLocked(c))
			s.overLocked(c)
			if c.Finished() {
				s.counters.cancelled += items
				continue
			}
			s.counters.refused += items
			calls = append(calls, c)
		}
	}
	for _, w := range s.workers {
		for _, l := range w.lanes {
			take(&l.own)
		}
	}
	take(&s.queue.lines)
	return calls
}

func finishAll(calls []*procpool.Call, err error) {
	for _, c := range calls {
		if own := actorRefusal(c); own != nil {
			c.Finish(nil, own)
			continue
		}
		c.Finish(nil, err)
	}
}

// Exited says that a worker is gone, for whatever reason. Calls it had started
// fail, or are run again where they may; those it had not go elsewhere; another
// worker is launched where one is missing. It is called once for each worker, when
// Replies can't be called any more, and blocks until a Send in progress has
// returned.
func (s *Scheduler) Exited(number int, r Report) {
	s.mu.Lock()
	w := s.workers[number]
	if w == nil {
		s.mu.Unlock()
		return
	}
	w.dead = true
	for _, l := range w.lanes {
		s.notIdleLocked(l)
	}
	s.awaitSendLocked(w)
	s.settleLocked(w, r.Replies, true)
	s.telling.Add(2)
	if len(w.finishing) > 0 {
		// A pack whose answers are not complete may be split where one is missing:
		// not before the others are told.
		s.mu.Unlock()
		w.tell()
		s.mu.Lock()
	}
	crashed, failures, worked := s.blameLocked(w, r)
	failures = append(w.failures, failures...)
	w.failures = nil
	delete(s.workers, number)
	if !w.spare && !w.retiring {
		s.lanes -= w.slots
	}
	w.stopTimers()
	s.releaseKeysLocked(w)
	refused, refusal := s.mournLocked(w, r.Crash, worked || w.worked)
	s.dispatchLocked()
	s.mu.Unlock()
	for _, o := range crashed {
		s.reportCrash(o.call, o.item, o.err)
		o.call.FinishItem(o.item, nil, o.err)
	}
	for _, f := range failures {
		s.reportCrash(f.call, 0, f.attempt.Err)
	}
	finishAll(refused, refusal)
	s.told()
	if len(failures) > 0 {
		go s.consider(failures)
	} else {
		s.told()
	}
	s.checkGone()
}

// reportCrash tells of a crash that a call was running in, before the call hears of
// it.
func (s *Scheduler) reportCrash(c *procpool.Call, item int, err error) {
	if crash, ok := err.(*procpool.CrashError); ok && s.cfg.OnCrash != nil { //nolint:errorlint // it was made here
		s.cfg.OnCrash(c, item, crash)
	}
}

// mournLocked tells of a worker's end and sees to its replacement. It returns the
// calls that are to be refused because no worker is left, and why.
func (s *Scheduler) mournLocked(w *worker, death procpool.CrashError, worked bool) (refused []*procpool.Call, refusal error) {
	if s.ended {
		s.fleet.gone(w.number, s.now(), false, nil)
		return nil, nil
	}
	event := Event{Kind: WorkerExited, Worker: w.number, PID: death.PID, Err: &death}
	if w.leaving {
		s.counters.retired++
		event.Kind, event.Reason = WorkerRetired, w.why.String()
		if death.ExitCode == 0 {
			event.Err = nil
		}
	}
	s.eventLocked(event)
	early := !w.leaving && !worked && time.Duration(s.now()-w.born) < settled
	var err error
	if early {
		err = &procpool.StartError{
			Reason:   fmt.Sprintf("workers die before they start their first call (%s)", death.Reason),
			ExitCode: death.ExitCode, Output: death.Stderr,
		}
	}
	s.fleet.gone(w.number, s.now(), early, err)
	if !w.leaving {
		refused, refusal = s.lossLocked(Loss{Death: &death, Worked: worked})
	}
	if early && refusal == nil {
		refused, refusal = s.refuseLocked()
	}
	s.steerLocked()
	return refused, refusal
}
