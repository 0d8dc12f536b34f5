package procpool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
)

// Host is what a running task can ask of the executor that runs it. Executors and
// workers provide it by answering [HostKey] in the task's context; programs use
// [ExecutorFrom], [Report] and [Logger]. Its methods may be called from any
// goroutine, also after the call has ended, when they do nothing or refuse.
type Host interface {
	// Executor takes the calls that the task makes. It gives up those that have
	// not ended when the attempt ends.
	Executor() Executor
	// Report tells how far the call has come. It does not block. fraction is from
	// 0 to 1, text is valid UTF-8 of 64 KiB at most.
	Report(fraction float64, text string)
	// LogHandler takes the task's log records.
	LogHandler() slog.Handler
}

type hostKey struct{}

// HostKey is the key under which the context of a running task holds its [Host].
func HostKey() any { return hostKey{} }

func hostFrom(ctx context.Context) Host {
	h, _ := ctx.Value(hostKey{}).(Host)
	return h
}

// ExecutorFrom returns the executor that runs the task to which ctx belongs, for it to
// submit calls of its own: the task's own kind, too, so that tasks can recurse. Such
// nested calls run before those that wait at the top, the most deeply nested ones
// first. While a task waits for them another call takes its place in the worker, so
// they don't wait for each other in a circle. They do not count in the pool's queue
// but have bounds of their own, beyond which they are refused with [ErrNestingLimit].
//
// A nested call is given up when the attempt that made it ends. It may run in the
// same process as its caller: if it dies, so does its caller. Of its key (see
// [Func.KeyBy]) it takes no more than a hint.
//
// Where ctx belongs to no running task the executor refuses every call.
func ExecutorFrom(ctx context.Context) Executor {
	if h := hostFrom(ctx); h != nil {
		return h.Executor()
	}
	return noExecutor{}
}

// noExecutor refuses calls that are made as if by a task, outside of one.
type noExecutor struct{}

var errNoTask = errors.New("procpool: ExecutorFrom was given a context that belongs to no running task; give it the one that the task got, or one derived from that")

// Enqueue refuses the calls.
func (noExecutor) Enqueue(_ context.Context, first *Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Finish(nil, errNoTask)
		c = next
	}
}

// Report tells the host how far the running task to which ctx belongs has come: the
// part that is done, from 0 to 1, and what is being done. What is outside of that, or
// no number, is cut to it. The caller sees the last report in [CallInfo.Progress], the
// pool's OnEvent hears of it; both before the call's result. It is cheap and may be
// called often: reports that follow each other within 10 ms are made one, the last.
// Outside of a task it does nothing. A text beyond 64 KiB is cut.
func Report(ctx context.Context, fraction float64, text string) {
	h := hostFrom(ctx)
	if h == nil {
		return
	}
	if math.IsNaN(fraction) {
		fraction = 0
	}
	if len(text) > maxReport {
		text = text[:maxReport]
	}
	h.Report(min(max(fraction, 0), 1), strings.ToValidUTF8(text, ""))
}

// maxReport bounds the text of a report in bytes.
const maxReport = 64 << 10

// Logger returns a logger for the running task to which ctx belongs: what it logs
// goes to the pool's logger in the host, with the task's name, the worker, and the
// call's number and attempt, before the call's result. Levels that the pool's logger
// does not want cost next to nothing. Values are logged as text. Outside of a task it
// is [slog.Default].
func Logger(ctx context.Context) *slog.Logger {
	if h := hostFrom(ctx); h != nil {
		return slog.New(h.LogHandler())
	}
	return slog.Default()
}

// NestingError makes the error for a nested call that is refused, which matches
// [ErrNestingLimit]. Executors use it.
func NestingError(task, why string) error {
	return fmt.Errorf("%w: task %q was not called: %s", ErrNestingLimit, task, why)
}
