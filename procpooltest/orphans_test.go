package procpooltest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// recordingTB is a test that keeps what is done to it.
type recordingTB struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recordingTB) Helper()          {}
func (r *recordingTB) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recordingTB) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// over ends the recorded test and returns what it complained of.
func (r *recordingTB) over() string {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return strings.Join(r.errors, "\n")
}

const (
	patience   = 30 * time.Second
	impatience = 50 * time.Millisecond
)

func TestNoOrphansPassesATestThatCleansUp(t *testing.T) {
	tb := &recordingTB{TB: t}
	procpooltest.NoOrphansWithin(tb, patience)

	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	task, started := blocked()
	ctx, cancel := context.WithCancel(t.Context())
	tb.Cleanup(cancel)
	future := task.Submit(ctx, procpooltest.Inline(task), 1)
	<-started
	if runtime.GOOS != "windows" && !testing.Short() {
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		tb.Cleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
	}
	if complaint := tb.over(); complaint != "" {
		t.Error(complaint)
	}
	if !future.Cancel() && future.State() != procpool.Done {
		t.Error("the call is not over")
	}
}

func TestNoOrphansFindsAGoroutine(t *testing.T) {
	tb := &recordingTB{TB: t}
	procpooltest.NoOrphansWithin(tb, impatience)
	task, started := blocked()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	task.Submit(ctx, procpooltest.Inline(task), 1)
	<-started
	if complaint := tb.over(); !strings.Contains(complaint, "goroutine ") || !strings.Contains(complaint, "blocked") {
		t.Errorf("it said %q", complaint)
	}
}

func TestNoOrphansFindsADescriptor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not show a process its descriptors")
	}
	tb := &recordingTB{TB: t}
	procpooltest.NoOrphansWithin(tb, impatience)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if complaint := tb.over(); !strings.Contains(complaint, "descriptor "+strconv.Itoa(int(f.Fd()))+": ") {
		t.Errorf("descriptor %d is open, it said %q", f.Fd(), complaint)
	}
}

func TestNoOrphansFindsProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked for on Linux only")
	}
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	tb := &recordingTB{TB: t}
	procpooltest.NoOrphansWithin(tb, impatience)

	running := exec.Command("sleep", "1001")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = running.Process.Kill()
		_ = running.Wait()
	}()

	// A child that is dead and was not waited for.
	zombie := exec.Command("true")
	out, err := zombie.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = zombie.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err == nil {
		t.Fatal("true printed something")
	}

	// A grandchild whose parent is gone, in a group of its own.
	text, err := exec.Command("sh", "-mc", "sleep 1002 >&- 2>&- & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p, err := os.FindProcess(orphan); err == nil {
			_ = p.Kill()
		}
	}()

	complaint := tb.over()
	for what, want := range map[string]string{
		"a running child":    fmt.Sprintf("process %d (state", running.Process.Pid),
		"a zombie":           fmt.Sprintf("process %d (state Z", zombie.Process.Pid),
		"an orphan":          fmt.Sprintf("process %d (state", orphan),
		"its command line":   "sleep 1002",
		"how long it waited": impatience.String(),
	} {
		if !strings.Contains(complaint, want) {
			t.Errorf("%s is missing (%q) in:\n%s", what, want, complaint)
		}
	}
}

// What was there before the test is not the test's.
func TestNoOrphansComparesWithTheStart(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	task, started := blocked()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	task.Submit(ctx, procpooltest.Inline(task), 1)
	<-started

	tb := &recordingTB{TB: t}
	procpooltest.NoOrphansWithin(tb, impatience)
	if complaint := tb.over(); complaint != "" {
		t.Error(complaint)
	}
}
