//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// onLane is an executor that sends calls on one lane of the host's worker, each by
// itself. Several lanes may be used at once.
type onLane struct {
	*testHost
	lane    int
	attempt uint16 // how often its calls are said to have run before
	mu      sync.Mutex
}

func (h *testHost) on(lane int) *onLane { return &onLane{testHost: h, lane: lane} }

func (l *onLane) Enqueue(_ context.Context, c *procpool.Call, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; n > 0; n-- {
		next := c.Slot.Next
		l.testHost.mu.Lock()
		l.seq++
		c.Slot.Next, c.Slot.Seq, c.Slot.Attempts = nil, l.seq, l.attempt
		if c.Kind().HasValues() {
			c.Hold(l)
		}
		l.seq += uint64(c.Seal() - 1)
		for i := range c.Items() {
			l.open[c.Slot.Seq+uint64(i)] = c
		}
		l.testHost.mu.Unlock()
		l.worker.Send(l.lane, []*procpool.Call{c})
		c = next
	}
}

// CancelCall gives up a call that was sent.
func (l *onLane) CancelCall(c *procpool.Call) { l.worker.Cancel(l.lane, c.Slot.Seq) }

// InspectCall tells nothing.
func (l *onLane) InspectCall(c *procpool.Call) procpool.CallInfo { return c.Record(procpool.Started) }

func lanes(n int) func(*wire.Options) { return func(o *wire.Options) { o.Lanes = n } }

// awaitProgress waits until the lane has started that many calls in all.
func (h *testHost) awaitProgress(lane int, seq uint64) {
	h.t.Helper()
	if !eventually(func() bool { started, _, _ := h.worker.Progress(lane); return started >= seq }) {
		h.t.Fatalf("call %d does not start on lane %d", seq, lane)
	}
}

// Lanes are independent: a call that blocks one holds up no other, and what is
// cancelled or fenced off on one is untouched on another.
func TestLanes(t *testing.T) {
	h := start(t, lanes(3))
	if h.worker.Hello().Lanes != 3 {
		t.Fatalf("the worker offers %d lanes", h.worker.Hello().Lanes)
	}
	blocked := []*procpool.Future[string]{ // calls 1 and 2
		untilCancelled.Submit(t.Context(), h.on(0), 0),
		untilCancelled.Submit(t.Context(), h.on(1), 0),
	}
	var behind [2]*procpool.Future[int] // calls 3 and 4
	for lane := range behind {
		h.awaitProgress(lane, uint64(lane+1))
		behind[lane] = square.Submit(t.Context(), h.on(lane), lane+5)
	}
	for i := range 20 {
		if got := mustResult(t, square.Submit(t.Context(), h.on(2), i)); got != i*i {
			t.Errorf("the square of %d is %d", i, got)
		}
	}
	if started, ok := h.worker.Fence(0, 1); !ok || started != 1 {
		t.Errorf("the fence says %d, %v", started, ok)
	}
	h.worker.Cancel(1, 1) // which is lane 0's
	h.worker.Cancel(1, 2)
	mustResult(t, blocked[1])
	if got := mustResult(t, behind[1]); got != 36 {
		t.Errorf("the call behind the cancelled one gives %d", got)
	}
	if blocked[0].State() == procpool.Done {
		t.Error("lane 0's call was cancelled with lane 1's")
	}
	for lane, want := range [][2]uint64{{1, 0}, {4, 4}, {24, 24}} {
		started, finished, ran := h.worker.Progress(lane)
		if started != want[0] || finished != want[1] || ran <= 0 || ran > patience {
			t.Errorf("lane %d is at %d, %d for %v, want %v", lane, started, finished, ran, want)
		}
	}
	h.worker.Cancel(0, 1)
	mustResult(t, blocked[0])
	if !eventually(func() bool { return len(h.openCalls()) == 0 }) {
		t.Fatalf("open are %v", h.openCalls())
	}
	if got := h.declinedCalls(); !slices.Equal(got, []uint64{3}) {
		t.Errorf("declined are %v", got)
	}
}

