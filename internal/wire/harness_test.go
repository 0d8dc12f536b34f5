//go:build unix

package wire_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire"
)

// patience bounds the wait for what must come soon. It is generous, because
// other tests and the race detector slow everything down.
const patience = 30 * time.Second

// testHost is a host with one worker: an executor that sends each call on a lane of
// the worker, and finishes it with what the worker answers.
type testHost struct {
	t      testing.TB
	worker *wire.Worker
	exited chan struct{}
	report wire.ExitReport // valid once exited is closed

	mu       sync.Mutex
	lane     int
	hold     bool // collect calls instead of sending them
	held     []*procpool.Call
	seq      uint64
	open     map[uint64]*procpool.Call
	declined []uint64
	replies  []wire.Reply // all that came, without data
	lines    []string
	sending  sync.Mutex
}

// options returns what a worker of the tests needs. What is started with it must
// be gone when the test ends, and nothing may be left then.
func options(t testing.TB) wire.Options {
	t.Helper()
	startsProcesses(t)
	checkLeaks(t)
	spawner := proc.NewSpawner()
	t.Cleanup(spawner.Close)
	dir := shortDir(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return wire.Options{
		Spawner: spawner, Path: program, Args: []string{"worker"}, Env: os.Environ(), SocketDir: dir, Poller: wire.NewPoller(1),
		StartTimeout: patience,
	}
}

// startsProcesses keeps a test out of short runs.
func startsProcesses(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
}

// shortDir makes a directory for sockets, which must be empty when the test ends.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire") //nolint:usetesting // t.TempDir holds the test's name and is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("the socket directory holds %v, %v", left, err)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// leakChecks holds the tests that are checked.
var leakChecks sync.Map

// checkLeaks makes the test fail for goroutines and descriptors that it leaves.
func checkLeaks(t testing.TB) {
	t.Helper()
	if _, again := leakChecks.LoadOrStore(t, true); again {
		return // the first check of a test is the last to run
	}
	before := descriptors(t)
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(running); err != nil {
			t.Error(err)
		}
		if !eventually(func() bool { return len(descriptors(t)) <= len(before) }) {
			t.Errorf("descriptors before: %v\nafter: %v", before, descriptors(t))
		}
		if children := childrenOf(os.Getpid()); len(children) > 0 {
			t.Errorf("child processes are left: %v", children)
		}
	})
}

// descriptors lists the open descriptors of this process.
func descriptors(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // not this system
	}
	var all []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.Contains(target, "/fd") || strings.Contains(target, "[eventpoll]") || strings.Contains(target, "[eventfd]") {
			continue // the directory itself, and what the runtime makes once
		}
		all = append(all, e.Name()+" "+target)
	}
	return all
}

// childrenOf lists the processes whose parent is pid, zombies included.
func childrenOf(pid int) []string {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var children []string
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if ok && len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, string(data[:min(60, len(data))]))
		}
	}
	return children
}

// processState returns the letter that the kernel has for a process's state, ""
// when there is none.
func processState(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return rest[:min(1, len(rest))]
}

// alive reports whether a process of that number runs; a zombie does not.
func alive(pid int) bool {
	switch processState(pid) {
	case "", "Z", "X":
		return false
	}
	return true
}

// eventually waits until a condition holds.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// start starts a worker that is killed when the test ends.
func start(t testing.TB, change ...func(*wire.Options)) *testHost {
	t.Helper()
	o := options(t)
	h := &testHost{t: t, open: make(map[uint64]*procpool.Call), exited: make(chan struct{})}
	o.OnReplies = h.onReplies
	o.OnExit = func(r wire.ExitReport) {
		h.report = r
		close(h.exited)
	}
	o.Output = func(s proc.Stream, line []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = append(h.lines, s.String()+": "+string(line[:min(len(line), 200)]))
	}
	for _, f := range change {
		f(&o)
	}
	w, err := wire.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	h.worker = w
	t.Cleanup(func() {
		if t.Failed() {
			// What was the worker doing?
			_ = syscall.Kill(w.PID(), syscall.SIGQUIT)
			t.Logf("the worker's end: %s", h.awaitExit().Stderr)
		}
		w.Kill(nil)
		h.awaitDone()
	})
	return h
}

