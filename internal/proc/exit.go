package proc

import (
	"fmt"
	"syscall"
	"time"
)

// OOM says whether a process ended for want of memory.
type OOM uint8

// The degrees of certainty about a death for want of memory.
const (
	OOMNo     OOM = iota // nothing points to it
	OOMLikely            // it looks like it: an allocation error was printed, or the kernel killed somebody for memory meanwhile
	OOMYes               // the memory limit ended it, or its runtime says so
)

// String returns "no", "likely" or "yes".
func (o OOM) String() string {
	switch o {
	case OOMYes:
		return "yes"
	case OOMLikely:
		return "likely"
	default:
		return "no"
	}
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code, -1 when a signal ended the process or its status is unknown.
	Code int
	// Signal is the signal that ended the process, 0 when it exited by itself.
	Signal syscall.Signal
	// MaxRSS is the peak resident memory of the process in bytes, 0 when it is not known: Linux counts
	// the peak of the host into that of a process it starts, so a smaller one is hidden by it.
	MaxRSS int64
	// User and System are the processor time of the process and of the children it waited for.
	User, System time.Duration
	// OOM says whether memory was the cause.
	OOM OOM
	// OverCPU reports that Spec.CPULimit ended the process.
	OverCPU bool
	// Killed reports that Child.Kill ended the process.
	Killed bool
}

// String returns what happened in the words of the os package, such as "exit status 3" or
// "signal: segmentation fault", and whether it was for processor time, which those rarely tell.
func (e Exit) String() string {
	if e.OverCPU {
		return e.status() + " (over its limit of processor time)"
	}
	return e.status()
}

func (e Exit) status() string {
	switch {
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	case e.Code < 0:
		return "exit status unknown"
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}
