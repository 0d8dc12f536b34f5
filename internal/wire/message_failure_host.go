package wire

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// hostFailure is what a Failure holds beside the rest when it tells a task what
// became of a call that it has made.
type hostFailure struct {
	crash   *procpool.CrashError // nil where there is none
	limit   time.Duration
	attempt int
}

// The fields of such a Failure, see message.go.
const (
	tagFailureCrash   = 12<<3 | wireBytes
	tagFailureLimit   = 13<<3 | wireVarint
	tagFailureAttempt = 14<<3 | wireVarint
)

// sentinelKinds are the kinds of failures that are a text and what it matches, in the
// order in which an error is compared with them.
var sentinelKinds = []struct {
	kind workerv1.FailureKind
	is   error
}{
	{workerv1.FailureKind_FAILURE_KIND_NESTING_LIMIT, procpool.ErrNestingLimit},
	{workerv1.FailureKind_FAILURE_KIND_REENTRANT, procpool.ErrReentrant},
	{workerv1.FailureKind_FAILURE_KIND_ACTOR_ENDED, procpool.ErrActorEnded},
	{workerv1.FailureKind_FAILURE_KIND_CLOSED, procpool.ErrClosed},
	{workerv1.FailureKind_FAILURE_KIND_QUEUE_FULL, procpool.ErrQueueFull},
	{workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK, procpool.ErrUnknownTask},
	{workerv1.FailureKind_FAILURE_KIND_TOO_LARGE, procpool.ErrTooLarge},
	{workerv1.FailureKind_FAILURE_KIND_DEADLINE, context.DeadlineExceeded},
	{workerv1.FailureKind_FAILURE_KIND_CANCELLED, context.Canceled},
}

// hostFailureOf turns the error of a call that a task has made into data for the
// task. name is the name of the task that was called.
func hostFailureOf(name string, err error) failure {
	var (
		taskErr  *procpool.TaskError
		panicErr *procpool.PanicError
		codecErr *procpool.CodecError
		crash    *procpool.CrashError
		timeout  *procpool.TimeoutError
		start    *procpool.StartError
	)
	_, ofTask := err.(*procpool.TaskError) //nolint:errorlint // what it matches then is the task's to choose
	switch {
	case !ofTask && errors.Is(err, procpool.ErrActorEnded):
		return endedFailure(name, err)
	case errors.As(err, &taskErr), errors.As(err, &panicErr), errors.As(err, &codecErr):
		return failureOf(name, err) // whatever else the error matches comes from the task
	case errors.As(err, &crash):
		return failure{kind: workerv1.FailureKind_FAILURE_KIND_CRASH, task: crash.Task, host: &hostFailure{crash: crash}}
	case errors.As(err, &timeout):
		return failure{
			kind: workerv1.FailureKind_FAILURE_KIND_TIMEOUT, task: timeout.Task,
			host: &hostFailure{limit: timeout.Limit, attempt: timeout.Attempt},
		}
	case errors.As(err, &start):
		return startFailure(start)
	}
	for _, s := range sentinelKinds {
		if errors.Is(err, s.is) {
			return failure{kind: s.kind, task: name, message: err.Error(), lang: language}
		}
	}
	return failureOf(name, err)
}

// endedFailure is the failure of a call of an actor that has ended.
func endedFailure(name string, err error) failure {
	f := failure{kind: workerv1.FailureKind_FAILURE_KIND_ACTOR_ENDED, task: name, message: err.Error(), lang: language, host: new(hostFailure)}
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		f.host.crash, f.task = crash, crash.Task
		return f
	}
	for _, s := range sentinelKinds {
		if s.kind != f.kind && errors.Is(err, s.is) {
			f.cause = &failure{kind: s.kind, message: s.is.Error()}
			break
		}
	}
	return f
}

// startFailure is the failure of a start.
func startFailure(e *procpool.StartError) failure {
	f := failure{
		kind: workerv1.FailureKind_FAILURE_KIND_START, op: strings.Join(e.Command, " "), message: e.Reason, stack: e.Output,
		host: &hostFailure{crash: &procpool.CrashError{ExitCode: e.ExitCode}},
	}
	if e.Err != nil {
		cause := failure{message: e.Err.Error()}
		for _, s := range sentinelKinds {
			if errors.Is(e.Err, s.is) {
				cause.kind = s.kind
				break
			}
		}
		f.cause = &cause
	}
	return f
}

// hostErr turns a failure of a kind that is the host's alone back into its error. It
// returns nil for others.
func (f *failure) hostErr() error {
	switch f.kind {
	case workerv1.FailureKind_FAILURE_KIND_CRASH:
		e := procpool.CrashError{Reason: "of what is not known"}
		if f.host.crash != nil {
			e = *f.host.crash
		}
		e.Task = f.task
		return &e
	case workerv1.FailureKind_FAILURE_KIND_ACTOR_ENDED:
		e := &endedError{remoteError: remoteError{text: f.message, is: procpool.ErrActorEnded}}
		switch {
		case f.host.crash != nil:
			f.host.crash.Task = f.task
			e.why = f.host.crash
		case f.cause != nil && sentinelOf(f.cause.kind) != nil:
			e.why = sentinelOf(f.cause.kind)
		default:
			return &e.remoteError
		}
		return e
	case workerv1.FailureKind_FAILURE_KIND_TIMEOUT:
		return &procpool.TimeoutError{Task: f.task, Limit: f.host.limit, Attempt: f.host.attempt}
	case workerv1.FailureKind_FAILURE_KIND_START:
		e := &procpool.StartError{Reason: f.message, Output: f.stack}
		if f.op != "" {
			e.Command = []string{f.op}
		}
		if f.host.crash != nil {
			e.ExitCode = f.host.crash.ExitCode
		}
		if cause := f.cause; cause != nil {
			e.Err = &remoteError{text: cause.message, is: sentinelOf(cause.kind)}
		}
		return e
	}
	if is := sentinelOf(f.kind); is != nil {
		return &remoteError{text: f.message, is: is}
	}
	return nil
}

// endedError says that an actor has ended, and why.
type endedError struct {
	remoteError

	why error
}

func (e *endedError) Unwrap() []error { return []error{e.is, e.why} }

// sentinelOf returns what an error of the kind matches, nil for nothing.
func sentinelOf(kind workerv1.FailureKind) error {
	for _, s := range sentinelKinds {
		if s.kind == kind {
			return s.is
		}
	}
	return nil
}

// append appends the fields to dst.
func (h *hostFailure) append(dst []byte) []byte {
	if h.crash != nil {
		dst = append(dst, tagFailureCrash, 0)
		at := len(dst) - 1
		dst = closeLength(appendCrash(dst, h.crash), at, 0)
	}
	dst = appendNumber(dst, tagFailureLimit, uint64(max(h.limit, 0)))
	return appendNumber(dst, tagFailureAttempt, uint64(max(h.attempt, 0)))
}

// parse takes in one field, which may be none of these.
func (h *hostFailure) parse(f field) error {
	switch f.tag {
	case tagFailureCrash:
		if h.crash == nil {
			h.crash = new(procpool.CrashError)
		}
		return parseCrash(h.crash, f.body)
	case tagFailureLimit:
		h.limit = nanos(f.number)
	case tagFailureAttempt:
		h.attempt = f.count()
	}
	return nil
}
