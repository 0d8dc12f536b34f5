// Package shared has what processes that work together share: a [Mutex], a
// [Semaphore], a [Counter], and a [Queue] of work. The state lives in the host, in the
// pool, so the death of a worker never takes it along and never leaves it half
// changed. The program and its tasks use it by the same handles:
//
//	var Guard = shared.DefineMutex("guard")
//
//	func appendLine(ctx context.Context, line string) (int, error) {
//		held, err := Guard.Lock(ctx, procpool.ExecutorFrom(ctx))
//		if err != nil {
//			return 0, err
//		}
//		defer held.Unlock()
//		// No other call of the pool is here at the same time, nor the program.
//	}
//
// The program gives the pool in place of ExecutorFrom(ctx). A handle is a name: keep
// it in a package-level variable, as the tasks. Each pool has objects of its own, which
// are made at their first use and last as long as the pool. A name means the same
// everywhere in a pool, or who takes it for something else gets [ErrMismatch].
//
// # Whose it is
//
// A lock, permits or an item that a task got belong to its call. They are taken back
// when the worker has reported the end of that call or is dead, never before: a call
// that was cancelled and still runs keeps its lock. What a call has not given back by
// then counts as abandoned: the next who gets the lock is told, an item goes back to
// the front of its queue. So a worker may die at any moment, and nobody waits for ever
// or misses anything. When the future of a call is resolved by the call's end, what it
// held is free already.
//
// What the program got belongs to the value that it holds, and to nobody when that is
// garbage: then it counts as abandoned, too.
//
// # What has happened
//
// An operation that has returned without an error has happened, exactly once. One that
// returned an error because its context ended has not, or is undone: with the
// exceptions of Add, Put and Done in a task, whose answer may have been on its way.
// Whoever dies while it waits for an answer can't know; in the state the operation has
// happened or not, as a whole.
//
// # Waiting
//
// Every operation that may block takes a context, which ends the wait. Who waits first
// is served first, but for what [Mutex.Lock] says. The time that a task waits does not
// count in its procpool.Timeout. When all calls of a pool wait, or one has waited for a
// second, they lend their places in the workers to other calls, as if they waited for
// calls that they had made: so tasks that wait for items don't keep those from running
// that put them. A task may not wait for what it holds itself: a Mutex is not re-entrant,
// and Join in the hands of one who has an item ends with the context alone.
package shared
