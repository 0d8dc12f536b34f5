package proc_test

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/proc"
)

// DESIGN 6.14: what uses up its processor time ends, and its exit says so, however it takes it.
func TestCPULimit(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for name, c := range map[string]struct {
		spec proc.Spec
		text string
	}{
		"a Go program": {helper(t, "busy"), "signal: killed (over its limit of processor time)"},
		"another": {
			proc.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", "ulimit -c 0; while :; do :; done"}},
			"signal: CPU time limit exceeded (over its limit of processor time)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.spec.CPULimit = 300 * time.Millisecond // rounded up
			child := start(t, s, c.spec)
			select {
			case <-child.Done():
			case <-time.After(6 * patience): // it needs up to two seconds of a processor to itself
				t.Fatal("it goes on")
			}
			e := child.Exit()
			if e.String() != c.text || !e.OverCPU || e.OOM != proc.OOMNo {
				t.Errorf("it ended with %v, %+v; want %s", e, e, c.text)
			}
			if used := e.User + e.System; used < 500*time.Millisecond || used > 10*time.Second {
				t.Errorf("it had used %v, want a second or two", used)
			}
		})
	}
}

// A limit that was not reached has no part in an end.
func TestCPULimitNotReached(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for name, end := range map[string]func(*proc.Child) string{
		"killed by us": func(c *proc.Child) string { c.Kill(); return "signal: killed" },
		"killed by another": func(c *proc.Child) string {
			_ = c.Signal(syscall.SIGKILL)
			return "signal: killed"
		},
		"its own crash": func(c *proc.Child) string { _ = c.Signal(syscall.SIGSEGV); return "exit status 2" },
		"its own exit":  func(c *proc.Child) string { c.CloseStdin(); return "exit status 0" },
	} {
		t.Run(name, func(t *testing.T) {
			spec := helper(t, "stdin")
			spec.CPULimit = time.Hour
			c, _ := startReady(t, s, spec)
			want := end(c)
			if e := await(t, c); e.OverCPU || e.String() != want {
				t.Errorf("it ended with %v, %+v; want %s", e, e, want)
			}
		})
	}
	// Nor has one that was not set.
	if e := await(t, start(t, s, helper(t, "signal", itoa(int(syscall.SIGXCPU))))); e.OverCPU {
		t.Errorf("without a limit it ended with %+v", e)
	}
}

// The limit is on each process, so what its children used does not count against it.
func TestCPULimitIsNotOnChildren(t *testing.T) {
	t.Parallel()
	spec := helper(t, "burn", "600", "kill")
	spec.CPULimit = time.Second
	c, _ := startReady(t, newSpawner(t), spec)
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := await(t, c)
	if e.User+e.System < time.Second {
		t.Fatalf("together they used %v, so this test shows nothing", e.User+e.System)
	}
	if e.OverCPU {
		t.Errorf("it ended with %v, and had used less than its limit itself", e)
	}
}

// openFilesOf returns what a child says of the files that it can open once its start is over.
func openFilesOf(t *testing.T, s *proc.Spawner, limit uint64) string {
	t.Helper()
	spec := helper(t, "openfiles")
	spec.OpenFiles = limit
	spec.Claim = func(line []byte) []byte { return line }
	c := start(t, s, spec)
	c.CloseStdin()
	text, err := io.ReadAll(c.Claimed())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestOpenFiles(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for _, limit := range []uint64{30, 100} {
		if got, want := openFilesOf(t, s, limit), fmt.Sprint("ready ", limit, limit, limit); got != want {
			t.Errorf("with a limit of %d a child can open, and is told as soft and hard limit, %s", limit, got)
		}
	}
}

// Many at once, so that the limit comes to children in all states of their beginning.
func TestOpenFilesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if got := openFilesOf(t, s, 40); got != "ready 40 40 40" {
					t.Errorf("the limit of 40 open files is %s", got)
				}
			}
		})
	}
	wg.Wait()
}

// A Go program raises its soft limit when it begins, and one with a privilege may by that undo a hard limit
// that comes in the same moment. It is set again before the program is taken for ready.
func TestOpenFilesIsSetAgain(t *testing.T) {
	t.Parallel()
	spec := helper(t, "openfiles", "undo")
	spec.OpenFiles = 40
	var r recorder
	spec.Output = r.output
	c, _ := startReady(t, newSpawner(t), spec)
	c.CloseStdin()
	eventually(t, "the child counts its files", func() bool { return len(r.of(proc.Stdout)) > 0 })
	if got := r.of(proc.Stdout); got[0] != "ready 40 40 40" {
		t.Errorf("the limit of 40 open files is %s", got)
	}
}

// What the host can't give is an error, and never less than was asked.
func TestLimitBeyondTheHosts(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	spec := helper(t, "sleep")
	spec.OpenFiles = math.MaxUint64 / 2 // more than the kernel gives to anybody
	c, err := s.Start(t.Context(), spec)
	if err == nil {
		c.Kill()
		await(t, c)
		c.Close()
		t.Fatal("it started")
	}
	for _, part := range []string{"open files", "the host's own hard limit is"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
	s.Close() // returns when what had been started is gone
}

// A child may be dead before its limits come.
func TestLimitsOfTheShortLived(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for range 20 {
		c := start(t, s, proc.Spec{
			Path: "/bin/true", CPULimit: time.Second, OpenFiles: 64, MemoryLimit: 1 << 30,
		})
		if e := await(t, c); e.Code != 0 {
			t.Errorf("it ended with %v", e)
		}
	}
}

// All threads of a nice child are nice, and of the host the one is that makes them.
func TestNice(t *testing.T) {
	t.Parallel()
	s, err := proc.NewSpawnerWith(proc.SpawnerConfig{Nice: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, text := startReady(t, s, helper(t, "nice")); text != "7" {
		t.Errorf("the niceness of a child's threads is %s, want 7", text)
	}
	plain := newSpawner(t)
	_, host := startReady(t, plain, helper(t, "nice"))
	if host == "7" {
		t.Skip("this test runs with a niceness of 7 itself")
	}
	_, text := startReady(t, plain, helper(t, "nice", "7"))
	counts := make(map[string]int)
	for field := range strings.FieldsSeq(text) {
		counts[field]++
	}
	if counts["7"] != 1 || counts[host] < 5 || len(counts) != 2 {
		t.Errorf("the threads of a host of niceness %s with a nicer spawner: %v", host, counts)
	}
}

func TestNiceRefused(t *testing.T) {
	t.Parallel()
	for _, nice := range []int{-1, 20} {
		if s, err := proc.NewSpawnerWith(proc.SpawnerConfig{Nice: nice}); err == nil {
			s.Close()
			t.Errorf("a niceness of %d is accepted", nice)
		}
	}
	s, err := proc.NewSpawnerWith(proc.SpawnerConfig{Nice: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, text := startReady(t, s, helper(t, "nicer", "9")); text != "<nil>" {
		t.Errorf("a host of niceness 5 asks for 9 and gets %s", text)
	}
	if _, text := startReady(t, s, helper(t, "nicer", "3")); !strings.Contains(text, "niceness 3") {
		t.Errorf("a host of niceness 5 without a privilege asks for 3 and gets %s", text)
	}
}
