package procpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Sentinels of the errors with which a pool refuses work, for errors.Is.
var (
	// ErrClosed says that the executor was shut down or closed.
	ErrClosed = errors.New("procpool: the pool is closed")
	// ErrQueueFull says that a call with [NoWait] found no room in the queue.
	ErrQueueFull = errors.New("procpool: the queue is full")
	// ErrUnknownTask says that no worker serves a task of that name.
	ErrUnknownTask = errors.New("procpool: unknown task")
	// ErrTooLarge says that an argument or a result is over the pool's
	// MaxPayload.
	ErrTooLarge = errors.New("procpool: payload too large")
	// ErrPoison says that a call was run again as often as it may be (see
	// [Retries]) and the last attempt, too, killed its worker. The error also
	// matches that attempt's [*CrashError].
	ErrPoison = errors.New("procpool: the call kills its workers")
	// ErrNestingLimit says that a call that a task made of its own pool (see
	// [ExecutorFrom]) is nested too deeply, or one of too many.
	ErrNestingLimit = errors.New("procpool: nesting limit")
	// ErrActorEnded says that an actor has ended: it was closed, or its process died
	// and it was not, or could not be, opened again. The error wraps the reason, such
	// as the [*CrashError] of that death.
	ErrActorEnded = errors.New("procpool: the actor has ended")
	// ErrReentrant says that a method of an actor was called by a call for which the
	// actor itself waits, directly or through others: an actor runs one method at a
	// time, so neither would ever end.
	ErrReentrant = errors.New("procpool: an actor can't wait for itself")
	// ErrCrashed matches every [*CrashError].
	ErrCrashed = errors.New("procpool: the worker died")
	// ErrNotDone says that a wait ended before what it waited for did; the
	// error wraps the reason. The calls go on.
	ErrNotDone = errors.New("procpool: not done yet")
)

// TaskError says that the task itself failed: its function returned an error, or
// raised an exception. The worker is unharmed.
type TaskError struct {
	// Task is the task's name.
	Task string
	// Type is the error's type in the worker's language.
	Type string
	// Message is the error's text.
	Message string
	// Code is the name of the sentinel it matched (see [Errors]), if any.
	Code string
	// Stack is the stack or traceback as text, where the language has one.
	Stack string
	// Language is the worker's language, such as "go".
	Language string
	// Notes are what was added to the error on its way, in languages that
	// have that, such as Python's add_note.
	Notes []string
	// Cause is the error that this one was raised from, as Python's "raise ...
	// from", nil where there is none. Its Task is empty. Go's wrapped errors are
	// in Message instead.
	Cause *TaskError

	sentinel error
}

// Error returns the task's name and the error's text, in languages other than Go
// behind its type: the text of an exception may be no more than a key, or nothing.
func (e *TaskError) Error() string {
	what := e.Message
	if e.Type != "" && e.Language != "" && e.Language != "go" {
		what = strings.TrimSuffix(e.Type+": "+e.Message, ": ")
	}
	return fmt.Sprintf("procpool: task %q failed: %s", e.Task, what)
}

// Unwrap returns the sentinel that the error matched, nil when there is none.
func (e *TaskError) Unwrap() error { return e.sentinel }

// PanicError says that the task panicked, or ended its goroutine with
// runtime.Goexit. The worker is unharmed.
type PanicError struct {
	// Task is the task's name.
	Task string
	// Value is the panic's value as text.
	Value string
	// Stack is the stack of the panic.
	Stack string
	// Goexit is set when the task called runtime.Goexit instead of panicking, or
	// its like in another language, such as Python's sys.exit.
	Goexit bool
	// Language is the worker's language, such as "go".
	Language string
}

// NewPanicError makes the error for a task whose run ended with the recovered
// value v; a nil v means runtime.Goexit, which recover does not see. Those who
// run a [Task] use it.
func NewPanicError(task string, v any, stack []byte) *PanicError {
	e := &PanicError{Task: task, Stack: string(stack), Language: "go"}
	if v == nil {
		e.Goexit, e.Value = true, "runtime.Goexit was called"
		return e
	}
	e.Value = panicText(v)
	return e
}

