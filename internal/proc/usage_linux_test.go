package proc_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/procpool/procpool/internal/proc"
)

// usage returns the usage of a living child.
func usage(t testing.TB, c *proc.Child) proc.Usage {
	t.Helper()
	u, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUsageOfMemory(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	small, _ := startReady(t, s, helper(t, "sleep"))
	base := usage(t, small).Memory
	if base < 100<<10 || base > 200<<20 {
		t.Errorf("an idle helper uses %d KiB", base>>10)
	}
	for mode, args := range map[string][]string{"touchstay": {"64"}, "touchshared": {"64"}, "family": {"2", "32"}} {
		t.Run(mode, func(t *testing.T) {
			c, _ := startReady(t, s, helper(t, mode, args...))
			eventually(t, "64 MiB are in use", func() bool { // a grandchild is ready before it uses all
				used := usage(t, c).Memory
				return used >= 64<<20 && used <= 64<<20+4*base+(32<<20)
			})
		})
	}
}

// DESIGN 6.13: what computes can be told from what does nothing, also when it does so in a child.
func TestUsageOfCPU(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for name, c := range map[string]struct {
		args []string
		want time.Duration
	}{
		"itself":                        {[]string{"200"}, 180 * time.Millisecond},
		"with a child":                  {[]string{"200", "live"}, 360 * time.Millisecond},
		"with a child that it outlived": {[]string{"200", "kill"}, 360 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			child, _ := startReady(t, s, helper(t, "burn", c.args...))
			if used := usage(t, child).CPU; used < c.want || used > c.want+10*time.Second {
				t.Errorf("it has used %v, want %v and a little", used, c.want)
			}
		})
	}
	busy, _ := startReady(t, s, helper(t, "busyfamily"))
	first := usage(t, busy).CPU
	eventually(t, "the time used grows", func() bool { return usage(t, busy).CPU >= first+100*time.Millisecond })
}

func TestUsageTellsStopped(t *testing.T) {
	t.Parallel()
	c, _ := startReady(t, newSpawner(t), helper(t, "sleep"))
	if usage(t, c).Stopped {
		t.Error("a waiting process is said to be stopped")
	}
	for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGCONT, unix.SIGTSTP, unix.SIGCONT} {
		if err := c.Signal(sig); err != nil {
			t.Fatal(err)
		}
		stopped := sig != unix.SIGCONT
		eventually(t, "Stopped tells it", func() bool { return usage(t, c).Stopped == stopped })
	}
}

func TestUsageAfterTheReap(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for range 20 {
		c := start(t, s, helper(t, "sleep"))
		go c.Kill()
		for ended := false; !ended; {
			select {
			case <-c.Done():
				ended = true
			default:
			}
			u, err := c.Usage()
			if ended && (!errors.Is(err, os.ErrProcessDone) || u != proc.Usage{}) {
				t.Fatalf("after the end its usage is %+v, %v", u, err)
			}
		}
	}
}

func BenchmarkUsage(b *testing.B) {
	c, _ := startReady(b, newSpawner(b), helper(b, "nice")) // which has some threads
	b.ReportAllocs()
	for b.Loop() {
		usage(b, c)
	}
}
