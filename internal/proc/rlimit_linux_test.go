package proc_test

import (
	"fmt"
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

func TestOpenFiles(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for _, limit := range []uint64{30, 100} {
		spec := helper(t, "openfiles")
		spec.OpenFiles = limit
		if _, text := startReady(t, s, spec); text != fmt.Sprint(limit, limit, limit) {
			t.Errorf("with a limit of %d a child can open, and is told as soft and hard limit, %s", limit, text)
		}
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

// Many at once, so that the limits come to children in all states of their beginning.
func TestLimitsUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				spec := helper(t, "openfiles")
				spec.OpenFiles = 40
				if _, text := startReady(t, s, spec); text != "40 40 40" {
					t.Errorf("the limit of 40 open files is %s", text)
				}
			}
		})
	}
	wg.Wait()
}
