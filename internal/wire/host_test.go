//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

func TestHello(t *testing.T) {
	h := start(t, func(o *wire.Options) { o.Lanes = 3 })
	hello := h.worker.Hello()
	if hello.Language != "go" || !strings.HasPrefix(hello.SDK, "procpool-go ") || hello.Lanes != 3 || !hello.Recorder {
		t.Errorf("got %+v", hello)
	}
	if len(hello.Tasks) != len(tasks) || !slices.EqualFunc(hello.Tasks, tasks, func(got procpool.TaskInfo, want procpool.Task) bool {
		info := want.Describe()
		return got.Name == info.Name && got.In == info.In && got.Out == info.Out && slices.Equal(got.Codecs, info.Codecs) &&
			got.Kind == info.Kind && got.Receives == info.Receives
	}) {
		t.Errorf("got %+v", hello.Tasks)
	}
	for i, task := range tasks {
		if f, ok := h.worker.Function(task.Name()); !ok || int(f) != i {
			t.Errorf("task %q has the number %d, %v", task.Name(), f, ok)
		}
	}
	if _, ok := h.worker.Function("nonsense"); ok {
		t.Error("the worker serves what it does not have")
	}
}

func TestCallResults(t *testing.T) {
	h := start(t)
	var futures []*procpool.Future[int]
	h.setHold(true)
	for i := range 5000 {
		futures = append(futures, square.Submit(t.Context(), h, i))
	}
	h.flush()
	for i, f := range futures {
		if got := mustResult(t, f); got != i*i {
			t.Errorf("square of %d is %d", i, got)
		}
	}
}

func TestCallPack(t *testing.T) {
	h := start(t)
	i := 0
	for got, err := range square.Map(t.Context(), h, count(10000)) {
		if err != nil || got != i*i {
			t.Fatalf("item %d: %d, %v", i, got, err)
		}
		i++
	}
	if i != 10000 {
		t.Errorf("%d items came", i)
	}
}

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func TestCallPayloadSizes(t *testing.T) {
	h := start(t)
	for _, size := range []int{0, 1, 127, 128, 16<<10 - 100, 16 << 10, 48 << 10, 64 << 10, 64<<10 + 1, 1 << 20, 40 << 20} {
		in := make([]byte, size)
		for i := range in {
			in[i] = byte(i * 7)
		}
		if got := mustResult(t, echo.Submit(t.Context(), h, in)); !bytes.Equal(got, in) {
			t.Errorf("%d bytes come back as %d others", size, len(got))
		}
	}
}

// The room for a result is made by what the function returned before; it may
// return anything.
func TestCallResultSizesVary(t *testing.T) {
	h := start(t)
	h.setHold(true)
	sizes := []int{1 << 20, 0, 1<<20 + 500, 100, 3 << 20, -1, 70 << 10, 64 << 10, 1 << 20, -1, 10}
	var futures []*procpool.Future[[]byte]
	for range 20 {
		for _, size := range sizes {
			futures = append(futures, makeBytes.Submit(t.Context(), h, size))
		}
	}
	h.flush()
	for i, f := range futures {
		size := sizes[i%len(sizes)]
		got, err := result(t, f)
		var pe *procpool.PanicError
		if size < 0 && !errors.As(err, &pe) || size >= 0 && (err != nil || len(got) != size || !madeOf(got, byte(size))) {
			t.Fatalf("call %d for %d bytes: %d bytes and %v", i, size, len(got), err)
		}
	}
}

// madeOf reports whether data holds nothing but b.
func madeOf(data []byte, b byte) bool { return bytes.Count(data, []byte{b}) == len(data) }

func TestCallResultTooLarge(t *testing.T) {
	h := start(t, func(o *wire.Options) { o.MaxPayload = 100 << 10 })
	if got := mustResult(t, makeBytes.Submit(t.Context(), h, 90<<10)); len(got) != 90<<10 {
		t.Errorf("%d bytes came", len(got))
	}
	_, err := result(t, makeBytes.Submit(t.Context(), h, 101<<10))
	if !errors.Is(err, procpool.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	wantText(t, err.Error(), "make_bytes", "MaxPayload")
	if got := mustResult(t, square.Submit(t.Context(), h, 5)); got != 25 {
		t.Error("the stream does not live on")
	}
}

func TestCallFails(t *testing.T) {
	h := start(t)
	_, err := result(t, fails.Submit(t.Context(), h, "out of paper"))
	var te *procpool.TaskError
	if !errors.As(err, &te) || te.Task != "fails" || te.Message != "out of paper" || te.Type != "*errors.errorString" || te.Language != "go" {
		t.Errorf("got %#v", err)
	}
	_, err = result(t, fails.Submit(t.Context(), h, "known"))
	if !errors.Is(err, errKnown) {
		t.Errorf("%v has lost its identity", err)
	}
	long := strings.Repeat("long ", 100<<10)
	if _, err = result(t, fails.Submit(t.Context(), h, long)); !errors.As(err, &te) || !strings.HasPrefix(te.Message, "long long") {
		t.Errorf("a long text came back as %.100v", err)
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 5)); got != 25 {
		t.Errorf("got %d", got)
	}
}

