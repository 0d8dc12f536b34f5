// Package procpool runs functions in a pool of worker processes. A program
// submits calls and holds futures; the workers are the same program run again,
// or a program in any language that speaks the small gRPC contract in
// proto/procpool/worker/v1. A crash, a leak or an endless loop in one call
// costs that call, never the program and never another call.
//
// This package is the contract: handles, calls, futures, codecs and errors. It
// starts no process. Package executor holds the pool, package workerproc the
// worker's side, and package procpooltest an executor that runs calls in
// process, for tests.
//
// # A program
//
//	var Square = procpool.Define("square", func(ctx context.Context, n int) (int, error) {
//		return n * n, nil
//	})
//
//	func main() {
//		workerproc.Init(Square) // in a worker this serves and never returns
//		ctx := context.Background()
//		pool, err := executor.New(ctx, executor.Config{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer pool.Close()
//		fmt.Println(Square.Call(ctx, pool, 7)) // 49 <nil>
//	}
//
// # Words
//
// A task is a named function that workers serve. A [Func] is the caller's
// handle on a task: its name and the types of its input and output. A call is
// one run of a task; a [Future] holds its outcome. An [Executor] takes calls. A
// worker is a process that runs them, the host is the program that submits
// them.
//
// # The life of a call
//
// A call is queued, sent to a worker ahead of time or not (it still reports
// [Queued]), started, finished, and resolved. Only names and encoded values
// cross the boundary between the processes, never code: a worker that is the
// same program run again starts from that program's initial state, and nothing
// that main set up exists there.
//
// # More than one value
//
//   - A [Stream] yields many values for one argument, no further ahead of its reader
//     than a window.
//   - A [Session] is opened and then converses: values go both ways until it ends.
//   - An [Actor] is state that stays in a process of its own and is worked with by calls
//     of its methods, one at a time.
//   - A running task makes calls of the pool it runs in with [ExecutorFrom], also of
//     itself. It tells how far it has come with [Report] and writes to the host's log
//     with [Logger].
//   - A [Pipeline] joins calls, streams and functions of the program into stages that
//     work at the same time, none far ahead of the next.
//
// # Errors
//
// Four families, because callers do four different things about them:
//
//   - The task failed: [*TaskError], [*PanicError]. Fix or report.
//   - The process died: [*CrashError], which matches [ErrCrashed]. Run again if that is
//     safe; [Idempotent] and [Retries] have the pool do so. A call that killed its
//     worker at the last attempt it may have also matches [ErrPoison]: leave it.
//   - The pool refused: [ErrClosed], [ErrQueueFull], [ErrUnknownTask], [ErrTooLarge],
//     [ErrNestingLimit], [ErrActorEnded], [ErrReentrant], [*StartError], [*CodecError].
//     Fix or back off.
//   - Time or cancellation: [context.Canceled], [context.DeadlineExceeded], which
//     [*TimeoutError] matches, too. Give up.
//
// A pipeline wraps them in a [*StageError], which tells the stage and the input.
package procpool
