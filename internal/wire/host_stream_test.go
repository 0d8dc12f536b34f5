//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

var errDied = errors.New("the worker has died")

// startStreams starts a worker whose open calls fail with errDied when it dies.
func startStreams(t testing.TB, change ...func(*wire.Options)) *testHost {
	t.Helper()
	var h *testHost
	started := make(chan struct{})
	h = start(t, append(change, func(o *wire.Options) {
		exited := o.OnExit
		o.OnExit = func(r wire.ExitReport) {
			<-started
			h.finish(r.Replies, true)
			h.mu.Lock()
			open := h.open
			h.open = make(map[uint64]*procpool.Call)
			h.mu.Unlock()
			for _, c := range open {
				c.Finish(nil, errDied)
			}
			exited(r)
		}
	})...)
	close(started)
	return h
}

// patient returns a context that bounds the wait for what must come soon.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// collect returns all values of a stream and its error.
func collect[T any](values func(func(T, error) bool)) (all []T, err error) {
	for v, e := range values {
		if e != nil {
			return all, e
		}
		all = append(all, v)
	}
	return all, nil
}

func wantNumbers(t *testing.T, got []int, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d values came, want %d", len(got), n)
	}
	for i, v := range got {
		if v != i {
			t.Fatalf("value %d is %d", i, v)
		}
	}
}

func TestStreamValuesComeInOrder(t *testing.T) {
	h := startStreams(t)
	for _, n := range []int{0, 1, 2, 1000, 100_000} {
		for _, window := range []int{1, 7, 1024} {
			if window < 1024 && n > 1000 {
				continue
			}
			got, err := collect(numbers.All(patient(t), h, n, procpool.Window(window)))
			if err != nil {
				t.Fatal(err)
			}
			wantNumbers(t, got, n)
		}
	}
	if open := h.openCalls(); len(open) > 0 {
		t.Errorf("calls %v are open", open)
	}
}

func TestStreamValuesOfAllSizes(t *testing.T) {
	h := startStreams(t)
	sizes := []int{0, 1, 100, 127, 128, 4000, 16_000, 16_384, 20_000, 32_000, 33_000, 60_000, 65_000, 65_450, 65_536, 70_000, 1 << 20, 5 << 20, 0, 3}
	spec := strings.Trim(fmt.Sprint(sizes), "[]")
	for range 3 {
		i := 0
		for v, err := range chunks.All(patient(t), h, []byte(spec)) {
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(v, pattern(sizes[i])) {
				t.Errorf("value %d of %d bytes has come as %d others", i, sizes[i], len(v))
			}
			i++
		}
		if i != len(sizes) {
			t.Errorf("%d values came, want %d", i, len(sizes))
		}
	}
}

func TestStreamEndsWithItsError(t *testing.T) {
	h := startStreams(t)
	got, err := collect(thenFails.All(patient(t), h, 5))
	var te *procpool.TaskError
	if !errors.As(err, &te) || te.Message != "no more" {
		t.Errorf("got error %v", err)
	}
	wantNumbers(t, got, 5)
	got, err = collect(thenPanics.All(patient(t), h, 3))
	var pe *procpool.PanicError
	if !errors.As(err, &pe) || pe.Value != "no more" {
		t.Errorf("got error %v", err)
	}
	wantNumbers(t, got, 3)
	if _, err = collect(thenExits.All(patient(t), h, 0)); !errors.As(err, &pe) || !pe.Goexit {
		t.Errorf("got error %v", err)
	}
	// The lane has survived all that.
	got, err = collect(numbers.All(patient(t), h, 10))
	if err != nil {
		t.Error(err)
	}
	wantNumbers(t, got, 10)
}

// A reader that leaves ends the call's context in the worker, and the next call runs.
func TestStreamBreakEndsTheCall(t *testing.T) {
	h := startStreams(t)
	for range 3 {
		for v, err := range endless.All(patient(t), h, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if v == 3000 {
				break
			}
		}
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
	if !eventually(func() bool { return h.printed("matches the context's: true") }) {
		t.Error("emit did not return the context's error")
	}
}

// The same where the task waits for credit, and where its caller's context ends.
func TestStreamGivenUpWhileOutOfCredit(t *testing.T) {
	h := startStreams(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for v, err := range endless.All(ctx, h, 0, procpool.Window(4)) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v", err)
			}
			break
		}
		if v == 0 {
			awaitWaiting(t, h, 0)
			cancel()
		}
	}
	if !eventually(func() bool { return h.printed("matches the context's: true") }) {
		t.Error("emit did not return the context's error")
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
}

func awaitWaiting(t *testing.T, h *testHost, lane int) {
	t.Helper()
	if !eventually(func() bool { return h.worker.Waiting(lane) }) {
		t.Fatal("the call does not wait")
	}
}