func (h *testHost) awaitDone() {
	h.t.Helper()
	select {
	case <-h.worker.Done():
	case <-time.After(patience):
		h.t.Fatal("the worker is not done")
	}
}

// awaitExit returns the report of the worker's end.
func (h *testHost) awaitExit() wire.ExitReport {
	h.t.Helper()
	select {
	case <-h.exited:
	case <-time.After(patience):
		h.t.Fatal("no report of the worker's end")
	}
	return h.report
}

// awaitStarted waits until call seq of lane 0 has started.
func (h *testHost) awaitStarted(seq uint64) {
	h.t.Helper()
	if !eventually(func() bool { started, _, _ := h.worker.Progress(0); return started >= seq }) {
		h.t.Fatalf("call %d does not start", seq)
	}
}

// stopWorker suspends the worker and waits until it is.
func (h *testHost) stopWorker() {
	h.t.Helper()
	if err := syscall.Kill(h.worker.PID(), syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	if !eventually(func() bool { return processState(h.worker.PID()) == "T" }) {
		h.t.Fatal("the worker does not stop")
	}
}

// Enqueue sends calls.
func (h *testHost) Enqueue(_ context.Context, first *procpool.Call, n int) {
	h.mu.Lock()
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		h.seq++
		c.Slot.Next, c.Slot.Seq = nil, h.seq
		if c.Kind() == procpool.KindActor && c.Step() == procpool.StepOpen {
			c.Actor().Begin(nil, false)
		}
		if c.Kind().HasValues() {
			c.Hold(h.on(h.lane))
		}
		h.seq += uint64(c.Seal() - 1)
		for i := range c.Items() {
			h.open[c.Slot.Seq+uint64(i)] = c
		}
		h.held = append(h.held, c)
		c = next
	}
	hold := h.hold
	h.mu.Unlock()
	if !hold {
		h.flush()
	}
}

// TakesPacks has Map send packs.
func (h *testHost) TakesPacks() bool { return true }

// flush sends what was held back, as one batch.
func (h *testHost) flush() {
	h.sending.Lock()
	defer h.sending.Unlock()
	h.mu.Lock()
	calls, lane := h.held, h.lane
	h.held = nil
	h.mu.Unlock()
	if len(calls) > 0 {
		h.worker.Send(lane, calls)
	}
}

// setHold says whether to collect calls until flush.
func (h *testHost) setHold(hold bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = hold
}

func (h *testHost) onReplies(replies []wire.Reply) { h.finish(replies, false) }

// finish gives calls their outcomes.
func (h *testHost) finish(replies []wire.Reply, recovered bool) {
	for _, r := range replies {
		h.mu.Lock()
		c, ok := h.open[r.Seq]
		delete(h.open, r.Seq)
		h.replies = append(h.replies, wire.Reply{Seq: r.Seq, Lane: r.Lane, Kind: r.Kind, Run: r.Run})
		if r.Kind == wire.Declined {
			h.declined = append(h.declined, r.Seq)
		}
		h.mu.Unlock()
		if !ok {
			h.t.Errorf("an answer for call %d, which is not open (recovered: %v)", r.Seq, recovered)
			continue
		}
		if r.Kind != wire.Declined {
			c.FinishItem(int(r.Seq-c.Slot.Seq), r.Data, r.Err)
		}
	}
}

// openCalls returns the numbers of the calls without an answer.
func (h *testHost) openCalls() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var open []uint64
	for seq := range h.open {
		open = append(open, seq)
	}
	slices.Sort(open)
	return open
}

// declinedCalls returns the numbers of the calls that the worker did not run.
func (h *testHost) declinedCalls() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.declined)
}

func (h *testHost) printed(want string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.lines, func(line string) bool { return strings.Contains(line, want) })
}

// result waits for a future.
func result[T any](t testing.TB, f *procpool.Future[T]) (T, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return f.Result(ctx)
}

// mustResult waits for a future that must not fail.
func mustResult[T any](t testing.TB, f *procpool.Future[T]) T {
	t.Helper()
	v, err := result(t, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
