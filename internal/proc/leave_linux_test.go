package proc_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/procpool/procpool/internal/proc"
)

func itoa(n int) string { return strconv.Itoa(n) }

// entries counts what is in a directory of /proc.
func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// DESIGN 6.6: nothing is left behind, however often. It counts what belongs to the whole process, so it
// does not run in parallel.
func TestNothingIsLeftBehind(t *testing.T) {
	cycle := func(s *proc.Spawner, i int) {
		spec := helper(t, "sleep")
		if i%4 == 0 {
			spec.MemoryLimit = 4 << 30 // with a watcher
		}
		spec.Claim = func(line []byte) []byte { return line }
		c, err := s.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 { // else it is killed before its main runs
			_, _ = io.ReadAll(c.Claimed())
		}
		c.Kill()
		await(t, c)
		c.Close()
	}
	warm := proc.NewSpawner()
	cycle(warm, 0)
	warm.Close()

	files, threads, goroutines := entries(t, "/proc/self/fd"), entries(t, "/proc/self/task"), runtime.NumGoroutine()
	s := proc.NewSpawner()
	for i := range 200 {
		cycle(s, i)
	}
	s.Close()
	eventually(t, "the goroutines are as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	if got := entries(t, "/proc/self/fd"); got > files {
		t.Errorf("%d descriptors before, %d after", files, got)
	}
	// The runtime keeps threads it once needed for blocked calls, a handful however many cycles.
	if got := entries(t, "/proc/self/task"); got > threads+8 {
		t.Errorf("%d threads before, %d after", threads, got)
	}
	if tree := proc.ProcessTree(os.Getpid()); len(tree) != 1 {
		t.Errorf("processes are left: %v", tree[1:])
	}
}

// Programs that can't be started leave nothing either.
func TestFailedStartsLeaveNothing(t *testing.T) { // not in parallel: it counts descriptors
	s := proc.NewSpawner()
	defer s.Close()
	files := entries(t, "/proc/self/fd")
	for range 50 {
		if _, err := s.Start(t.Context(), proc.Spec{Path: "/no/such/program", MemoryLimit: 1 << 30}); err == nil {
			t.Fatal("it started")
		}
	}
	if got := entries(t, "/proc/self/fd"); got > files {
		t.Errorf("%d descriptors before, %d after", files, got)
	}
}

// The thread ends with the spawner, and the main thread, which could not, is never taken.
func TestThreadEnds(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := proc.NewSpawner()
		id := s.Thread()
		if id == os.Getpid() {
			t.Error("the spawner runs on the main thread")
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", id)); err != nil {
			t.Errorf("its thread %d: %v", id, err)
		}
		s.Close()
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", id)); err == nil {
			t.Errorf("thread %d is left", id)
		}
	}
}

// A child outlives the thread of the goroutine that asked for it: only the spawner's counts.
func TestChildOutlivesTheCallersThread(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	started := make(chan *proc.Child)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		thread <- unix.Gettid()
		c, _ := startReady(t, s, helper(t, "stdin"))
		started <- c
	}()
	c, id := <-started, <-thread
	if id != os.Getpid() { // the main thread stays
		eventually(t, "the thread has ended", func() bool { return gone(fmt.Sprintf("/proc/self/task/%d", id)) })
	}
	c.CloseStdin()
	if e := await(t, c); e.Code != 0 {
		t.Errorf("it ended with %v", e)
	}
}

// DESIGN 6.6: a host that is killed takes its children with it, though nobody is left to see to it.
func TestHostIsKilled(t *testing.T) {
	t.Parallel()
	h, text := startReady(t, newSpawner(t), helper(t, "host", "sleep"))
	pid := number(t, text)
	killLater(t, pid)
	if h.InGroup(pid) {
		t.Fatal("the child is in its host's group, so this test shows nothing")
	}
	if err := h.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	await(t, h)
	eventually(t, "the child of the killed host is dead", func() bool { return !alive(pid) })
}

func BenchmarkKillToDone(b *testing.B) {
	s := newSpawner(b)
	for b.Loop() {
		b.StopTimer()
		c, _ := startReady(b, s, helper(b, "sleep"))
		b.StartTimer()
		c.Kill()
		<-c.Done()
		b.StopTimer()
		c.Close()
		b.StartTimer()
	}
}