func TestCallUnknownTask(t *testing.T) {
	h := start(t)
	nobody := procpool.Remote[int, int]("nobody_serves_this")
	if _, err := result(t, nobody.Submit(t.Context(), h, 1)); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Errorf("got %v", err)
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 5)); got != 25 {
		t.Errorf("got %d", got)
	}
}

func TestCallCodecs(t *testing.T) {
	h := start(t)
	if got := mustResult(t, square.With(procpool.WithCodec(procpool.JSON)).Submit(t.Context(), h, 11)); got != 121 {
		t.Errorf("got %d", got)
	}
	wrong := procpool.Remote[string, int]("square")
	var ce *procpool.CodecError
	if _, err := result(t, wrong.Submit(t.Context(), h, "seven")); !errors.As(err, &ce) || ce.Task != "square" || ce.Codec != "cbor" {
		t.Errorf("got %v", err)
	}
}

func TestCallPanics(t *testing.T) {
	h := start(t)
	h.setHold(true)
	before := square.Submit(t.Context(), h, 2)
	panicking := panics.Submit(t.Context(), h, "at the disco")
	leaving := goexit.Submit(t.Context(), h, 1)
	after := square.Submit(t.Context(), h, 3)
	h.flush()
	var pe *procpool.PanicError
	if _, err := result(t, panicking); !errors.As(err, &pe) || pe.Value != "at the disco" || pe.Goexit || pe.Task != "panics" {
		t.Errorf("got %v", err)
	} else {
		wantText(t, pe.Stack, "worker_test.go")
	}
	if _, err := result(t, leaving); !errors.As(err, &pe) || !pe.Goexit || pe.Task != "goexit" {
		t.Errorf("got %v", err)
	}
	if mustResult(t, before) != 4 || mustResult(t, after) != 9 {
		t.Error("the neighbours suffered")
	}
}

// A panic in the middle of a pack is the item's own.
func TestCallPackPanics(t *testing.T) {
	h := start(t)
	i := 0
	for got, err := range oddPanics.Map(t.Context(), h, count(1000)) {
		var pe *procpool.PanicError
		if i%2 == 1 && !errors.As(err, &pe) || i%2 == 0 && (err != nil || got != i) {
			t.Fatalf("item %d: %d, %v", i, got, err)
		}
		i++
	}
}

// Replies that wait to share a write with those of the next short calls do not
// wait for one that is not short this time.
func TestCallReplyIsNotHeldUp(t *testing.T) {
	h := start(t)
	for range 5 { // until the worker takes the function for a short one
		mustResult(t, dawdle.Submit(t.Context(), h, 0))
	}
	for round := range 20 {
		h.setHold(true)
		var futures []*procpool.Future[int]
		for range 10 {
			futures = append(futures, dawdle.Submit(t.Context(), h, 0))
		}
		last := dawdle.Submit(t.Context(), h, 1)
		h.flush()
		h.awaitStarted(h.seq)
		for _, f := range futures {
			mustResult(t, f)
		}
		if last.State() == procpool.Done {
			t.Fatalf("round %d: the last call did not wait", round)
		}
		h.worker.Cancel(0, h.seq)
		if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
			t.Fatalf("open are %v", h.openCalls())
		}
		h.setHold(false)
		for range 100 { // until it is forgotten
			mustResult(t, dawdle.Submit(t.Context(), h, 0))
		}
	}
}

func TestCallMetadata(t *testing.T) {
	h := start(t)
	f := tenant.Submit(t.Context(), h, 0, procpool.Metadata(map[string]string{"tenant": "acme"}))
	if got := mustResult(t, f); got != "acme" {
		t.Errorf("got %q", got)
	}
	if got := mustResult(t, tenant.Submit(t.Context(), h, 0)); got != "" {
		t.Errorf("a call without metadata has %q", got)
	}
}

