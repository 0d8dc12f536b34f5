//go:build unix

package wire_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire"
)

func TestExitCode(t *testing.T) {
	h := start(t)
	exits.Submit(t.Context(), h, 3)
	r := h.awaitExit()
	if r.Exit.Code != 3 || r.Exit.Signal != 0 || r.Exit.Killed || r.Err != nil {
		t.Errorf("got %+v", r)
	}
	if !r.PageOK || r.Lanes[0].Started != 1 || r.Lanes[0].Finished != 0 || r.Lanes[0].Ran <= 0 {
		t.Errorf("the page says %v %+v", r.PageOK, r.Lanes)
	}
}

func TestExitZeroInsideTask(t *testing.T) {
	h := start(t)
	exits.Submit(t.Context(), h, 0)
	if r := h.awaitExit(); r.Exit.Code != 0 || r.Err != nil || r.Lanes[0].Started != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestExitSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGABRT} {
		t.Run(sig.String(), func(t *testing.T) {
			h := start(t)
			signals.Submit(t.Context(), h, int(sig))
			r := h.awaitExit()
			// The Go runtime turns SIGABRT into a crash of its own.
			if r.Exit.Signal != sig && (sig != syscall.SIGABRT || r.Exit.Code != 2) {
				t.Errorf("got %+v", r.Exit)
			}
			if r.Exit.Killed || r.Err != nil {
				t.Errorf("the host claims to have killed it: %+v", r)
			}
		})
	}
}

func TestExitPanicInGoroutine(t *testing.T) {
	h := start(t)
	leak.Submit(t.Context(), h, 0)
	r := h.awaitExit()
	if r.Exit.Code != 2 || !strings.Contains(r.Stderr, "in a goroutine of its own") {
		t.Errorf("got %+v", r)
	}
}

func TestExitKilled(t *testing.T) {
	h := start(t)
	forever.Submit(t.Context(), h, 0)
	h.awaitStarted(1)
	h.worker.Kill(nil)
	r := h.awaitExit()
	if r.Exit.Signal != syscall.SIGKILL || !r.Exit.Killed || r.Err != nil {
		t.Errorf("got %+v", r)
	}
}

