// Package executor is the host's side of procpool: a pool of worker processes
// that takes calls.
//
// [New] starts a [Pool], which is a procpool.Executor: give it to the verbs of
// the handles that procpool.Define and procpool.Remote make. By default the
// workers are this program, run again; main must call workerproc.Init first.
// With [Program] they are any program that speaks the worker contract.
//
// A worker that dies fails only the calls that it had started, with a
// *procpool.CrashError, and is replaced at once. Calls that had been sent to it
// and not started run elsewhere; those that had are run again only where their
// callers have said that this is safe (procpool.Idempotent). The pool is bounded
// in what it queues and in the memory of its workers where [Config] says so. After
// [Pool.Close] returns no process, file, goroutine or descriptor of it is left, and
// when the program is killed its workers end with what they have started.
//
// A session has a process of its own, beside the workers, and so has an actor, unless it
// is procpool.Shared. Tasks make calls of the pool they run in with
// procpool.ExecutorFrom; what they report and log comes to [Config.OnEvent] and
// [Config.Logger].
//
// Beyond that a pool looks after its workers: it grows and shrinks with the load,
// keeps spares, replaces workers by calls, age and memory, finds those that hang,
// and can be resized and restarted while it works. [Config] has a field for each.
//
// Linux has all of this. On macOS and Windows some of it is weaker; the fields
// of [Config] say which are Linux only, and New fails with an error that matches
// errors.ErrUnsupported rather than do less than was asked.
package executor