// A value that is not followed by another at once comes while the task keeps its only
// processor.
func TestStreamFirstValueIsPrompt(t *testing.T) {
	h := startStreams(t, func(o *wire.Options) { o.Env = append(o.Env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1") })
	// On a busy machine it may be seen late now and then. Without a push it always would.
	if !eventually(func() bool {
		var came, sent []int64
		for v, err := range oneThenBusy.All(patient(t), h, 100_000_000) {
			if err != nil {
				t.Fatal(err)
			}
			came, sent = append(came, time.Now().UnixNano()), append(sent, v)
		}
		return len(came) == 2 && came[0] < sent[1]
	}) {
		t.Error("the first value comes with the second")
	}
}

// A value that waits for company comes though the task goes on to wait.
func TestStreamLateValueIsSent(t *testing.T) {
	h := startStreams(t)
	n := 0
	for _, err := range twoThenWait.All(patient(t), h, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break // or it would not end
		}
	}
	if n != 2 {
		t.Errorf("%d values came", n)
	}
}

// A reader that takes nothing slows its own call only, and costs no more memory than
// its window.
func TestStreamSlowReaderBesideAFastOne(t *testing.T) {
	h := startStreams(t, lanes(2))
	for v, err := range endless.All(patient(t), h.on(1), 0, procpool.Window(16)) {
		if err != nil {
			t.Fatal(err)
		}
		if v < 20 {
			continue
		}
		awaitWaiting(t, h, 1)
		for range 5 {
			got, err := collect(numbers.All(patient(t), h.on(0), 20_000))
			if err != nil {
				t.Fatal(err)
			}
			wantNumbers(t, got, 20_000)
		}
		if !h.worker.Waiting(1) {
			t.Error("the slow reader's task does not wait any more")
		}
		break
	}
}

// A call that waits is not said to run.
func TestStreamWaitingIsNoRunTime(t *testing.T) {
	h := startStreams(t)
	for v, err := range endless.All(patient(t), h, 0, procpool.Window(1)) {
		if err != nil {
			t.Fatal(err)
		}
		if v < 3 {
			continue
		}
		const pause = 30 * time.Millisecond
		if !eventually(func() bool {
			_, _, before := h.worker.Progress(0)
			<-time.After(pause)
			_, _, after := h.worker.Progress(0)
			return h.worker.Waiting(0) && before == after
		}) {
			t.Error("a call that waits seems to run on")
		}
		break
	}
	if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
		t.Fatal("the call does not end")
	}
	if h.worker.Waiting(0) {
		t.Error("a call that has ended waits")
	}
}

// What reached the host before its worker died is there before the error.
func TestStreamValuesBeforeACrashArrive(t *testing.T) {
	h := startStreams(t)
	got, err := collect(thenDies.All(patient(t), h, 500))
	if !errors.Is(err, errDied) {
		t.Errorf("got error %v", err)
	}
	wantNumbers(t, got, 500)
	if r := h.awaitExit(); r.Err != nil || !r.PageOK || r.Lanes[0].Started != 1 || r.Lanes[0].Finished != 0 {
		t.Errorf("got %+v", r)
	}
}

// A worker that dies while its task waits for credit is no different.
func TestStreamCrashWhileOutOfCredit(t *testing.T) {
	h := startStreams(t)
	n := 0
	var last error
	for _, err := range endless.All(patient(t), h, 0, procpool.Window(8)) {
		if last = err; err != nil {
			break
		}
		if n++; n == 1 {
			awaitWaiting(t, h, 0)
			h.worker.Kill(nil)
			h.awaitExit()
		}
	}
	// At the first value the task had credit for seven others.
	if !errors.Is(last, errDied) || n != 8 {
		t.Errorf("%d values came, then error %v", n, last)
	}
}

func TestStreamValueTooLarge(t *testing.T) {
	h := startStreams(t, func(o *wire.Options) { o.MaxPayload = 1 << 20 })
	got, err := collect(chunks.All(patient(t), h, []byte("5 1048576 1048577 6")))
	if !errors.Is(err, procpool.ErrTooLarge) || !strings.Contains(err.Error(), "1048577 bytes") {
		t.Errorf("got error %v", err)
	}
	if len(got) != 2 {
		t.Errorf("%d values came", len(got))
	}
}

func TestStreamEmitBehindItsEnd(t *testing.T) {
	h := startStreams(t)
	for range 20 {
		if _, err := collect(leaves.All(patient(t), h, 0)); err != nil {
			t.Fatal(err)
		}
		got, err := collect(numbers.All(patient(t), h, 50))
		if err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, got, 50)
	}
	if !eventually(func() bool { return h.printed("leaves: ") }) {
		t.Error("emit goes on behind the function's end")
	}
}

// A task that is called as what it is not is not run.
func TestStreamCalledAsSomethingElse(t *testing.T) {
	h := startStreams(t)
	_, asFunction := result(t, procpool.Remote[int, int]("numbers").Submit(t.Context(), h, 1))
	_, asStream := collect(procpool.RemoteStream[int, int]("square").All(patient(t), h, 1))
	_, sessionAsStream := collect(procpool.RemoteStream[int, int]("ping_pong").All(patient(t), h, 1))
	c := procpool.RemoteSession[int, int, int]("numbers").Open(patient(t), h, 1)
	_, streamAsSession := c.Recv(patient(t))
	_, unknown := collect(procpool.RemoteStream[int, int]("nobody").All(patient(t), h, 1))
	for want, err := range map[string]error{
		`"numbers" that is a function: it is a stream`:  asFunction,
		`"square" that is a stream: it is a function`:   asStream,
		`"ping_pong" that is a stream: it is a session`: sessionAsStream,
		`"numbers" that is a session: it is a stream`:   streamAsSession,
		`unknown task`: unknown,
	} {
		if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
}

// A reader that takes nothing costs the host no more than a window.
func TestStreamUnreadIsBoundedInMemory(t *testing.T) {
	h := startStreams(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const size, n = 100_000, 2000
	spec := strings.Repeat(strconv.Itoa(size)+" ", n)
	got := 0
	for v, err := range chunks.All(patient(t), h, []byte(spec)) {
		if err != nil || len(v) != size {
			t.Fatalf("%d bytes, %v", len(v), err)
		}
		if got++; got == 1 {
			awaitWaiting(t, h, 0)
			if after := heap(); after > before+8<<20 {
				t.Errorf("a reader that takes nothing of %d MB costs %d bytes", size*n/1_000_000, after-before)
			}
		}
	}
	if got != n {
		t.Errorf("%d values came", got)
	}
}
