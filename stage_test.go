package procpool_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/procpool/procpool"
)

// stage is an executor whose calls are in the hands of a test: they wait until it
// takes and finishes them, as it likes.
type stage struct {
	t      *testing.T          // the test that it belongs to, where eachWay made it
	calls  chan *procpool.Call // has room for as many as may wait
	packs  bool
	refuse func(*procpool.Call) error // with what a call is refused, if it is

	mu        sync.Mutex
	states    map[*procpool.Call]procpool.State
	cancelled []*procpool.Call
}

func newStage(room int) *stage {
	return &stage{calls: make(chan *procpool.Call, room), states: make(map[*procpool.Call]procpool.State)}
}

// Enqueue implements procpool.Executor.
func (s *stage) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		s.enqueue(ctx, c)
		c = next
	}
}

func (s *stage) enqueue(ctx context.Context, c *procpool.Call) {
	if s.refuse != nil {
		if err := s.refuse(c); err != nil {
			c.Finish(nil, err)
			return
		}
	}
	c.Hold(s)
	c.Slot.Owner = ctx
	s.watch(c)
	if c.NoWait() {
		select {
		case s.calls <- c:
		default:
			c.Finish(nil, procpool.ErrQueueFull)
		}
		return
	}
	select {
	case s.calls <- c:
	case <-ctx.Done():
		c.Finish(nil, procpool.CancelError(ctx, c))
	}
}

// watch finishes the call when its context ends.
func (s *stage) watch(c *procpool.Call) {
	ctx := c.Slot.Owner.(context.Context)
	context.AfterFunc(ctx, func() { c.Finish(nil, procpool.CancelError(ctx, c)) })
}

// TakesPacks implements procpool.PackExecutor.
func (s *stage) TakesPacks() bool { return s.packs }

// CancelCall implements procpool.Holder.
func (s *stage) CancelCall(c *procpool.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled = append(s.cancelled, c)
}

// InspectCall implements procpool.Holder.
func (s *stage) InspectCall(c *procpool.Call) procpool.CallInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.Record(s.states[c])
}

// start marks the next call as started and returns it.
func (s *stage) start() *procpool.Call {
	c := <-s.calls
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[c] = procpool.Started
	c.Note(1, 4711, 1, 0)
	return c
}

// split is Call.Split for a call of this stage.
func (s *stage) split(c *procpool.Call, n int) *procpool.Call {
	rest := c.Split(n)
	rest.Slot.Owner = c.Slot.Owner
	s.watch(rest)
	return rest
}

// items returns the arguments in a sealed call.
func items(c *procpool.Call) [][]byte {
	sizes := c.ItemSizes()
	if sizes == nil {
		return [][]byte{c.Payload()}
	}
	all := make([][]byte, len(sizes))
	payload := c.Payload()
	for i, n := range sizes {
		all[i], payload = payload[:n:n], payload[n:]
	}
	return all
}

// answer runs the task for each item of the call, in order.
func answer(c *procpool.Call, task procpool.Task) {
	c.Seal()
	for i, in := range items(c) {
		answerItem(c, i, in, task)
	}
}

func answerItem(c *procpool.Call, i int, in []byte, task procpool.Task) {
	reply, err := task.Run(context.Background(), c.Codec(), in, nil)
	if err != nil {
		reply = nil
	}
	c.FinishItem(i, reply, err)
}

// serve answers calls on n goroutines until the test is over.
func (s *stage) serve(t *testing.T, n int, handle func(*procpool.Call)) {
	t.Helper()
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for c := range s.calls {
				handle(c)
			}
		})
	}
	t.Cleanup(func() {
		close(s.calls)
		workers.Wait()
	})
}

// scramble answers a call as untidily as an executor may: cut in pieces, the
// pieces and their items in any order, some of them twice.
func (s *stage) scramble(c *procpool.Call, task procpool.Task, rng *rand.Rand) {
	pieces := []*procpool.Call{c}
	c.Seal()
	for c.Items() > 1 && rng.IntN(3) > 0 {
		n := 1 + rng.IntN(c.Items()-1)
		if rng.IntN(4) == 0 {
			answerItem(c, n, items(c)[n], task) // before the cut
		}
		pieces = append(pieces, s.split(c, n))
		c = pieces[rng.IntN(len(pieces))]
	}
	rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	for _, p := range pieces {
		all := items(p)
		for _, i := range rng.Perm(len(all)) {
			answerItem(p, i, all[i], task)
			if rng.IntN(8) == 0 {
				answerItem(p, i, all[i], task) // too late: it counts for nothing
			}
		}
	}
}

// count is the sequence 0, 1, 2, ... without end; it says how many were pulled.
func count(pulled *int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for n := 0; ; n++ {
			*pulled = n + 1
			if !yield(n) {
				return
			}
		}
	}
}

// upTo is the sequence 0 to n-1.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// squares is what square makes of upTo(n).
func squares(n int) []int {
	all := upTo(n)
	for i, v := range all {
		all[i] = v * v
	}
	return slices.Clip(all)
}
