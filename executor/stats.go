package executor

// Stats is a snapshot of a pool. Counts begin with the pool. Operations on shared state
// are no calls here and are not counted.
type Stats struct {
	// Workers live at the moment; Starting are on their way.
	Workers, Starting int
	// Idle workers wait for a call, Busy ones run one, Spares wait to take
	// another's place, Retiring ones take no further calls.
	Idle, Busy, Spares, Retiring int
	// Dedicated processes run a session each, or actors. They are not counted among
	// the workers; their sessions, and the calls of their actors, are among the calls.
	// So are the openings of actors and their closings.
	Dedicated int
	// Actors live at the moment.
	Actors int
	// Guarded reports whether what the workers have started ends with the host
	// even if that is killed. It needs a /bin/sh.
	Guarded bool

	// Queued calls wait for a worker, with QueuedBytes of arguments. The
	// items of a Map that travel together count as one.
	Queued      int
	QueuedBytes int64
	// Delayed calls wait until they are run again (see procpool.Retries).
	Delayed int
	// Running calls are in a worker's hands, those sent ahead included. Nested
	// calls were made by running ones and have not ended.
	Running, Nested int

	// Submitted counts calls that were handed to the pool, Refused those of
	// them that it did not run: for want of room or of the task, or because
	// it was closed before they ended.
	Submitted, Refused uint64
	// Succeeded and Failed calls were answered by a worker. The items of a
	// Map count one by one.
	Succeeded, Failed uint64
	// Cancelled calls were given up by their callers.
	Cancelled uint64
	// Requeued counts calls that were sent to a worker, had not started, and
	// were given to another.
	Requeued uint64
	// Retried counts attempts that failed and were followed by another, TimedOut
	// those that ran longer than their Timeout.
	Retried, TimedOut uint64
	// Crashes counts workers that died running a call, Killed those that the
	// pool killed because a call that had been given up went on, because they
	// hung, or because what they answered made no sense. Retired left as they
	// were asked.
	Crashes, Killed, Retired uint64
	// Starts counts workers that became ready, StartFailures those that did
	// not.
	Starts, StartFailures uint64
	// OutputDropped counts lines that workers printed and Config.Output was
	// too slow for.
	OutputDropped uint64
	// LogsDropped counts log records of tasks that Config.Logger was too slow for.
	LogsDropped uint64
}

func (c *core) stats() Stats {
	guarded, _ := c.spawner.Guarded() // the reason is of no use to a program
	s := c.sched.Stats()
	d, processes := c.dedicated.stats()
	s.AddCalls(d)
	a, homes, actors := c.actors.stats()
	s.AddCalls(a)
	processes += homes
	return Stats{
		Guarded: guarded, Dedicated: processes, Actors: actors,
		Workers: s.Workers, Starting: s.Starting, Idle: s.Idle, Busy: s.Busy, Spares: s.Spares, Retiring: s.Retiring,
		Queued: s.Queued, Delayed: s.Delayed, QueuedBytes: s.QueuedBytes, Running: s.Running, Nested: s.Nested,
		Submitted: s.Submitted, Refused: s.Refused, Succeeded: s.Succeeded, Failed: s.Failed,
		Cancelled: s.Cancelled, Requeued: s.Requeued, Crashes: s.Crashes, Killed: s.Killed, Retired: s.Retired, Retried: s.Retried, TimedOut: s.TimedOut,
		Starts: s.Starts, StartFailures: s.StartFailures, OutputDropped: c.output.dropped.Load(), LogsDropped: c.logs.dropped.Load(),
	}
}
