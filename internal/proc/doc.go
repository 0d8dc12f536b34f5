// Package proc runs one child process from its start to its reap.
//
// A [Spawner] starts children from one operating system thread; a [Child] is one of them. The package
// knows nothing of pools or protocols: it owns the pipes, the process group, the memory limit and the
// exit status, and promises that nothing of a child is left behind.
//
// # Exit
//
// On every exit, a crash included, the same three steps are taken: wait for the exit without reaping,
// kill the process group, reap. While the leader is not reaped its process id, which is also the id of
// its group, cannot be given to anybody else, so the kill cannot hit a stranger. Only then is
// [Child.Done] closed. A process that still holds the pipes (one that left the group) delays nothing.
//
// # The death of the host
//
// Standard input is a pipe whose write end only the host holds: its end tells a child that the host is
// gone, or, after [Child.CloseStdin], that it should leave. On Linux the kernel also kills a child when
// the thread that made it ends (Pdeathsig), which is why one locked thread makes them all.
//
// # Output
//
// Two goroutines per child read its output and never stop before its end, whatever is printed. Lines are
// bounded by [Spec.MaxLine], what is kept of them by [Spec.TailBytes].
//
// # Platforms
//
// Linux has everything. On other Unix systems there is no Pdeathsig, and the group is killed right after
// the reap instead of right before it; on Windows only the process itself is ended, not what it started.
// A memory limit there is refused with an error that matches [errors.ErrUnsupported].
package proc
