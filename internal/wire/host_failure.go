package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
)

// handshakeError is go-plugin's complaint about the handshake.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// helloError is gRPC's complaint about Hello.
type helloError struct{ err error }

func (e *helloError) Error() string { return e.err.Error() }
func (e *helloError) Unwrap() error { return e.err }

// spawnError is what the system said about a program that could not be started;
// the rest of the error's text is in the reason.
type spawnError struct{ err *proc.StartError }

func (e *spawnError) Error() string { return e.err.Err.Error() }
func (e *spawnError) Unwrap() error { return e.err }

// defaultHint is what a program that ended before its handshake probably lacks.
const defaultHint = "a worker program calls workerproc.Init or workerproc.Serve, or its language's counterpart"

// failed turns what ended a start into a StartError, and tidies up.
func (l *launch) failed(ctx context.Context, err error) *procpool.StartError {
	// A process that is ending by itself is to be seen with its own status.
	if l.child != nil && ctx.Err() == nil {
		timer := time.NewTimer(l.grace(err))
		select {
		case <-l.child.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	cause := context.Cause(ctx)
	l.tidyProcess()
	se := &procpool.StartError{Command: l.command(), ExitCode: -1}
	var (
		notStarted *proc.StartError
		handshake  *handshakeError
		hello      *helloError
	)
	ended := l.child != nil && !l.child.Exit().Killed
	if ended {
		se.ExitCode = l.child.Exit().Code
	}
	switch {
	case l.spawnErr != nil && !errors.As(l.spawnErr, &notStarted):
		se.Reason, se.Err = "it was not started", l.spawnErr
	case errors.As(err, &notStarted):
		se.Reason, se.Err = notStarted.Detail, &spawnError{notStarted}
		if se.Reason == "" {
			se.Reason = "the system refused to run it"
		}
	case errors.Is(cause, errStartTimeout):
		se.Reason = fmt.Sprintf("it was not ready after %v (StartTimeout): %s", l.o.StartTimeout, l.stage())
		se.Err = context.DeadlineExceeded
	case cause != nil:
		se.Reason, se.Err = "the start was given up", cause
		if !errors.Is(cause, ctx.Err()) {
			se.Err = fmt.Errorf("%w (%w)", ctx.Err(), cause)
		}
	case l.child == nil:
		se.Reason, se.Err = "it was not started", err
	case ended:
		se.Reason = fmt.Sprintf("it ended before it was ready: %v; %s", l.child.Exit(), l.endHint())
	case l.peerErr != nil:
		se.Reason, se.Err = "somebody else answered on its socket", l.peerErr
	case errors.As(err, &handshake):
		se.Reason, se.Err = "its handshake is not one of a procpool worker; "+l.o.Hint, l.handshakeCause()
	case errors.As(err, &hello):
		se.Reason, se.Err = helloReason(hello.err), errors.New(streamError(hello.err))
	default:
		se.Reason = "it can't be used"
		se.Err = err
	}
	se.Output = l.output()
	l.tidy()
	return se
}

// grace is how long a process whose start went wrong may take to be gone by itself.
func (l *launch) grace(err error) time.Duration {
	switch {
	case l.handshake.Load() == nil:
		return silentExitGrace
	case status.Code(err) == codes.Unavailable:
		return exitGrace // it has hung up, or does not listen any more
	}
	return brokenExitGrace
}

func (l *launch) command() []string {
	if len(l.o.Args) > 1 {
		return append([]string{l.o.Path}, l.o.Args[1:]...)
	}
	return []string{l.o.Path}
}

// stage says how far a start had come.
func (l *launch) stage() string {
	if l.addr == nil {
		return "it printed no handshake; " + l.o.Hint
	}
	return "it printed its handshake but did not answer on its socket"
}

// endHint says what an exit before the handshake may mean.
func (l *launch) endHint() string {
	if l.addr != nil {
		return "it had printed its handshake"
	}
	return l.o.Hint
}

// output is what a failed program printed: standard output first, for the
// language runtimes' complaints come last.
func (l *launch) output() string {
	if l.child == nil {
		return ""
	}
	tail := l.child.Tail(outputWait)
	return strings.TrimSpace(strings.TrimSpace(string(l.child.Early())) + "\n" + string(tail))
}

// brokenExitGrace is how long a program whose handshake or Hello went wrong may
// take to be gone by itself. Most are not about to be.
const brokenExitGrace = 100 * time.Millisecond

// silentExitGrace is how long a program that has closed its standard output
// without a handshake may take to be gone. Nearly always it is about to be.
const silentExitGrace = time.Second

// outputWait bounds the wait for the end of a failed program's output.
const outputWait = 20 * time.Millisecond

// helloReason says what is wrong when Hello failed.
func helloReason(err error) string {
	if status.Code(err) == codes.Unimplemented {
		return "it is a go-plugin server but does not serve procpool's worker contract (procpool.worker.v1)"
	}
	return "it did not answer Hello"
}

// handshakeCause says what was wrong with the handshake.
func (l *launch) handshakeCause() error {
	line := l.handshake.Load()
	if line == nil {
		return errors.New("its standard output ended without a handshake")
	}
	return fmt.Errorf("it printed %q where 1|%d|unix|<path>|grpc is expected", *line, pluginVersion)
}
