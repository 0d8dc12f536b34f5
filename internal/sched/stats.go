package sched

// counters count calls, each item of a pack for itself.
type counters struct {
	submitted, succeeded, failed, cancelled, refused, requeued uint64
	senseless, crashes, killed, starts, startFailures          uint64
	retried, timedOut, retired                                 uint64
}

// Stats is a snapshot of the scheduler's counts. Calls are counted one by one,
// also those in a pack, which however are counted as one while the pack waits in
// the queue and may still grow.
type Stats struct {
	// Workers are those that live, of which Idle have nothing to do and Busy
	// have; Spares take no calls yet and Retiring none any more. Starting have
	// been launched and are not ready.
	Workers, Starting, Idle, Busy, Spares, Retiring int
	// Queued counts what waits in the queue, a pack once; QueuedBytes are the
	// payloads. Delayed waits for another attempt.
	Queued, Delayed int
	QueuedBytes     int64
	// Nested counts the nested calls without an outcome. Those of them that wait do
	// not count as queued.
	Nested int
	// Running counts what the workers have been given and not answered.
	Running int

	// Submitted are the calls handed to Enqueue and EnqueueNested. Each ends as one of:
	// Succeeded; Failed, by its task or by a crash; Cancelled, by its future
	// or its context; Refused, which is also what happens to those that Kill
	// ends.
	Submitted, Succeeded, Failed, Cancelled, Refused uint64
	// Requeued counts how often a call that had been sent ahead was taken
	// back.
	Requeued uint64
	// Crashes counts the workers that died with calls that had started. Killed
	// counts those that the scheduler killed before its end, Starts and
	// StartFailures the attempts to start one. Senseless counts answers that
	// made no sense.
	Crashes, Killed, Starts, StartFailures, Senseless uint64
	// Retried counts attempts that failed and were followed by another, TimedOut
	// those that ran too long, Retired the workers that left as they were asked.
	Retried, TimedOut, Retired uint64
}

// Stats returns the counts of the moment. It takes the scheduler's lock for a
// short time.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counters
	st := Stats{
		Workers: len(s.workers), Starting: s.starting,
		Queued: s.queue.n, QueuedBytes: s.queue.bytes, Delayed: s.delays.n, Nested: s.nested,
		Submitted: c.submitted, Succeeded: c.succeeded, Failed: c.failed, Cancelled: c.cancelled, Refused: c.refused, Requeued: c.requeued,
		Crashes: c.crashes, Killed: c.killed, Starts: c.starts, StartFailures: c.startFailures, Senseless: c.senseless,
		Retried: c.retried, TimedOut: c.timedOut, Retired: c.retired,
	}
	for _, w := range s.workers {
		st.Running += w.held
		switch {
		case w.spare:
			st.Spares++
		case w.retiring:
			st.Retiring++
		case w.held > 0:
			st.Busy++
		default:
			st.Idle++
		}
	}
	return st
}
