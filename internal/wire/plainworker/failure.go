//go:build unix

package plainworker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// failed makes an outcome's failure of an error.
func failed(fault Fault, task string, err error) *workerv1.Outcome_Failure {
	f := &workerv1.Failure{
		Kind: workerv1.FailureKind_FAILURE_KIND_TASK, Task: task, Type: fmt.Sprintf("%T", err), Message: valid(err.Error()), Language: "go",
	}
	var taskErr *procpool.TaskError
	var panicErr *procpool.PanicError
	var codecErr *procpool.CodecError
	switch {
	case errors.As(err, &taskErr):
		f.Type, f.Message, f.Code, f.Stack = taskErr.Type, valid(taskErr.Message), taskErr.Code, valid(taskErr.Stack)
	case errors.As(err, &panicErr):
		f.Kind, f.Message, f.Stack = workerv1.FailureKind_FAILURE_KIND_PANIC, valid(panicErr.Value), valid(panicErr.Stack)
		if panicErr.Goexit {
			f.Kind = workerv1.FailureKind_FAILURE_KIND_EXIT
		}
	case errors.As(err, &codecErr) && fault != CodecAsTask:
		f.Kind, f.Codec, f.Op = workerv1.FailureKind_FAILURE_KIND_CODEC, codecErr.Codec, codecErr.Op
	case errors.Is(err, procpool.ErrTooLarge):
		f.Kind = workerv1.FailureKind_FAILURE_KIND_TOO_LARGE
	case errors.Is(err, procpool.ErrUnknownTask):
		f.Kind = workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK
	}
	return &workerv1.Outcome_Failure{Failure: f}
}

// valid makes a text UTF-8, and not too long.
func valid(text string) string { return strings.ToValidUTF8(text[:min(len(text), 65536)], "?") }

// failureError makes an error of the failure of a call that a task has made.
func failureError(f *workerv1.Failure, fault Fault) error {
	text := f.GetMessage()
	if text == "" {
		text = f.GetKind().String()
	}
	kind := f.GetKind()
	if fault == OneKind {
		kind = workerv1.FailureKind_FAILURE_KIND_TASK
	}
	switch kind {
	case workerv1.FailureKind_FAILURE_KIND_CRASH:
		return crashError(f)
	case workerv1.FailureKind_FAILURE_KIND_ACTOR_ENDED:
		if f.GetCrash() != nil {
			return procpool.ActorEndedError(f.GetTask(), crashError(f))
		}
		return procpool.ActorEndedError(f.GetTask(), errors.New(text))
	case workerv1.FailureKind_FAILURE_KIND_REENTRANT:
		return fmt.Errorf("%w: %s", procpool.ErrReentrant, text)
	}
	e := &procpool.TaskError{Task: f.GetTask(), Type: f.GetType(), Message: text, Code: f.GetCode(), Stack: f.GetStack(), Language: f.GetLanguage()}
	if fault == LosesCode {
		e.Code = ""
	}
	return e
}

// crashError makes an error of what a failure tells of a crash.
func crashError(f *workerv1.Failure) error {
	c := f.GetCrash()
	return &procpool.CrashError{
		Task: f.GetTask(), Worker: int(c.GetWorker()), PID: int(c.GetPid()), ExitCode: int(c.GetExitCode()), Signal: c.GetSignal(),
		Reason: c.GetReason(), Stderr: c.GetStderr(), Attempt: int(c.GetAttempt()), Finished: c.GetFinished(),
	}
}
