package executor

// Stats is a snapshot of a pool. Counts begin with the pool.
type Stats struct {
	// Workers live at the moment; Starting are on their way.
	Workers, Starting int
	// Idle workers wait for a call, Busy ones run one.
	Idle, Busy int
	// Queued calls wait for a worker, with QueuedBytes of arguments. The
	// items of a Map that travel together count as one.
	Queued      int
	QueuedBytes int64
	// Running calls are in a worker's hands, those sent ahead included.
	Running int

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
	// Crashes counts workers that died running a call, Killed those that the
	// pool killed because a cancelled call went on or what they answered made
	// no sense.
	Crashes, Killed uint64
	// Starts counts workers that became ready, StartFailures those that did
	// not.
	Starts, StartFailures uint64
	// OutputDropped counts lines that workers printed and Config.Output was
	// too slow for.
	OutputDropped uint64
}

func (c *core) stats() Stats {
	s := c.sched.Stats()
	return Stats{
		Workers: s.Workers, Starting: s.Starting, Idle: s.Idle, Busy: s.Busy,
		Queued: s.Queued, QueuedBytes: s.QueuedBytes, Running: s.Running,
		Submitted: s.Submitted, Refused: s.Refused, Succeeded: s.Succeeded, Failed: s.Failed,
		Cancelled: s.Cancelled, Requeued: s.Requeued, Crashes: s.Crashes, Killed: s.Killed,
		Starts: s.Starts, StartFailures: s.StartFailures, OutputDropped: c.output.dropped.Load(),
	}
}
