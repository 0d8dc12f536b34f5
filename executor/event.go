package executor

import (
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// EventKind says what happened to a worker.
type EventKind uint8

// What can happen to a worker.
const (
	// WorkerReady says that a worker started and takes calls.
	WorkerReady EventKind = iota + 1
	// WorkerStartFailed says that a worker could not be started; it is tried
	// again.
	WorkerStartFailed
	// WorkerExited says that a worker died, idle or running a call, or was
	// killed for a cancelled call; it is replaced.
	WorkerExited
)

// String returns the kind in words.
func (k EventKind) String() string {
	switch k {
	case WorkerReady:
		return "worker ready"
	case WorkerStartFailed:
		return "worker start failed"
	case WorkerExited:
		return "worker exited"
	}
	return "invalid"
}

// Event is something that happened to a worker of the pool.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// Time is when the pool noticed.
	Time time.Time
	// Worker is the worker's number, counted from 1 and never used again.
	Worker int
	// PID is the worker's process id, 0 where it has none.
	PID int
	// Err is the *procpool.StartError of a start that failed, the
	// *procpool.CrashError of an exit.
	Err error
}

func eventSink(listener func(Event)) func(sched.Event) {
	if listener == nil {
		return nil
	}
	return func(e sched.Event) {
		kind := WorkerReady
		switch e.Kind {
		case sched.WorkerStartFailed:
			kind = WorkerStartFailed
		case sched.WorkerExited:
			kind = WorkerExited
		case sched.WorkerReady:
		}
		listener(Event{Kind: kind, Time: time.Now(), Worker: e.Worker, PID: e.PID, Err: e.Err})
	}
}

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

	// Submitted calls were accepted, Refused ones were not.
	Submitted, Refused uint64
	// Succeeded and Failed calls were answered by a worker. The items of a
	// Map count one by one.
	Succeeded, Failed uint64
	// Cancelled calls were given up by their callers.
	Cancelled uint64
	// Requeued counts calls that were sent to a worker, had not started, and
	// were given to another.
	Requeued uint64
	// Crashes counts workers that died running a call, Killed those that were
	// killed because a cancelled call went on.
	Crashes, Killed uint64
	// Starts counts workers that became ready, StartFailures those that did
	// not.
	Starts, StartFailures uint64
	// OutputDropped counts lines that workers printed and Config.Output was
	// too slow for.
	OutputDropped uint64
}

// Stats returns the pool's counts of the moment. It is cheap and may be called
// often.
func (c *core) Stats() Stats {
	s := c.sched.Stats()
	return Stats{
		Workers: s.Workers, Starting: s.Starting, Idle: s.Idle, Busy: s.Busy,
		Queued: s.Queued, QueuedBytes: s.QueuedBytes, Running: s.Running,
		Submitted: s.Submitted, Refused: s.Refused, Succeeded: s.Succeeded, Failed: s.Failed,
		Cancelled: s.Cancelled, Requeued: s.Requeued, Crashes: s.Crashes, Killed: s.Killed,
		Starts: s.Starts, StartFailures: s.StartFailures, OutputDropped: c.output.dropped.Load(),
	}
}
