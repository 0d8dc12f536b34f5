package sched_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// echoLink is the cheapest worker there can be: it answers what it was sent at
// once, with nothing.
type echoLink struct {
	s      *sched.Scheduler
	number int
	wake   chan struct{} // if there is one a goroutine answers, else who asks

	mu             sync.Mutex
	replies, spare []sched.Reply
}

func (l *echoLink) PID() int { return 1 }

func (l *echoLink) Send(lane int, calls []*procpool.Call) {
	l.mu.Lock()
	for _, c := range calls {
		for i := range c.Items() {
			l.replies = append(l.replies, sched.Reply{Lane: uint32(lane), Seq: c.Slot.Seq + uint64(i), Run: time.Microsecond})
		}
	}
	l.mu.Unlock()
	if l.wake != nil {
		signal(l.wake)
	}
}

// answer answers all there is; false if there was nothing.
func (l *echoLink) answer() bool {
	l.mu.Lock()
	replies := l.replies
	l.replies, l.spare = l.spare[:0], replies
	l.mu.Unlock()
	if len(replies) > 0 {
		l.s.Replies(l.number, replies)
	}
	return len(replies) > 0
}

func (l *echoLink) Cancel(int, uint64)                          {}
func (l *echoLink) Fence(int, uint64) (uint64, bool)            { return 1 << 62, false }
func (l *echoLink) Unfence(int)                                 {}
func (l *echoLink) Progress(int) (a, b uint64, c time.Duration) { return 0, 0, 0 }
func (l *echoLink) Waiting(int) bool                            { return false }
func (l *echoLink) SetHot(bool)                                 {}
func (l *echoLink) Stop()                                       {}
func (l *echoLink) Kill(error)                                  {}

func newEcho(workers int, wake bool) (*sched.Scheduler, []*echoLink) {
	s := sched.New(sched.Config{QueueSize: 1 << 20, QueueBytes: 1 << 40, MaxPayload: 1 << 30, Launch: func(int) {}})
	s.SetServed([]string{"work"})
	s.Teach("work", time.Microsecond)
	s.Grow(workers)
	var links []*echoLink
	for number := 1; number <= workers; number++ {
		l := &echoLink{s: s, number: number}
		if wake {
			l.wake = make(chan struct{}, 1)
			go func() {
				for range l.wake {
					l.answer()
				}
			}()
		}
		links = append(links, l)
		s.Started(number, l, sched.Traits{Recorder: true})
	}
	return s, links
}

// inTurn measures the way of a call through the scheduler: from Enqueue to the end
// of its future, without the making of the future. batch calls are submitted
// before their answers come.
func inTurn(b *testing.B, ctx context.Context, batch int) { //nolint:revive // the benchmark comes first, as everywhere
	s, links := newEcho(1, false)
	l := links[0]
	made := &collector{}
	arg := []byte("x")
	b.ReportAllocs()
	calls := 0
	for b.Loop() {
		b.StopTimer()
		made.calls = made.calls[:0]
		for range 8192 {
			work.Submit(context.Background(), made, arg)
		}
		b.StartTimer()
		for i, c := range made.calls {
			s.Enqueue(ctx, c, 1)
			if i%batch == batch-1 {
				for l.answer() {
				}
			}
		}
		calls += len(made.calls)
	}
	perCall(b, calls)
}

func perCall(b *testing.B, calls int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(calls), "ns/call")
}

// One call at a time: each is sent by its submitter.
func BenchmarkAlone(b *testing.B) { inTurn(b, context.Background(), 1) }

// Calls that come faster than answers.
func BenchmarkBatch(b *testing.B) { inTurn(b, context.Background(), 512) }

// The same with a context that could end them.
func BenchmarkBatchCancellable(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	inTurn(b, ctx, 512)
}

// Nested calls, one at a time, of a call on the only slot: what Alone measures and the
// lending.
func BenchmarkNested(b *testing.B) {
	s := sched.New(sched.Config{QueueSize: 1, QueueBytes: 1, MaxPayload: 1 << 30, NestingDepth: 1, NestedCalls: 1, Launch: func(int) {}})
	s.SetServed([]string{"work"})
	s.Teach("work", time.Microsecond)
	s.Grow(1)
	l := &echoLink{s: s, number: 1}
	s.Started(1, l, sched.Traits{Recorder: true, Lanes: 1, MaxLanes: 2})
	work.Submit(context.Background(), s, []byte("p"))
	parent := sched.Parent{Worker: 1, Seq: 1}
	l.replies = nil // so that it runs
	b.ReportAllocs()
	calls := 0
	for b.Loop() {
		b.StopTimer()
		var made []*procpool.Call
		for range 8192 {
			made = append(made, procpool.Relay{Task: "work", Payload: []byte("x"), Done: func(*procpool.Call, []byte, error) {}}.NewCall())
		}
		b.StartTimer()
		for _, c := range made {
			if err := s.EnqueueNested(c, parent, 1); err != nil {
				b.Fatal(err)
			}
			for l.answer() {
			}
		}
		calls += len(made)
	}
	perCall(b, calls)
}

// Submit all, then collect, with two workers that answer beside: everything that
// the host does but the wire.
func BenchmarkFutures(b *testing.B) {
	s, links := newEcho(2, true)
	arg := []byte("x")
	futures := make([]*procpool.Future[[]byte], 16384)
	b.ReportAllocs()
	calls := 0
	for b.Loop() {
		for i := range futures {
			futures[i] = work.Submit(context.Background(), s, arg)
		}
		for _, f := range futures {
			if _, err := f.Result(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		calls += len(futures)
	}
	perCall(b, calls)
	for _, l := range links {
		close(l.wake)
	}
}

// The same for the items of a Map.
func BenchmarkMap(b *testing.B) {
	s, links := newEcho(2, true)
	arg := []byte("x")
	const n = 16384
	b.ReportAllocs()
	calls := 0
	for b.Loop() {
		in := func(yield func([]byte) bool) {
			for range n {
				if !yield(arg) {
					return
				}
			}
		}
		for _, err := range work.Map(context.Background(), packed{s}, in) {
			if err != nil {
				b.Fatal(err)
			}
		}
		calls += n
	}
	perCall(b, calls)
	for _, l := range links {
		close(l.wake)
	}
}

// packed makes Map use packs.
type packed struct{ *sched.Scheduler }

func (packed) TakesPacks() bool { return true }
