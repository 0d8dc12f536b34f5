package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/procpool/procpool"
)

// The exit codes, which scripts rely on; exitCodes tells them to people.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotStarted = 3
	exitCrashed    = 4
	exitTimeout    = 5
	exitSignal     = 128
)

const exitCodes = `Exit codes:
  0    it went well
  1    the call failed: its task returned an error, raised an exception or panicked,
       or a value could not be encoded or was too large; of conform, a case failed
  2    it was called wrongly: flags, arguments, no JSON, a task that is not served
  3    no worker could be started
  4    the worker died running the call
  5    the call ran longer than --timeout allows
  130  Ctrl-C; in general 128 and the number of the signal that ended it, which is 141
       where whoever read the results has left`

// A usageError says that the program was called wrongly.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUse(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// exitCode tells how the program is to end after err.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case isA[*usageError](err), errors.Is(err, procpool.ErrUnknownTask):
		return exitUsage
	case isA[*procpool.TaskError](err), isA[*procpool.PanicError](err):
		return exitFailed
	case isA[*procpool.TimeoutError](err):
		return exitTimeout
	case isA[*procpool.CrashError](err):
		return exitCrashed
	}
	if stop, ok := errors.AsType[*interrupt](err); ok {
		return exitSignal + int(stop.signal)
	}
	switch {
	case errors.Is(err, syscall.EPIPE):
		return exitSignal + int(syscall.SIGPIPE)
	case isA[*procpool.StartError](err):
		return exitNotStarted
	}
	return exitFailed
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// explain says in full what went wrong, for a person; "" where nothing is to be said.
func explain(err error, command string) string {
	if err == nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, errCasesFailed) {
		return "" // of the one nobody wants to hear, of the other all has been said
	}
	if failed, ok := errors.AsType[*procpool.TaskError](err); ok {
		return failed.Error() + "\n" + details(failed) + indented(failed.Stack)
	}
	if panicked, ok := errors.AsType[*procpool.PanicError](err); ok {
		return panicked.Error() + "\n" + indented(panicked.Stack)
	}
	text := "procpool: " + strings.TrimPrefix(err.Error(), "procpool: ") + "\n"
	if isA[*usageError](err) {
		text += fmt.Sprintf("procpool: %q tells how to call it\n", command+" --help")
	}
	return text
}

// details tells of a task's error what its message does not, but for the traceback, and
// of what caused it. Languages whose errors have causes tell them in the traceback too,
// where they are easier to find once one knows that they are there.
func details(e *procpool.TaskError) string {
	var b strings.Builder
	kind := e.Type
	if e.Language != "" {
		kind = strings.TrimSpace(kind + " (" + e.Language + ")")
	}
	if kind != "" {
		fmt.Fprintf(&b, "  type: %s\n", kind)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, "  code: %s\n", e.Code)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "  note: %s\n", strings.ReplaceAll(note, "\n", "\n        "))
	}
	for cause := e.Cause; cause != nil; cause = cause.Cause {
		own := *cause
		own.Cause = nil
		fmt.Fprintf(&b, "caused by: %s\n%s%s", cause.Message, details(&own), indented(cause.Stack))
	}
	return b.String()
}

func indented(text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}
