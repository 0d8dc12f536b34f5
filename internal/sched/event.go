package sched

// EventKind says what happened to a worker.
type EventKind uint8

// What can happen to a worker.
const (
	WorkerReady EventKind = iota
	WorkerStartFailed
	WorkerExited
	WorkerRetired
	FinalizerFailed
)

// Event is something that happened to a worker.
type Event struct {
	Kind   EventKind
	Worker int
	PID    int
	Err    error  // a *procpool.CrashError for WorkerExited
	Reason string // why a worker was retired
}

// eventQueue hands events to their listener one at a time and in order, on a
// goroutine that lives while there are any.
type eventQueue struct {
	pending []Event
	heard   chan struct{} // closed when that goroutine ends; nil when there is none
}

func (s *Scheduler) eventLocked(e Event) {
	if s.cfg.OnEvent == nil {
		return
	}
	q := &s.events
	q.pending = append(q.pending, e)
	if q.heard == nil {
		q.heard = make(chan struct{})
		go s.tellEvents()
	}
}

// Tell has an event heard that somebody else noticed.
func (s *Scheduler) Tell(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eventLocked(e)
}

func (s *Scheduler) tellEvents() {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.events
	for len(q.pending) > 0 {
		batch := q.pending
		q.pending = nil
		s.mu.Unlock()
		for _, e := range batch {
			s.cfg.OnEvent(e)
		}
		s.mu.Lock()
	}
	close(q.heard)
	q.heard = nil
}

// WaitEvents blocks until all events so far have been heard.
func (s *Scheduler) WaitEvents() {
	s.mu.Lock()
	heard := s.events.heard
	s.mu.Unlock()
	if heard != nil {
		<-heard
	}
}
