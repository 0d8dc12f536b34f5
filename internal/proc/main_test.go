//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/procpool/procpool/internal/proc"
)

// modeVar makes this test binary act as a child of a test: it names one of the modes.
const modeVar = "PROC_TEST_MODE"

// patience is how long a test waits for what must happen. Only a failing test uses it up.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVar); mode != "" {
		run, ok := modes()[mode]
		if !ok {
			fmt.Fprintf(os.Stderr, "there is no mode %q\n", mode)
			os.Exit(99)
		}
		run(os.Args[1:])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// newSpawner returns a spawner that is closed at the end of the test. Children started with start are
// dead by then, because cleanups run last in, first out.
func newSpawner(t testing.TB) *proc.Spawner {
	t.Helper()
	s := proc.NewSpawner()
	t.Cleanup(s.Close)
	return s
}

// helper returns the Spec of this binary acting in a mode.
func helper(t testing.TB, mode string, args ...string) proc.Spec {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return proc.Spec{
		Path: exe,
		Args: append([]string{"helper"}, args...),
		Env:  []string{modeVar + "=" + mode, "GORACE=atexit_sleep_ms=0", "GOTRACEBACK=single"},
	}
}

// start starts a child that is killed and closed at the end of the test.
func start(t testing.TB, s *proc.Spawner, spec proc.Spec) *proc.Child {
	t.Helper()
	return startWith(t, spec, s.Start)
}

// starter is Spawner.Start or what a test puts in its place.
type starter func(context.Context, proc.Spec) (*proc.Child, error)

func startWith(t testing.TB, spec proc.Spec, with starter) *proc.Child {
	t.Helper()
	c, err := with(t.Context(), spec)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		c.Kill()
		await(t, c)
		c.Close()
	})
	return c
}

// startReady is start for a mode that says "ready" when it is; it returns what follows that word.
func startReady(t testing.TB, s *proc.Spawner, spec proc.Spec) (*proc.Child, string) {
	t.Helper()
	return startReadyWith(t, spec, s.Start)
}

func startReadyWith(t testing.TB, spec proc.Spec, with starter) (*proc.Child, string) {
	t.Helper()
	spec.Claim = func(line []byte) []byte {
		if bytes.HasPrefix(line, []byte("ready")) {
			return line
		}
		return nil
	}
	c := startWith(t, spec, with)
	text, err := io.ReadAll(c.Claimed())
	if err != nil || len(text) == 0 {
		t.Fatalf("the child did not become ready: %q, %v; it printed %q and %q", text, err, c.Early(), c.Tail(time.Second))
	}
	return c, strings.TrimSpace(strings.TrimPrefix(string(text), "ready"))
}

// await waits for the end of a child and returns it.
func await(t testing.TB, c *proc.Child) proc.Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatalf("child %d has not ended after %v", c.PID(), patience)
	}
	return c.Exit()
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v this still does not hold: %s", patience, what)
		}
	}
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux" // elsewhere zombies can't be told
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) == 0 || !slices.Contains([]byte("ZX"), rest[0])
}

// raceEnabled reports whether this binary was built with the race detector.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// number parses a process id that a helper printed.
func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("the helper printed %q instead of a number", text)
	}
	return n
}

// recorder collects lines.
type recorder struct {
	mu    sync.Mutex
	lines map[proc.Stream][]string
}

func (r *recorder) output(stream proc.Stream, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil {
		r.lines = make(map[proc.Stream][]string)
	}
	r.lines[stream] = append(r.lines[stream], string(line))
}

func (r *recorder) of(stream proc.Stream) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines[stream])
}

// killLater kills a process that no Child stands for at the end of the test.
func killLater(t testing.TB, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("%d is no process of this test", pid)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
}
