package proc

import "time"

// Usage is what a running child and its descendants use.
type Usage struct {
	// Memory is the memory in use in bytes, counted as for [Spec.MemoryLimit], but what several processes
	// share counts once for each. A descendant whose parent has died is not seen.
	Memory int64
	// CPU is the processor time that they have used so far and that of the children they waited for, in
	// steps of 10 ms.
	CPU time.Duration
	// Stopped reports that a signal such as SIGSTOP has stopped the child itself. One that a debugger
	// holds is not stopped in this sense.
	Stopped bool
}
