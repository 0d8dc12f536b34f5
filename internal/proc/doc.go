// Package proc runs one child process from its start to its reap.
//
// A [Spawner] starts children from one operating system thread; a [Child] is one of them. The package
// knows nothing of pools or protocols: it owns the pipes, the process group, the limits and the exit
// status, and promises that nothing of a child is left behind.
//
// # Exit
//
// On every exit, a crash included, the same steps are taken: wait for the exit without reaping, kill the
// process group, take it out of guard, reap. While the leader is not reaped its process id, which is also
// the id of its group, cannot be given to anybody else, so the kill cannot hit a stranger. Only then is
// [Child.Done] closed. A process that still holds the pipes (one that left the group) delays nothing.
//
// # The death of the host
//
// Standard input is a pipe whose write end only the host holds: its end tells a child that the host is
// gone, or, after [Child.CloseStdin], that it should leave. On Linux the kernel also kills a child when
// the thread that made it ends (Pdeathsig), which is why one locked thread makes them all.
//
// Neither reaches what a child started, and the first not a child that does not read. So a host with children has a
// guardian: one small process, a shell with a script of a few lines in a session of its own, which is
// told of every process group and kills them all when its pipe to the host ends. [Spawner.Guarded] tells
// whether it is there; nothing fails or waits for want of it.
//
// # Output
//
// Two goroutines per child read its output and never stop before its end, whatever is printed. Lines are
// bounded by [Spec.MaxLine], what is kept of them by [Spec.TailBytes].
//
// # Platforms
//
// Linux has everything. On other Unix systems there is no Pdeathsig, so there all rests on the guardian,
// and the group is killed right after the reap instead of right before it. On Windows there is no guardian
// and only the process itself is ended, not what it started. Limits, niceness and [Child.Usage] need
// Linux; elsewhere the error matches [errors.ErrUnsupported].
package proc
