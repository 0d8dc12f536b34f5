package executor

import (
	"time"

	"github.com/procpool/procpool"
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
	// killed for a call that went on; it is replaced.
	WorkerExited
	// WorkerRetired says that a worker has left as it was asked to: it was
	// replaced by another, or is no longer needed.
	WorkerRetired
	// FinalizerFailed says that the finalizer of a worker that leaves has failed.
	FinalizerFailed
	// TaskProgress says how far a running call has come (see procpool.Report). A
	// listener that is slow is told the last report of each call, not all.
	TaskProgress
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
	case WorkerRetired:
		return "worker retired"
	case FinalizerFailed:
		return "finalizer failed"
	case TaskProgress:
		return "task progress"
	}
	return "invalid"
}

// Event is something that happened to a worker of the pool, or a call in it.
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
	// *procpool.CrashError of an exit or of a retirement that ended in a kill, the
	// error of a finalizer.
	Err error
	// Reason says why a worker was retired: "idle", "surplus", "calls", "age",
	// "memory", "restart".
	Reason string

	// Task, Call and Attempt tell of a report which call it is of: the task's
	// name, the call's number (see procpool.CallInfo) and which run of it.
	Task    string
	Call    int64
	Attempt int
	// Progress is the report.
	Progress procpool.Progress
}

func kindOfEvent(k sched.EventKind) EventKind {
	switch k {
	case sched.WorkerStartFailed:
		return WorkerStartFailed
	case sched.WorkerExited:
		return WorkerExited
	case sched.WorkerRetired:
		return WorkerRetired
	case sched.FinalizerFailed:
		return FinalizerFailed
	case sched.WorkerReady:
	}
	return WorkerReady
}