func TestCallDeadline(t *testing.T) {
	h := start(t)
	if got := mustResult(t, remaining.Submit(t.Context(), h, 0)); got != -1 {
		t.Errorf("a call without a deadline has %d ms", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if got := mustResult(t, remaining.Submit(ctx, h, 0)); got < 3500_000 || got > 3600_000 {
		t.Errorf("of an hour %d ms are left", got)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := untilCancelled.Submit(ctx, h, 0)
	h.awaitStarted(3)
	<-ctx.Done()
	h.worker.Cancel(0, 3) // the host keeps the time
	if got := mustResult(t, f); got != context.DeadlineExceeded.Error() {
		t.Errorf("the context ended with %q", got)
	}
}

func TestCancelRunning(t *testing.T) {
	h := start(t)
	f := untilCancelled.Submit(t.Context(), h, 0)
	h.awaitStarted(1)
	h.worker.Cancel(0, 1)
	if got := mustResult(t, f); got != context.Canceled.Error() {
		t.Errorf("the context ended with %q", got)
	}
}

func TestCancelNotStarted(t *testing.T) {
	h := start(t)
	h.setHold(true)
	first := untilCancelled.Submit(t.Context(), h, 0)
	square.Submit(t.Context(), h, 2)
	last := square.Submit(t.Context(), h, 3)
	h.flush()
	h.awaitStarted(1)
	h.worker.Cancel(0, 2)
	h.worker.Cancel(0, 1)
	mustResult(t, first)
	if got := mustResult(t, last); got != 9 {
		t.Errorf("got %d", got)
	}
	if got := h.declinedCalls(); !slices.Equal(got, []uint64{2}) {
		t.Errorf("declined are %v", got)
	}
}

// A cancel may overtake the call that it is for, come when it is over, or name
// one that never was.
func TestCancelAnyTime(t *testing.T) {
	h := start(t)
	h.worker.Cancel(0, 1)
	h.worker.Cancel(0, 1<<40)
	h.worker.Cancel(7, 1)
	// The control stream has been read up to here when a cancel works.
	h.seq = 1
	f := untilCancelled.Submit(t.Context(), h, 0)
	h.worker.Cancel(0, 2)
	if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
		t.Fatal("the call goes on")
	}
	if len(h.declinedCalls()) == 0 {
		mustResult(t, f)
	}
	h.worker.Cancel(0, 2)
	if got := mustResult(t, square.Submit(t.Context(), h, 3)); got != 9 {
		t.Errorf("got %d", got)
	}
}

func TestFence(t *testing.T) {
	h := start(t)
	h.setHold(true)
	f := untilCancelled.Submit(t.Context(), h, 0)
	for i := range 10 {
		square.Submit(t.Context(), h, i)
	}
	h.flush()
	h.awaitStarted(1)
	started, ok := h.worker.Fence(0, 4)
	if !ok || started != 1 {
		t.Fatalf("the fence says %d, %v", started, ok)
	}
	h.worker.Cancel(0, 1)
	mustResult(t, f)
	if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
		t.Fatalf("open are %v", h.openCalls())
	}
	if got := h.declinedCalls(); !slices.Equal(got, []uint64{5, 6, 7, 8, 9, 10, 11}) {
		t.Errorf("declined are %v", got)
	}
	h.worker.Unfence(0)
	h.setHold(false)
	if got := mustResult(t, square.Submit(t.Context(), h, 12)); got != 144 {
		t.Errorf("got %d", got)
	}
	if started, finished, _ := h.worker.Progress(0); started != 12 || finished != 12 {
		t.Errorf("the page says %d, %d", started, finished)
	}
}

// What the fence takes back never runs, and what it does not take back does,
// even when the worker is starting calls at that very moment.
func TestFenceRace(t *testing.T) {
	h := start(t)
	for round := range 200 {
		h.setHold(true)
		first := h.seq + 1
		for i := range 300 {
			square.Submit(t.Context(), h, i)
		}
		h.flush()
		for range round * 20 {
			h.worker.Progress(0)
		}
		fence := first + uint64(round)
		started, ok := h.worker.Fence(0, fence)
		if !ok {
			t.Fatal("there is no fence")
		}
		if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
			t.Fatalf("open are %v", h.openCalls())
		}
		for _, seq := range h.declinedCalls() {
			if seq <= fence {
				t.Fatalf("round %d: call %d was declined, the fence was %d", round, seq, fence)
			}
		}
		h.mu.Lock()
		for _, r := range h.replies {
			if r.Kind != wire.Declined && r.Seq > max(fence, started) {
				t.Fatalf("round %d: call %d was run, the fence was %d and %d had started", round, r.Seq, fence, started)
			}
		}
		h.replies, h.declined = nil, nil
		h.mu.Unlock()
		h.worker.Unfence(0)
	}
}

func TestTaskReadsStdin(t *testing.T) {
	h := start(t)
	if got := mustResult(t, readStdin.Submit(t.Context(), h, 0)); got != 0 {
		t.Errorf("%d bytes were read", got)
	}
}

func TestTaskFloods(t *testing.T) {
	h := start(t)
	if got := mustResult(t, flood.Submit(t.Context(), h, 16)); got != 16 {
		t.Errorf("got %d", got)
	}
	if !eventually(func() bool { return h.printed("stdout: xxx") && h.printed("stderr: xxx") }) {
		t.Error("nothing of the flood was passed on")
	}
}

func TestTaskEnvironment(t *testing.T) {
	h := start(t, func(o *wire.Options) {
		o.Env = append(o.Env, "PROCPOOL_DEPTH=2", "PLUGIN_CLIENT_CERT=of another host", "MINE=1")
	})
	env := mustResult(t, environ.Submit(t.Context(), h, 0))
	if !slices.Contains(env, "PROCPOOL_DEPTH=2") || !slices.Contains(env, "MINE=1") {
		t.Errorf("variables are missing from %q", env)
	}
	for _, kv := range env {
		if strings.HasPrefix(kv, "PLUGIN_") || strings.HasPrefix(kv, "PROCPOOL_") && kv != "PROCPOOL_DEPTH=2" {
			t.Errorf("a task sees %q", kv)
		}
	}
}

func TestServeWorkerByHand(t *testing.T) {
	if err := wire.ServeWorker(t.Context(), wire.ServeOptions{}); !errors.Is(err, wire.ErrNoHost) {
		t.Errorf("got %v", err)
	}
}
