//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// nested collects the calls that the tasks of a worker make.
type nested struct {
	t testing.TB

	mu     sync.Mutex
	calls  []*procpool.Call
	lanes  []uint32
	seqs   []uint64
	answer func(*procpool.Call) // nil: the test does it
}

// startNested starts a worker whose tasks make calls. answer, unless it is nil, is
// given each of them.
func startNested(t testing.TB, answer func(*procpool.Call), change ...func(*wire.Options)) (*testHost, *nested) {
	t.Helper()
	n := &nested{t: t, answer: answer}
	h := start(t, append(change, func(o *wire.Options) { o.OnNested = n.onNested })...)
	return h, n
}

func (n *nested) onNested(lane uint32, seq uint64, c *procpool.Call) {
	n.mu.Lock()
	n.calls, n.lanes, n.seqs = append(n.calls, c), append(n.lanes, lane), append(n.seqs, seq)
	n.mu.Unlock()
	if n.answer != nil {
		n.answer(c)
	}
}

// await waits until the tasks have made that many calls, and returns the last.
func (n *nested) await(count int) *procpool.Call {
	n.t.Helper()
	var last *procpool.Call
	if !eventually(func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.calls) >= count {
			last = n.calls[count-1]
		}
		return last != nil
	}) {
		n.t.Fatalf("call %d does not come", count)
	}
	return last
}

// awaitEnd waits until the call has its outcome.
func awaitEnd(t testing.TB, c *procpool.Call) {
	t.Helper()
	if !eventually(c.Finished) {
		t.Fatalf("the call of %q does not end", c.Task())
	}
}

// answerEcho answers a call with its argument.
func answerEcho(c *procpool.Call) {
	c.Note(3, 4711, int(c.Slot.Attempts)+1, time.Second)
	c.NoteRun(time.Minute)
	c.Finish(c.Payload(), nil)
}