func TestExitStop(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run("busy="+strconv.FormatBool(busy), func(t *testing.T) {
			h := start(t)
			if busy {
				forever.Submit(t.Context(), h, 0)
			}
			h.worker.Stop()
			if r := h.awaitExit(); r.Exit.Code != 0 || r.Err != nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestExitIdle(t *testing.T) {
	h := start(t)
	if err := syscall.Kill(h.worker.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := h.awaitExit()
	if r.Exit.Signal != syscall.SIGKILL || r.Exit.Killed || !r.PageOK || r.Lanes[0] != (wire.LaneProgress{}) {
		t.Errorf("got %+v", r)
	}
}

// A batch of which the worker runs some: what it finished is known to the host,
// what it was running is known, and the rest was not started.
func TestExitMidBatch(t *testing.T) {
	h := start(t)
	// Teach the worker that square is short, so that its replies share a write.
	mustResult(t, square.Submit(t.Context(), h, 1))
	h.setHold(true)
	const before, after = 200, 50
	var first, rest []*procpool.Future[int]
	for i := range before {
		first = append(first, square.Submit(t.Context(), h, i))
	}
	exits.Submit(t.Context(), h, 9)
	for i := range after {
		rest = append(rest, square.Submit(t.Context(), h, i))
	}
	h.flush()
	r := h.awaitExit()
	h.finish(r.Replies, true)
	for i, f := range first {
		if got := mustResult(t, f); got != i*i {
			t.Errorf("call %d: %d", i, got)
		}
	}
	const culprit = 1 + before + 1
	if !r.PageOK || r.Lanes[0].Started != culprit || r.Lanes[0].Finished != culprit-1 {
		t.Errorf("the page says %v %+v", r.PageOK, r.Lanes)
	}
	if open := h.openCalls(); len(open) != after+1 || open[0] != culprit {
		t.Errorf("open are %v", open)
	}
	for _, f := range rest {
		if f.State() == procpool.Done {
			t.Error("a call behind the crash has an outcome")
		}
	}
}

// The replies of calls that share a write are in the journal when the process
// dies before the write.
func TestExitJournal(t *testing.T) {
	recovered := 0
	for range 20 {
		h := start(t)
		mustResult(t, square.Submit(t.Context(), h, 1))
		// One run of it made die quick: then nothing is flushed before it.
		h.setHold(true)
		for i := range 20 {
			square.Submit(t.Context(), h, i)
		}
		dieQuick.Submit(t.Context(), h, 1)
		for i := range 20 {
			square.Submit(t.Context(), h, i)
		}
		dieQuick.Submit(t.Context(), h, 2)
		h.flush()
		r := h.awaitExit()
		recovered += len(r.Replies)
		h.finish(r.Replies, true)
		if open := h.openCalls(); !slices.Equal(open, []uint64{1 + 20 + 1 + 20 + 1}) {
			t.Fatalf("open are %v of a page %+v", open, r.Lanes)
		}
	}
	if recovered == 0 {
		t.Error("the journal was never needed; the test does not reach what it is for")
	}
}

// A finished 2 ms call has its reply with the host before the next call can kill
// the worker (6.2).
func TestReplyBeforeStart(t *testing.T) {
	for range 60 {
		h := start(t)
		h.setHold(true)
		f := spin.Submit(t.Context(), h, 2000)
		signals.Submit(t.Context(), h, int(syscall.SIGKILL))
		h.flush()
		r := h.awaitExit()
		if len(r.Replies) != 0 {
			t.Errorf("%d replies had to be recovered", len(r.Replies))
		}
		if f.State() != procpool.Done {
			t.Fatalf("the finished call lost its reply; the page says %+v", r.Lanes)
		}
	}
}

func TestExitKillsGroup(t *testing.T) {
	h := start(t)
	pid := mustResult(t, grandchild.Submit(t.Context(), h, 0))
	if !alive(pid) {
		t.Fatal("the grandchild does not run")
	}
	began := time.Now()
	h.worker.Kill(nil)
	h.awaitExit()
	if !eventually(func() bool { return !alive(pid) }) {
		t.Error("the grandchild lives on")
	}
	t.Logf("the report came after %v", time.Since(began))
}

// A worker that hangs up and lives on is killed, and the report says why.
func TestExitProtocolViolation(t *testing.T) {
	h := start(t, func(o *wire.Options) { *o = withRole(*o, "lingers") })
	hangUp.Submit(t.Context(), h, 0)
	r := h.awaitExit()
	if r.Err == nil || !r.Exit.Killed {
		t.Errorf("got %+v", r)
	}
}

func TestExitReportsPrints(t *testing.T) {
	h := start(t)
	mustResult(t, flood.Submit(t.Context(), h, 3))
	exits.Submit(t.Context(), h, 1)
	r := h.awaitExit()
	if len(r.Stderr) == 0 || len(r.Stderr) > proc.DefaultTailBytes {
		t.Errorf("the tail has %d bytes", len(r.Stderr))
	}
}

// When the host is killed its worker goes, whatever it does.
func TestHostDies(t *testing.T) {
	for _, doing := range []string{"nothing", "forever", "stopped"} {
		t.Run(doing, func(t *testing.T) { killHost(t, doing) })
	}
}

func killHost(t *testing.T, doing string) {
	t.Helper()
	startsProcesses(t)
	checkLeaks(t)
	cmd, out := startHost(t, shortDir(t), doing)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the worker does not run")
	}
	endHost(t, cmd)
	if !eventually(func() bool { return !alive(pid) }) {
		t.Error("the worker outlives its host")
	}
}

// startHost starts a host with a worker, which is in that state when the host has
// printed its process id.
func startHost(t *testing.T, socketDir, doing string) (*exec.Cmd, io.Reader) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleEnv+"=host", hostDirEnv+"="+socketDir, hostDoesEnv+"="+doing)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// endHost kills the host.
func endHost(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Errorf("the host ended with %v", err)
	}
}