// Each reply names the lane on which its call was sent.
func TestLanesAtOnce(t *testing.T) {
	const n, calls = 4, 150
	h := start(t, lanes(n))
	sizes := []int{0, 10, 3000, 70_000, 1 << 20}
	var senders sync.WaitGroup
	futures := make([][]*procpool.Future[[]byte], n)
	for lane := range n {
		senders.Go(func() {
			executor := h.on(lane)
			for i := range calls {
				argument := bytes.Repeat([]byte{byte(lane), byte(i)}, sizes[(lane+i)%len(sizes)]/2)
				futures[lane] = append(futures[lane], echo.Submit(t.Context(), executor, argument))
			}
		})
	}
	senders.Wait()
	for lane := range n {
		for i, f := range futures[lane] {
			want := bytes.Repeat([]byte{byte(lane), byte(i)}, sizes[(lane+i)%len(sizes)]/2)
			if got := mustResult(t, f); !bytes.Equal(got, want) {
				t.Fatalf("lane %d, call %d: %d bytes came back, want %d", lane, i, len(got), len(want))
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	perLane := make([]int, n)
	for _, r := range h.replies {
		perLane[r.Lane]++
	}
	if !slices.Equal(perLane, slices.Repeat([]int{calls}, n)) {
		t.Errorf("answered per lane: %v", perLane)
	}
}

// The report of a death tells of each lane by itself.
func TestLanesExit(t *testing.T) {
	h := start(t, lanes(4))
	mustResult(t, square.Submit(t.Context(), h.on(2), 7))
	forever.Submit(t.Context(), h.on(1), 0)
	h.awaitProgress(1, 2)
	exits.Submit(t.Context(), h.on(3), 3)
	r := h.awaitExit()
	if r.Exit.Code != 3 || !r.PageOK || len(r.Lanes) != 4 {
		t.Fatalf("got %+v", r)
	}
	for lane, want := range [][2]uint64{{0, 0}, {2, 0}, {1, 1}, {3, 0}} {
		got := r.Lanes[lane]
		if got.Started != want[0] || got.Finished != want[1] || (got.Ran > 0) != (want[0] > 0) || got.Ran > patience {
			t.Errorf("lane %d: %+v, want %v", lane, got, want)
		}
	}
	if r.Lanes[1].Ran < r.Lanes[3].Ran {
		t.Errorf("lane 1 ran for %v and lane 3, which started later, for %v", r.Lanes[1].Ran, r.Lanes[3].Ran)
	}
	if open := h.openCalls(); !slices.Equal(open, []uint64{2, 3}) {
		t.Errorf("open are %v", open)
	}
}

// Each lane has a journal of its own: whatever had finished when the process died
// has its result, on the lane that killed it and on its neighbours.
func TestLanesJournal(t *testing.T) {
	const n = 3
	recovered := make([]int, n)
	for range 20 {
		h := start(t, lanes(n))
		batches := make([][]*procpool.Call, n)
		for lane := range n {
			mustResult(t, square.Submit(t.Context(), h.on(lane), 1)) // square is short
			mustResult(t, dieQuick.Submit(t.Context(), h.on(lane), 1))
		}
		h.setHold(true)
		for lane := range n {
			for i := range 50 {
				square.Submit(t.Context(), h, i)
			}
			dieQuick.Submit(t.Context(), h, 2)
			batches[lane], h.held = h.held, nil
		}
		var senders sync.WaitGroup
		for lane := range n {
			senders.Go(func() { h.worker.Send(lane, batches[lane]) })
		}
		senders.Wait()
		r := h.awaitExit()
		for _, reply := range r.Replies {
			lane := slices.IndexFunc(batches, func(batch []*procpool.Call) bool {
				return reply.Seq >= batch[0].Slot.Seq && reply.Seq < batch[0].Slot.Seq+uint64(len(batch))
			})
			if int(reply.Lane) != lane {
				t.Errorf("call %d of lane %d was recovered from lane %d", reply.Seq, lane, reply.Lane)
			}
			recovered[reply.Lane]++
		}
		h.finish(r.Replies, true)
		open := h.openCalls()
		for lane, p := range r.Lanes {
			for _, c := range batches[lane] {
				if c.Slot.Seq <= p.Finished && slices.Contains(open, c.Slot.Seq) {
					t.Errorf("call %d on lane %d has finished (%+v) and lost its result", c.Slot.Seq, lane, p)
				}
			}
		}
	}
	t.Logf("recovered per lane: %v", recovered)
	if slices.Max(recovered) == 0 {
		t.Error("no journal was ever needed; the test does not reach what it is for")
	}
}

// The worker answers a Ping and heeds a Cancel while its tasks have every thread.
func TestControlWhileAllThreadsCompute(t *testing.T) {
	const n = 3
	h := start(t, lanes(n), func(o *wire.Options) { o.Env = append(o.Env, "GOMAXPROCS=1") })
	var burning []*procpool.Future[int]
	for lane := range n {
		burning = append(burning, burn.Submit(t.Context(), h.on(lane), lane))
		h.awaitProgress(lane, uint64(lane+1))
	}
	for range 5 {
		before := h.worker.LastPong()
		h.worker.Ping()
		if !eventually(func() bool { return h.worker.LastPong().After(before) }) {
			t.Fatal("a ping is not answered")
		}
	}
	for lane, f := range burning {
		h.worker.Cancel(lane, uint64(lane+1))
		if got := mustResult(t, f); got != lane {
			t.Errorf("lane %d gives %d", lane, got)
		}
	}
}

// A task knows which attempt of its call it runs in.
func TestAttemptReachesTheTask(t *testing.T) {
	h := start(t)
	lane := h.on(0)
	for _, before := range []uint16{0, 1, 41, 1<<16 - 1} {
		lane.attempt = before
		if got := mustResult(t, attempt.Submit(t.Context(), lane, 0)); got != int(before)+1 {
			t.Errorf("behind %d attempts it is said to be number %d", before, got)
		}
		if got := mustResult(t, attempt.Submit(t.Context(), lane, 0, procpool.Metadata(map[string]string{"a": "b"}))); got != int(before)+1 {
			t.Errorf("with metadata, behind %d attempts it is said to be number %d", before, got)
		}
		i := 0
		for v, err := range attempt.Map(t.Context(), lane, slices.Values(make([]int, 100))) {
			if err != nil || v != int(before)+1 {
				t.Fatalf("item %d of a pack is said to be in attempt %d, %v, want %d", i, v, err, before+1)
			}
			i++
		}
	}
}