func TestNestedCall(t *testing.T) {
	h, n := startNested(t, answerEcho)
	for i := range 100 {
		if got := mustResult(t, asks.Submit(t.Context(), h, i)); got != i {
			t.Fatalf("asked for %d the host says %d", i, got)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range n.calls {
		if n.lanes[i] != 0 || n.seqs[i] != uint64(i+1) || c.Task() != "asked" || c.Codec() != "cbor" {
			t.Fatalf("call %d comes from lane %d, call %d, and is of task %q with codec %q", i, n.lanes[i], n.seqs[i], c.Task(), c.Codec())
		}
	}
}

// A second worker may run what a task calls.
func TestNestedCallRunsInWorker(t *testing.T) {
	second := start(t)
	h, _ := startNested(t, func(c *procpool.Call) { second.Enqueue(context.Background(), c, 1) })
	if got := mustResult(t, asks.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
	_, err := result(t, asks.Submit(t.Context(), h, -7))
	var te *procpool.TaskError
	if !errors.As(err, &te) || te.Task != "asks" {
		t.Errorf("got %v", err)
	}
	wantText(t, te.Message, `task "asked" failed: -7: a known failure`)
}

func TestNestedCallsAtOnce(t *testing.T) {
	h, _ := startNested(t, answerEcho)
	const count = 2000
	if got := mustResult(t, asksMany.Submit(t.Context(), h, count)); got != count*(count-1)/2 {
		t.Errorf("the sum is %d", got)
	}
}

func TestNestedPayloads(t *testing.T) {
	h, _ := startNested(t, answerEcho, func(o *wire.Options) { o.MaxPayload = 4 << 20 })
	for _, size := range []int{0, 1, 127, 128, 16<<10 - 1, 16 << 10, 100 << 10, 1 << 20, 4 << 20} {
		in := bytes.Repeat([]byte{byte(size), 1, 2}, size/3+1)[:size]
		if got := mustResult(t, asksRaw.Submit(t.Context(), h, in)); !bytes.Equal(got, in) {
			t.Errorf("%d bytes come back as %d others", size, len(got))
		}
	}
}

func TestNestedCallIsWhole(t *testing.T) {
	h, n := startNested(t, answerEcho)
	if got := mustResult(t, asksAll.Submit(t.Context(), h, 5)); got != 5 {
		t.Errorf("got %d", got)
	}
	c := n.await(1)
	deadline, ok := c.Deadline()
	if left := time.Until(deadline); !ok || left < 50*time.Minute || left > time.Hour {
		t.Errorf("of an hour %v is left", left)
	}
	if c.Task() != "asked" || c.Codec() != "json" || c.Key() != "key-5" || c.Priority() != -7 || c.Timeout() != 90*time.Second ||
		!maps.Equal(c.Metadata(), map[string]string{"tenant": "acme", "": "x"}) || c.Kind() != procpool.KindFunction ||
		c.Slot.Attempts != 0 || c.Slot.Suspect || string(c.Payload()) != "5" {
		t.Errorf("the call came with codec %q, key %q, priority %d, timeout %v, metadata %v, argument %q",
			c.Codec(), c.Key(), c.Priority(), c.Timeout(), c.Metadata(), c.Payload())
	}
}

func TestNestedCallRefused(t *testing.T) {
	h := start(t)
	if got := mustResult(t, judges.Submit(t.Context(), h, 0)); !slices.Equal(got.Matches, []string{"ErrUnsupported"}) {
		t.Errorf("got %+v", got)
	} else {
		wantText(t, got.Text, `task "asked" was not called`)
	}
}

// An error that the host has for a call is the same in the task that has made it.
func TestNestedErrors(t *testing.T) {
	crash := &procpool.CrashError{
		Task: "asked", Worker: 3, PID: 4711, ExitCode: -1, Signal: "SIGSEGV", Reason: "signal: segmentation fault", OOM: procpool.OOMLikely,
		MaxRSS: 1 << 33, UserCPU: time.Second, SystemCPU: time.Minute, Stderr: "what it said", Attempt: 2, Suspects: 3, Finished: true,
		Hung: true, Dir: "/crashes/1",
	}
	start := &procpool.StartError{
		Command: []string{"worker", "-x"}, Reason: "it ended before it was ready", ExitCode: 9, Output: "no licence", Err: context.DeadlineExceeded,
	}
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"crash":     {crash, []string{"CrashError", "ErrCrashed"}},
		"timeout":   {&procpool.TimeoutError{Task: "asked", Limit: time.Minute, Attempt: 2}, []string{"DeadlineExceeded", "TimeoutError"}},
		"start":     {start, []string{"DeadlineExceeded", "StartError"}},
		"closed":    {procpool.ErrClosed, []string{"ErrClosed"}},
		"full":      {fmt.Errorf("%w: 7 calls wait in it", procpool.ErrQueueFull), []string{"ErrQueueFull"}},
		"nesting":   {procpool.NestingError("asked", "50 is the limit"), []string{"ErrNestingLimit"}},
		"unknown":   {fmt.Errorf("%w %q", procpool.ErrUnknownTask, "asked"), []string{"ErrUnknownTask"}},
		"too large": {fmt.Errorf("5 bytes: %w", procpool.ErrTooLarge), []string{"ErrTooLarge"}},
		"known":     {&procpool.TaskError{Task: "asked", Message: "m", Code: "known"}, []string{"TaskError", "errKnown"}},
		"panic":     {procpool.NewPanicError("asked", "at the disco", nil), []string{"PanicError"}},
		"codec":     {&procpool.CodecError{Task: "asked", Codec: "cbor", Op: "decode the argument", Err: errors.New("no")}, []string{"CodecError"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := startNested(t, func(c *procpool.Call) { c.Finish(nil, test.err) })
			got := mustResult(t, judges.Submit(t.Context(), h, 0))
			if !slices.Equal(got.Matches, test.want) {
				t.Errorf("%v became %+v", test.err, got)
			}
			if got.Text != test.err.Error() {
				t.Errorf("%q became %q", test.err, got.Text)
			}
			if name == "crash" && *got.Crash != *crash {
				t.Errorf("%+v became %+v", crash, got.Crash)
			}
			if s := got.Start; name == "start" && (s.Reason != start.Reason || s.ExitCode != 9 || s.Output != start.Output) {
				t.Errorf("%+v became %+v", start, s)
			}
		})
	}
}

func TestNestedGivenUpByTask(t *testing.T) {
	h, n := startNested(t, nil)
	for i := range 3 {
		f := givesUp.Submit(t.Context(), h, i)
		c := n.await(i + 1)
		if i == 0 {
			h.worker.Cancel(0, 1) // the context of the call that makes it
		}
		if got := mustResult(t, f); !slices.Equal(got.Matches, []string{"Canceled"}) {
			t.Errorf("call %d ends with %+v", i, got)
		}
		awaitEnd(t, c)
	}
}

func TestNestedGivenUpByHost(t *testing.T) {
	h, n := startNested(t, nil)
	f := judges.Submit(t.Context(), h, 3)
	n.await(1).Cancel()
	if got := mustResult(t, f); !slices.Equal(got.Matches, []string{"Canceled"}) {
		t.Errorf("got %+v", got)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	f = judges.Submit(t.Context(), h, 3)
	c := n.await(2)
	c.Finish(nil, procpool.CancelError(ctx, c))
	if got := mustResult(t, f); !slices.Equal(got.Matches, []string{"DeadlineExceeded"}) {
		t.Errorf("got %+v", got)
	}
}

// The calls of a task end with it, in the host and in the worker, and what it asks
// for later is refused.
func TestNestedOutlivesItsCaller(t *testing.T) {
	h, n := startNested(t, nil)
	if got := mustResult(t, abandons.Submit(t.Context(), h, 50)); got != 50 {
		t.Errorf("got %d", got)
	}
	n.await(50)
	for _, c := range n.calls {
		awaitEnd(t, c)
	}
	mustResult(t, lateAsks.Submit(t.Context(), h, 1))
	awaitEnd(t, n.await(51))
	if !eventually(func() bool { return h.printed("late: [Canceled]; [ErrNestingLimit]") }) {
		t.Errorf("the worker printed %v", h.lines)
	}
	if n.answer = answerEcho; mustResult(t, asks.Submit(t.Context(), h, 3)) != 3 {
		t.Error("the worker does not go on")
	}
}

func TestNestedCallersWorkerDies(t *testing.T) {
	h, n := startNested(t, nil)
	asksMany.Submit(t.Context(), h, 20)
	n.await(20)
	if err := syscall.Kill(h.worker.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.awaitExit()
	for _, c := range n.calls {
		awaitEnd(t, c)
	}
	h.awaitDone()
	for _, c := range n.calls {
		if c.Finish(nil, nil) {
			t.Error("a call is open")
		}
	}
}

// The process that makes the call decides whether it is made again.
func TestNestedRetry(t *testing.T) {
	crash := &procpool.CrashError{Task: "asked", Worker: 1, PID: 7, Reason: "exit status 3", Suspects: 2}
	h, n := startNested(t, func(c *procpool.Call) {
		c.Note(1, 7, int(c.Slot.Attempts)+1, 0)
		if c.Slot.Attempts < 2 {
			c.Finish(nil, crash)
			return
		}
		c.Finish(c.Payload(), nil)
	})
	if got := mustResult(t, judges.Submit(t.Context(), h, 2)); got.Text != "" {
		t.Errorf("got %+v", got)
	}
	if n.await(3); len(n.calls) != 3 {
		t.Fatalf("there were %d attempts", len(n.calls))
	}
	for i, c := range n.calls {
		if int(c.Slot.Attempts) != i || c.Slot.Suspect != (i > 0) {
			t.Errorf("attempt %d says %d, suspect %v", i, c.Slot.Attempts, c.Slot.Suspect)
		}
	}
	got := mustResult(t, judges.Submit(t.Context(), h, 1))
	if !slices.Equal(got.Matches, []string{"CrashError", "ErrCrashed"}) || len(n.calls) != 5 {
		t.Errorf("after %d attempts: %+v", len(n.calls)-3, got)
	}
	wantText(t, got.Text, "given up after 2 attempts")
}

// A call waits while one that it has made is open, which does not count as its run
// time.
func TestNestedCallerWaits(t *testing.T) {
	h, n := startNested(t, nil)
	f := asks.Submit(t.Context(), h, 3)
	c := n.await(1)
	if !eventually(func() bool { return h.worker.Waiting(0) }) {
		t.Fatal("the call that makes another does not wait")
	}
	answerEcho(c)
	mustResult(t, f)
	if h.worker.Waiting(0) {
		t.Error("it waits when it has ended")
	}
	// What a call leaves open does not have the next one wait.
	abandons.Submit(t.Context(), h, 3)
	n.await(4)
	g := dawdle.Submit(t.Context(), h, 1)
	h.awaitStarted(3)
	if h.worker.Waiting(0) {
		t.Error("the next call waits")
	}
	h.worker.Cancel(0, 3)
	mustResult(t, g)
}