// Error returns the task's name and the panic's value.
func (e *PanicError) Error() string {
	if e.Goexit && e.Language != "go" && e.Language != "" {
		return fmt.Sprintf("procpool: task %q tried to end its process: %s", e.Task, e.Value)
	}
	if e.Goexit {
		return fmt.Sprintf("procpool: task %q ended its goroutine with runtime.Goexit", e.Task)
	}
	return fmt.Sprintf("procpool: task %q panicked: %s", e.Task, e.Value)
}

// OOM says whether a process died for want of memory.
type OOM uint8

// The answers to "was it out of memory?".
const (
	OOMNo OOM = iota
	OOMLikely
	OOMYes
)

// String returns "no", "likely" or "yes".
func (o OOM) String() string {
	switch o {
	case OOMLikely:
		return "likely"
	case OOMYes:
		return "yes"
	}
	return "no"
}

// CrashError says that the worker process died while it ran the call, and what
// is known of its death. It matches [ErrCrashed].
type CrashError struct {
	// Task is the task's name.
	Task string
	// Worker is the worker's number in its pool, counted from 1.
	Worker int
	// PID is the process id.
	PID int
	// ExitCode is the exit code, -1 when a signal ended the process.
	ExitCode int
	// Signal is the name of the signal that ended the process, such as
	// "SIGSEGV"; empty when it exited.
	Signal string
	// Reason is the cause of death in words, such as "signal: killed" or
	// "exit status 3".
	Reason string
	// OOM says whether the process ran out of memory.
	OOM OOM
	// MaxRSS is the peak resident memory of the process in bytes, 0 where it
	// is not known: Linux hides a peak that is below the host's own.
	MaxRSS int64
	// UserCPU and SystemCPU are the CPU time that the process used.
	UserCPU, SystemCPU time.Duration
	// Stderr is the end of what the process wrote to its standard error.
	Stderr string
	// Attempt counts the starts of this call, this one included.
	Attempt int
	// Finished is set when the function had returned but its reply was lost.
	// The call's effects are complete then, and it did not cause the crash.
	Finished bool
	// Suspects is how many calls were running in the process when it died.
	Suspects int
	// Hung is set when the pool killed the process because it had stopped
	// without a sign of life.
	Hung bool
	// Dir is the folder in the pool's CrashDir from which executor.Replay runs the
	// call again, empty where there is none.
	Dir string
}

// Error tells which worker died of what, running what.
func (e *CrashError) Error() string {
	var b strings.Builder
	if e.Task == "" { // in an event: it ran nothing, or what it ran has errors of its own
		fmt.Fprintf(&b, "procpool: worker %d died: %s", e.PID, e.Reason)
	} else {
		fmt.Fprintf(&b, "procpool: worker %d died running %q: %s", e.PID, e.Task, e.Reason)
	}
	switch e.OOM {
	case OOMYes:
		b.WriteString(" (out of memory)")
	case OOMLikely:
		b.WriteString(" (likely out of memory)")
	}
	if e.Finished {
		b.WriteString("; the function had returned but its result was lost")
	}
	return b.String()
}

// Is makes the error match [ErrCrashed].
func (e *CrashError) Is(target error) bool { return target == ErrCrashed }

// TimeoutError says that an attempt ran longer than its [Timeout]. It matches
// [context.DeadlineExceeded].
type TimeoutError struct {
	// Task is the task's name.
	Task string
	// Limit is the Timeout.
	Limit time.Duration
	// Attempt counts the starts of this call, this one included.
	Attempt int
}

// Error tells which task ran longer than it may.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("procpool: task %q ran longer than its Timeout of %v", e.Task, e.Limit)
}

