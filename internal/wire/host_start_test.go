//go:build unix

package wire_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// startError starts a worker that can't start.
func startError(ctx context.Context, t *testing.T, o wire.Options) *procpool.StartError {
	t.Helper()
	o.OnExit = func(r wire.ExitReport) { t.Errorf("a worker that never started has an exit report: %+v", r) }
	w, err := wire.Start(ctx, o)
	if err == nil {
		w.Kill(nil)
		<-w.Done()
		t.Fatal("the start succeeded")
	}
	var se *procpool.StartError
	if !errors.As(err, &se) {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	t.Log(err)
	return se
}

// withRole has the worker play a role of runRole.
func withRole(o wire.Options, role string) wire.Options {
	o.Env = append(o.Env, roleEnv+"="+role)
	return o
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not hold %q", text, part)
		}
	}
}

func TestStartProgramNotFound(t *testing.T) {
	for _, path := range []string{"/nowhere/to/be/found", "procpool-no-such-program"} {
		o := options(t)
		o.Path = path
		se := startError(t.Context(), t, o)
		if se.ExitCode != -1 || se.Command[0] != path {
			t.Errorf("got %+v", se)
		}
		wantText(t, se.Error(), path)
	}
}

func TestStartNotFoundMatchesErrNotExist(t *testing.T) {
	o := options(t)
	o.Path = "/nowhere/to/be/found"
	if se := startError(t.Context(), t, o); !errors.Is(se, fs.ErrNotExist) {
		t.Errorf("%v does not match fs.ErrNotExist", se)
	}
}

func TestStartNotExecutable(t *testing.T) {
	o := options(t)
	o.Path = filepath.Join(t.TempDir(), "worker")
	if err := os.WriteFile(o.Path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantText(t, startError(t.Context(), t, o).Error(), "chmod +x")
}

func TestStartProgramExits(t *testing.T) {
	se := startError(t.Context(), t, withRole(options(t), "exits"))
	if se.ExitCode != 7 {
		t.Errorf("the exit code is %d", se.ExitCode)
	}
	wantText(t, se.Output, "out: I can't work like this", "err: no licence found")
	wantText(t, se.Reason, "exit status 7")
}

func TestStartProgramIsNoWorker(t *testing.T) {
	o := options(t)
	o.Path, o.Args = "/bin/echo", []string{"echo", "hello"}
	se := startError(t.Context(), t, o)
	if se.ExitCode != 0 {
		t.Errorf("the exit code is %d", se.ExitCode)
	}
	wantText(t, se.Error(), "echo hello", "workerproc.Init", "it printed:\nhello")
}

func TestStartTimeout(t *testing.T) {
	for _, role := range []string{"silent", "mute-server"} {
		t.Run(role, func(t *testing.T) {
			o := withRole(options(t), role)
			o.StartTimeout = 200 * time.Millisecond
			se := startError(t.Context(), t, o)
			if !errors.Is(se, context.DeadlineExceeded) || se.ExitCode != -1 {
				t.Errorf("got %+v", se)
			}
			wantText(t, se.Reason, "StartTimeout")
		})
	}
}

func TestStartStandardOutputCloses(t *testing.T) {
	se := startError(t.Context(), t, withRole(options(t), "closes-stdout"))
	wantText(t, se.Error(), "standard output ended without a handshake")
}

func TestStartWrongHandshake(t *testing.T) {
	for role, want := range map[string]string{
		"wrong-version": `"1|99|unix|`,
		"wrong-core":    `"2|1|unix|`,
	} {
		t.Run(role, func(t *testing.T) {
			wantText(t, startError(t.Context(), t, withRole(options(t), role)).Error(), "its handshake is not", want)
		})
	}
}

func TestStartNobodyListens(t *testing.T) {
	wantText(t, startError(t.Context(), t, withRole(options(t), "nobody-listens")).Error(), "Hello")
}

func TestStartForeignServer(t *testing.T) {
	wantText(t, startError(t.Context(), t, withRole(options(t), "foreign-server")).Error(), "procpool.worker.v1")
}

func TestStartPrintsBeforeHandshake(t *testing.T) {
	h := start(t, func(o *wire.Options) { *o = withRole(*o, "chatty") })
	if got := mustResult(t, square.Submit(t.Context(), h, 3)); got != 9 {
		t.Errorf("square of 3 is %d", got)
	}
	if !eventually(func() bool { return h.printed("loading the model") && h.printed("no newline here") }) {
		t.Error("what came before the handshake is lost")
	}
}

func TestStartGivenUp(t *testing.T) {
	o := withRole(options(t), "silent")
	reason := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, func() { cancel(reason) })
	defer timer.Stop()
	se := startError(ctx, t, o)
	if !errors.Is(se, context.Canceled) || !errors.Is(se, reason) {
		t.Errorf("got %v", se)
	}
}

func TestStartGivenUpBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if se := startError(ctx, t, options(t)); !errors.Is(se, context.Canceled) {
		t.Errorf("got %v", se)
	}
}

func TestStartSocketDirTooLong(t *testing.T) {
	o := options(t)
	o.SocketDir = "/tmp/" + strings.Repeat("x", 100)
	wantText(t, startError(t.Context(), t, o).Error(), "longer than the system allows")
}

func TestStartLongTempDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Setenv("XDG_RUNTIME_DIR", "")
	h := start(t, func(o *wire.Options) { o.SocketDir = "" })
	if got := mustResult(t, square.Submit(t.Context(), h, 4)); got != 16 {
		t.Errorf("square of 4 is %d", got)
	}
}

func TestStartAutoMTLS(t *testing.T) {
	h := start(t, func(o *wire.Options) { o.AutoMTLS = true })
	if got := mustResult(t, square.Submit(t.Context(), h, 5)); got != 25 {
		t.Errorf("square of 5 is %d", got)
	}
	big := make([]byte, 1<<20)
	if got := mustResult(t, echo.Submit(t.Context(), h, big)); len(got) != len(big) {
		t.Errorf("%d bytes came back", len(got))
	}
}

func TestStartThroughShell(t *testing.T) {
	h := start(t, func(o *wire.Options) {
		// The shell stays, and the worker is its child.
		o.Args = []string{"sh", "-c", o.Path + "; exit $?"}
		o.Path = "/bin/sh"
	})
	if !h.worker.Hello().Recorder {
		t.Error("the worker behind a shell has no recorder")
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 6)); got != 36 {
		t.Errorf("square of 6 is %d", got)
	}
}
