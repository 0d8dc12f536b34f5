package sched

// AddCalls adds what other counts of calls, and of workers that came and went, for a
// pool that has several schedulers. What workers do at the moment is left as it is.
func (s *Stats) AddCalls(other Stats) {
	s.Queued += other.Queued
	s.QueuedBytes += other.QueuedBytes
	s.Delayed += other.Delayed
	s.Running += other.Running
	s.Submitted += other.Submitted
	s.Succeeded += other.Succeeded
	s.Failed += other.Failed
	s.Cancelled += other.Cancelled
	s.Refused += other.Refused
	s.Requeued += other.Requeued
	s.Crashes += other.Crashes
	s.Killed += other.Killed
	s.Starts += other.Starts
	s.StartFailures += other.StartFailures
	s.Senseless += other.Senseless
	s.Retried += other.Retried
	s.TimedOut += other.TimedOut
	s.Retired += other.Retired
}

// Add adds what the end of another scheduler cut short.
func (e *Ended) Add(other Ended) {
	e.Running += other.Running
	e.Queued += other.Queued
	for _, task := range other.Tasks {
		e.add(task)
	}
}
