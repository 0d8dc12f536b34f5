//go:build unix

package proc_test

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/proc"
)

// DESIGN 6.6: what a child started dies with it, by our kill.
func TestKillEndsTheGroup(t *testing.T) {
	t.Parallel()
	c, text := startReady(t, newSpawner(t), helper(t, "grandchild"))
	pid := number(t, text)
	if !c.InGroup(pid) || !c.InGroup(c.PID()) {
		t.Errorf("InGroup(%d) = %v, InGroup(%d) = %v", pid, c.InGroup(pid), c.PID(), c.InGroup(c.PID()))
	}
	for _, stranger := range []int{os.Getpid(), 1, 0, -1, -c.PID()} {
		if c.InGroup(stranger) {
			t.Errorf("InGroup(%d) is true", stranger)
		}
	}
	c.Kill()
	await(t, c)
	eventually(t, "the grandchild is dead", func() bool { return !alive(pid) })
	if c.InGroup(pid) || c.InGroup(c.PID()) {
		t.Error("a reaped child still has a group")
	}
}

// DESIGN 6.6: and when the child ends by itself.
func TestExitEndsTheGroup(t *testing.T) {
	t.Parallel()
	c, text := startReady(t, newSpawner(t), helper(t, "leave"))
	if e := await(t, c); e.Code != 7 {
		t.Errorf("the child ended with %v, want its own exit status 7", e)
	}
	pid := number(t, text)
	eventually(t, "the grandchild is dead", func() bool { return !alive(pid) })
}

// A process that left the group and holds the pipes delays neither Done nor Tail nor Close.
func TestGrandchildOutsideTheGroup(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c, text := startReady(t, s, helper(t, "leave", "away"))
	pid := number(t, text)
	killLater(t, pid)
	if e := await(t, c); e.Code != 7 {
		t.Errorf("the child ended with %v, want exit status 7", e)
	}
	if !alive(pid) {
		t.Fatal("the grandchild is dead, so this test shows nothing")
	}
	c.Tail(patience) // returns although the stream has not ended
	c.Close()
	c.Close()
	s.Close()
	if !alive(pid) {
		t.Error("the grandchild that left the group was hit")
	}
}

// A grandchild that holds the pipes keeps nothing open when somebody else kills the child.
func TestGrandchildHoldsThePipes(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c, text := startReady(t, s, helper(t, "deaffamily"))
	pid := number(t, text)
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := await(t, c); e.Signal != syscall.SIGKILL || e.Killed {
		t.Errorf("it ended with %+v, want it killed and not by us", e)
	}
	c.Tail(patience)
	c.Close()
	s.Close()
	eventually(t, "the grandchild is dead", func() bool { return !alive(pid) })
}

// A child that dies before its program has come to anything is a child all the same: it has an exit, its
// claimed line ends, and its limits are no reason for an error.
func TestKilledDuringItsStart(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for i := range 30 {
		spec := helper(t, "sleep")
		spec.Claim = func(line []byte) []byte { return line }
		if i%2 == 0 && runtime.GOOS == "linux" {
			spec.MemoryLimit, spec.CPULimit, spec.OpenFiles = 1<<30, time.Minute, 100
		}
		c := start(t, s, spec)
		if err := c.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(c.Claimed()); err != nil || len(text) > 0 && string(text) != "ready \n" {
			t.Errorf("it claims %q, %v", text, err)
		}
		if e := await(t, c); e.Signal != syscall.SIGKILL || e.Killed || e.OverCPU || e.OOM == proc.OOMYes {
			t.Errorf("it ended with %+v, want it killed and not by us", e)
		}
		c.Close()
	}
	s.Close()
}

func TestChildThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "ignoreterm"))
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
		t.Fatalf("it ended with %v", c.Exit())
	default:
	}
	c.Kill()
	if e := await(t, c); e.Signal != syscall.SIGKILL || !e.Killed {
		t.Errorf("it ended with %+v", e)
	}
}

func TestKillStoppedChild(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "sleep"))
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	if e := await(t, c); !e.Killed {
		t.Errorf("it ended with %+v", e)
	}
}

func TestSignalAfterTheReap(t *testing.T) {
	t.Parallel()
	c := start(t, newSpawner(t), helper(t, "exit", "0"))
	await(t, c)
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal returned %v, want os.ErrProcessDone", err)
	}
	c.Kill()
	if e := c.Exit(); e.Killed {
		t.Errorf("Kill after the end changed it to %+v", e)
	}
}

// Everything at once, from many goroutines, around the moment of the exit.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for range 10 {
		c, _ := startReady(t, s, helper(t, "sleep"))
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for done := false; !done; {
					select {
					case <-c.Done():
						done = true
					default:
					}
					switch i % 4 {
					case 0:
						c.Kill()
					case 1:
						_ = c.Signal(syscall.SIGCONT)
					case 2:
						c.InGroup(c.PID())
					case 3:
						c.Tail(0)
					}
				}
				c.CloseStdin()
				c.Close()
			})
		}
		wg.Wait()
		if e := c.Exit(); !e.Killed || e.Signal != syscall.SIGKILL {
			t.Errorf("it ended with %+v", e)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	s := newSpawner(b)
	for b.Loop() {
		c, err := s.Start(b.Context(), proc.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", ":"}})
		if err != nil {
			b.Fatal(err)
		}
		<-c.Done()
		c.Close()
	}
}
