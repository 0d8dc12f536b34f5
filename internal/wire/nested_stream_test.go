//go:build unix

package wire_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/procpool/procpool"
)

// handFar is the executor's end of a nested stream, by hand.
type handFar struct {
	mu            sync.Mutex
	values, bytes int64 // granted
	sent          [][]byte
	ended         bool
}

func (f *handFar) Grant(values, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values += values
	f.bytes += bytes
}

func (f *handFar) Send(value []byte, end bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end {
		f.ended = true
		return
	}
	f.sent = append(f.sent, value)
}

func (f *handFar) granted() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.values
}

// await waits until that many values were sent, and for the end if it is to come.
func (f *handFar) await(t *testing.T, count int, end bool) {
	t.Helper()
	if !eventually(func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.sent) >= count && f.ended == end
	}) {
		t.Fatalf("%d values, end %v: there are %d, %v", count, end, len(f.sent), f.ended)
	}
}

// small is the CBOR encoding of a small number.
func small(n int) []byte { return []byte{byte(n)} }

func TestNestedStream(t *testing.T) {
	h, n := startNested(t, nil)
	f := sums.Submit(t.Context(), h, 23)
	c := n.await(1)
	if values, bytes := c.Conduit().Window(); c.Kind() != procpool.KindStream || values != 4 || bytes != 1<<20 {
		t.Fatalf("a %v begins with credit for %d values of %d bytes", c.Kind(), values, bytes)
	}
	far := &handFar{}
	feed := c.Conduit().Attach(far, 0)
	left := int64(4)
	for i := range 10 {
		if !eventually(func() bool { return left+far.granted() > 0 }) {
			t.Fatalf("there is no credit for value %d", i)
		}
		left--
		if !feed.Values([][]byte{small(i)}) {
			t.Fatalf("value %d is refused", i)
		}
	}
	// What came before the outcome is read before it.
	c.Finish(nil, nil)
	if got := mustResult(t, f); got != 45 {
		t.Errorf("the sum is %d", got)
	}
}

// A reader that is slow or gone is sent no more than it has room for.
func TestNestedStreamIsLeft(t *testing.T) {
	h, n := startNested(t, nil)
	f := sums.Submit(t.Context(), h, 3)
	c := n.await(1)
	feed := c.Conduit().Attach(&handFar{}, 0)
	if !feed.Values([][]byte{small(1), small(2), small(3), small(4)}) {
		t.Fatal("the values are refused")
	}
	if got := mustResult(t, f); got != 6 {
		t.Errorf("the sum is %d", got)
	}
	awaitEnd(t, c)
	feed.Values([][]byte{small(5)}) // reaches nobody
}

func TestNestedStreamWithoutCredit(t *testing.T) {
	h, n := startNested(t, nil)
	reportsAndWaits.Submit(t.Context(), h, 0) // so that sums does not run
	f := sums.Submit(t.Context(), h, 3)
	h.worker.Cancel(0, 1)
	feed := n.await(1).Conduit().Attach(&handFar{}, 0)
	taken := 0
	for range 100 {
		if !feed.Values([][]byte{make([]byte, 1)}) {
			break
		}
		taken++
	}
	if taken > 10 {
		t.Errorf("%d values are taken", taken)
	}
	mustResult(t, f)
}

func TestNestedSession(t *testing.T) {
	h, n := startNested(t, nil)
	const count = 20
	f := talks.Submit(t.Context(), h, count)
	c := n.await(1)
	if c.Kind() != procpool.KindSession || !c.Dedicated() {
		t.Fatalf("the call is one of a %v, in a process of its own: %v", c.Kind(), c.Dedicated())
	}
	far := &handFar{}
	feed := c.Conduit().Attach(far, 0)
	feed.Credit(1, 100)
	for i := range count {
		feed.Credit(1, 100)
		far.await(t, i+1, false)
		if !feed.Values([][]byte{small(i + 1)}) {
			t.Fatalf("value %d is refused", i)
		}
	}
	far.await(t, count, true)
	c.Finish(nil, nil)
	got := mustResult(t, f)
	if len(got) != count || got[0] != 1 || got[count-1] != count || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
	for i, value := range far.sent {
		if !slices.Equal(value, small(i)) {
			t.Errorf("value %d is %v", i, value)
		}
	}
}

// A session's error reaches its opener, and the outcome of one whose worker is gone
// ends who waits for it.
func TestNestedSessionFails(t *testing.T) {
	h, n := startNested(t, nil)
	f := talks.Submit(t.Context(), h, 3)
	c := n.await(1)
	c.Conduit().Attach(&handFar{}, 0)
	c.Finish(nil, &procpool.TaskError{Task: "talked", Message: "enough"})
	_, err := result(t, f)
	te, ok := err.(*procpool.TaskError) //nolint:errorlint // it is bare
	if !ok {
		t.Fatalf("got %v", err)
	}
	wantText(t, te.Message, `task "talked" failed: enough`)
}

// startPair starts a worker whose tasks call those of a second one.
func startPair(t *testing.T) (first, second *testHost) {
	t.Helper()
	second = start(t)
	first, _ = startNested(t, func(c *procpool.Call) {
		c.Hold(cancels{second})
		second.Enqueue(context.Background(), c, 1)
	})
	return first, second
}

// cancels has a call that is given up cancelled in its worker.
type cancels struct{ host *testHost }

func (c cancels) CancelCall(call *procpool.Call) { c.host.worker.Cancel(0, call.Slot.Seq) }

func (cancels) InspectCall(call *procpool.Call) procpool.CallInfo {
	return call.Record(procpool.Queued)
}

func TestNestedStreamOfWorker(t *testing.T) {
	h, _ := startPair(t)
	for _, n := range []int{0, 1, 10_000} {
		if got := mustResult(t, sums.Submit(t.Context(), h, n)); got != n*(n-1)/2 {
			t.Errorf("the sum up to %d is %d", n, got)
		}
	}
}

// Who leaves a stream has its task give up.
func TestNestedStreamOfWorkerIsLeft(t *testing.T) {
	h, second := startPair(t)
	if got := mustResult(t, sumsSome.Submit(t.Context(), h, 3)); got != 3 {
		t.Errorf("got %d", got)
	}
	if !eventually(func() bool { return len(second.openCalls()) == 0 }) {
		t.Error("the stream goes on")
	}
	if got := mustResult(t, sums.Submit(t.Context(), h, 100)); got != 4950 {
		t.Errorf("the sum is %d", got)
	}
}

func TestNestedSessionOfWorker(t *testing.T) {
	h, _ := startPair(t)
	const count = 1000
	got := mustResult(t, talks.Submit(t.Context(), h, count))
	if len(got) != count+1 || got[count] != count {
		t.Fatalf("%d values came", len(got))
	}
	for i := range count {
		if got[i] != -i {
			t.Fatalf("value %d is %d", i, got[i])
		}
	}
}

func TestNestedSessionsWorkerDies(t *testing.T) {
	h, second := startPair(t)
	f := talks.Submit(t.Context(), h, 1<<30)
	second.awaitStarted(1)
	second.worker.Kill(nil)
	second.awaitDone()
	second.mu.Lock()
	c := second.open[1]
	second.mu.Unlock()
	c.Finish(nil, &procpool.CrashError{Task: "talked", Reason: "signal: killed"})
	_, err := result(t, f)
	if err == nil {
		t.Fatal("the session goes on")
	}
	wantText(t, err.Error(), `died running "talked"`)
}