// Is makes the error match [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// StartError says that no worker could be started, and why.
type StartError struct {
	// Command is the program and its arguments.
	Command []string
	// Reason says what went wrong, and where it can what to do about it.
	Reason string
	// ExitCode is the exit code of a program that ended before it was ready,
	// -1 when a signal ended it or it did not end by itself.
	ExitCode int
	// Output is the end of what the program printed before it failed.
	Output string
	// Err is the underlying error, if there is one.
	Err error
}

// Error tells which program failed to start and why, with its output.
func (e *StartError) Error() string {
	var b strings.Builder
	b.WriteString("procpool: can't start a worker")
	if len(e.Command) > 0 {
		fmt.Fprintf(&b, " with %q", strings.Join(e.Command, " "))
	}
	b.WriteString(": " + e.Reason)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if out := strings.TrimSpace(e.Output); out != "" {
		b.WriteString("; it printed:\n" + out)
	}
	return b.String()
}

// Unwrap returns the underlying error.
func (e *StartError) Unwrap() error { return e.Err }

// CodecError says that a value could not be encoded or decoded. It costs that
// call only.
type CodecError struct {
	// Task is the task's name.
	Task string
	// Codec is the codec's name.
	Codec string
	// Op says what failed, such as "encode the argument".
	Op string
	// Err is the codec's error.
	Err error
}

// Error tells what could not be done, by which codec, and why.
func (e *CodecError) Error() string {
	return fmt.Sprintf("procpool: can't %s of task %q with codec %q: %v", e.Op, e.Task, e.Codec, e.Err)
}

// Unwrap returns the codec's error.
func (e *CodecError) Unwrap() error { return e.Err }

// CancelError makes the error for a call whose context has ended: it matches
// ctx.Err and wraps context.Cause(ctx). Executors use it.
func CancelError(ctx context.Context, c *Call) error {
	return &cancelError{task: c.Task(), err: ctx.Err(), cause: context.Cause(ctx)}
}

// PoisonError makes the error for a call that is given up after so many attempts,
// the last of which was a crash: it matches [ErrPoison] and that crash.
// [Call.Retry] uses it.
func PoisonError(c *Call, attempts int, last *CrashError) error {
	return &poisonError{task: c.Task(), attempts: attempts, last: last}
}

type poisonError struct {
	task     string
	attempts int
	last     *CrashError
}

func (e *poisonError) Error() string {
	return fmt.Sprintf("procpool: task %q is given up after %d attempts: %v", e.task, e.attempts, e.last)
}

func (e *poisonError) Unwrap() []error { return []error{ErrPoison, e.last} }

// cancelError is a call given up for time or by request.
type cancelError struct {
	task       string
	err, cause error
}

func (e *cancelError) Error() string {
	text := fmt.Sprintf("procpool: call of task %q given up: %v", e.task, e.err)
	if e.cause != nil && e.cause != e.err { //nolint:errorlint // identity: is there a cause beside the context's own error?
		text += " (" + e.cause.Error() + ")"
	}
	return text
}

func (e *cancelError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.err}
	}
	return []error{e.err, e.cause}
}

// errorType, errorText, errorIs and panicText guard against values whose methods
// panic: an error that can't be shown must not cost more than its text. Texts are
// made valid UTF-8, which is what can cross the boundary.

func errorType(err error) string { return fmt.Sprintf("%T", err) }

func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("(the Error method of %T panicked: %s)", err, panicText(p))
		}
	}()
	return strings.ToValidUTF8(err.Error(), "\uFFFD")
}

func errorIs(err, target error) (is bool) {
	defer func() {
		if recover() != nil {
			is = false
		}
	}()
	return errors.Is(err, target)
}

func panicText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("(a %T that can't be shown)", v)
		}
	}()
	if err, ok := v.(error); ok {
		return strings.ToValidUTF8(err.Error(), "\uFFFD")
	}
	return strings.ToValidUTF8(fmt.Sprint(v), "\uFFFD")
}
