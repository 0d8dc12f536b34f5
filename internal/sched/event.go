package sched

import "sync"

// EventKind says what happened to a worker.
type EventKind uint8

// What can happen to a worker.
const (
	WorkerReady EventKind = iota
	WorkerStartFailed
	WorkerExited
)

// Event is something that happened to a worker.
type Event struct {
	Kind   EventKind
	Worker int
	PID    int
	Err    error // a *procpool.CrashError for WorkerExited
}

// eventQueue hands events to their listener one at a time and in order, on a
// goroutine that lives while there are any.
type eventQueue struct {
	pending []Event
	running bool
	idle    sync.WaitGroup
}

func (s *Scheduler) eventLocked(e Event) {
	if s.cfg.OnEvent == nil {
		return
	}
	q := &s.events
	q.pending = append(q.pending, e)
	if q.running {
		return
	}
	q.running = true
	q.idle.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for len(q.pending) > 0 {
			batch := q.pending
			q.pending = nil
			s.mu.Unlock()
			for _, e := range batch {
				s.cfg.OnEvent(e)
			}
			s.mu.Lock()
		}
		q.running = false
	})
}

// WaitEvents blocks until all events so far have been heard.
func (s *Scheduler) WaitEvents() { s.events.idle.Wait() }

type counters struct {
	submitted, succeeded, failed, cancelled, refused, requeued uint64
	late, crashes, killed, starts, startFailures               uint64
}

// Stats is a snapshot of the scheduler's counts.
type Stats struct {
	Workers, Starting, Idle, Busy int
	Queued                        int
	QueuedBytes                   int64
	Running                       int

	Submitted, Succeeded, Failed, Cancelled, Refused, Requeued uint64
	Crashes, Killed, Starts, StartFailures                     uint64
}

// Stats returns the counts of the moment. It takes the scheduler's lock for a
// short time.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counters
	st := Stats{
		Workers: len(s.workers), Starting: s.starting, Idle: len(s.idle),
		Queued: s.queue.n, QueuedBytes: s.queue.bytes,
		Submitted: c.submitted, Succeeded: c.succeeded, Failed: c.failed, Cancelled: c.cancelled, Refused: c.refused, Requeued: c.requeued,
		Crashes: c.crashes, Killed: c.killed, Starts: c.starts, StartFailures: c.startFailures,
	}
	for _, w := range s.workers {
		st.Running += w.held
		if w.held > 0 {
			st.Busy++
		}
	}
	return st
}
