package proc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/proc"
)

// plainProgram builds a program without the race detector, whatever this test was built with: a
// sanitizer's shadow memory and RLIMIT_DATA exclude each other.
func plainProgram(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "hungry")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, "./testdata/hungry")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the test program: %v\n%s", err, text)
	}
	return out
}

// DESIGN 6.14: a Go program that uses more and more dies at its limit.
func TestMemoryLimitOfGoProgram(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c := start(t, s, proc.Spec{Path: plainProgram(t), MemoryLimit: 256 << 20})
	c.CloseStdin() // the limit is set now
	e := await(t, c)
	if e.OOM != proc.OOMYes || e.Killed {
		t.Errorf("it ended with %+v, want OOM yes", e)
	}
	if e.MaxRSS > 400<<20 {
		t.Errorf("it used %d MiB with a limit of 256", e.MaxRSS>>20)
	}
}

// What is mapped and not used is no memory to the watcher; RLIMIT_DATA stops that too. Linux (6.18) lets
// the first big piece pass and refuses the next, whoever asks for it: now and then that is a part of the
// Go runtime that does not check, and dies of a nil pointer without a word about memory.
func TestMemoryLimitOfUnusedMemory(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c := start(t, s, proc.Spec{Path: plainProgram(t), Args: []string{"hungry", "at once"}, MemoryLimit: 256 << 20})
	c.CloseStdin() // the limit is set now
	if e := await(t, c); e.OOM == proc.OOMNo || e.Code != 2 {
		t.Errorf("it ended with %+v, want the Go runtime's exit status 2 and OOM: %s", e, c.Tail(0))
	}
	if tail := string(c.Tail(patience)); !strings.Contains(tail, "runtime.") {
		t.Errorf("no stack is in the tail: %q", tail)
	}
}

// What a program maps and does not use is not held against it, if it takes its time.
func TestUnusedMemoryIsFree(t *testing.T) {
	t.Parallel()
	spec := helper(t, "mapunused", "900")
	spec.MemoryLimit = 128 << 20
	c := start(t, newSpawner(t), spec)
	if e := await(t, c); e.Code != 0 {
		t.Errorf("it ended with %+v: %s", e, c.Tail(0))
	}
}

// Shared memory is not what RLIMIT_DATA counts: the watcher has to see it.
func TestMemoryLimitByWatching(t *testing.T) {
	t.Parallel()
	spec := helper(t, "touchshared", "600")
	spec.MemoryLimit = 300 << 20
	e := await(t, start(t, newSpawner(t), spec))
	if e.OOM != proc.OOMYes || e.Signal != syscall.SIGKILL || e.Killed {
		t.Errorf("it ended with %+v, want a kill for memory that is not ours", e)
	}
}

func TestMemoryLimitOfTheTree(t *testing.T) {
	t.Parallel()
	spec := helper(t, "family", "4", "100")
	spec.MemoryLimit = 300 << 20
	e := await(t, start(t, newSpawner(t), spec))
	if e.OOM != proc.OOMYes || e.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %+v, want a kill for the memory of its children", e)
	}
}

// What left the group is killed too when it is what uses the memory.
func TestMemoryLimitReachesStrays(t *testing.T) {
	t.Parallel()
	spec := helper(t, "escaped", "600")
	spec.MemoryLimit = 300 << 20
	c, text := startReady(t, newSpawner(t), spec)
	pid := number(t, text)
	killLater(t, pid)
	if e := await(t, c); e.OOM != proc.OOMYes {
		t.Errorf("it ended with %+v, want OOM yes", e)
	}
	eventually(t, "the stray is dead", func() bool { return !alive(pid) })
}

// Memory that several processes share counts once.
func TestSharedMemoryCountsOnce(t *testing.T) {
	t.Parallel()
	const mib = 100
	c, _ := startReady(t, newSpawner(t), helper(t, "sharing", "4", strconv.Itoa(mib), "/dev/shm"))
	tree := proc.ProcessTree(c.PID())
	if len(tree) != 5 {
		t.Fatalf("the tree is %v, want 5 processes", tree)
	}
	eventually(t, "the children have touched it all", func() bool {
		sum, _ := proc.MemoryOf(tree)
		return sum >= 4*mib<<20
	})
	if _, got := proc.MemoryOf(tree); got < mib<<20 || got >= 4*mib<<20 {
		t.Errorf("shared memory is %d MiB, want it counted once: at least %d and far less than %d", got>>20, mib, 4*mib)
	}
}

func TestMemoryWithinTheLimit(t *testing.T) {
	t.Parallel()
	spec := helper(t, "touchstay", "100")
	spec.MemoryLimit = 1 << 30
	c, _ := startReady(t, newSpawner(t), spec)
	select {
	case <-c.Done():
		t.Errorf("it ended with %+v", c.Exit())
	case <-time.After(400 * time.Millisecond): // several looks of the watcher
	}
	c.Kill()
	e := await(t, c)
	if !e.Killed || e.OOM != proc.OOMNo {
		t.Errorf("it ended with %+v", e)
	}
	if e.MaxRSS < 100<<20 {
		t.Errorf("MaxRSS is %d MiB, want what the watcher saw", e.MaxRSS>>20)
	}
}

// Linux counts the host's peak into that of a process it starts; we do not pass that on as the child's.
func TestSmallChildOfBigHost(t *testing.T) {
	t.Parallel()
	_, text := startReady(t, newSpawner(t), helper(t, "bighost", "300"))
	if peak := number(t, text); peak != 0 {
		t.Errorf("a small child of a big host is said to have used %d MiB", peak>>20)
	}
}

func TestCounter(t *testing.T) {
	t.Parallel()
	text := []byte("low 0\nhigh 2\noom 3\noom_kill 17\noom_group_kill 1\n")
	for name, want := range map[string]int64{"oom_kill": 17, "oom": 3, "low": 0, "nothing": 0} {
		if got := proc.Counter(text, name); got != want {
			t.Errorf("counter %q = %d, want %d", name, got, want)
		}
	}
}
