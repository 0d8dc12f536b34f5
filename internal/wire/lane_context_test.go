package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

func ended(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func TestContextLives(t *testing.T) {
	t.Parallel()
	var c callContext
	if _, ok := c.Deadline(); ok || c.Err() != nil || ended(&c) || c.Value("anything") != nil {
		t.Error("a fresh context is not one")
	}
	c.end(context.Canceled)
	if !errors.Is(c.Err(), context.Canceled) || !ended(&c) {
		t.Error("a context that ended goes on")
	}
	c.end(context.DeadlineExceeded)
	if !errors.Is(c.Err(), context.Canceled) {
		t.Error("the first end does not count")
	}
}

func TestContextAskedAfterTheEnd(t *testing.T) {
	t.Parallel()
	var c callContext
	c.end(context.Canceled)
	if first := c.Done(); !ended(&c) || first != c.Done() {
		t.Error("the channel is not closed, or not always the same")
	}
	child, cancel := context.WithCancel(&c)
	defer cancel()
	if !ended(child) {
		t.Error("a context derived from one that has ended goes on")
	}
}

func TestContextReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			left time.Duration
			want error
		}{{time.Hour, context.Canceled}, {time.Millisecond, context.DeadlineExceeded}, {-time.Second, context.DeadlineExceeded}} {
			c := callContext{deadline: time.Now().Add(test.left)}
			c.cancel()
			if !errors.Is(c.Err(), test.want) {
				t.Errorf("with %v left: %v", test.left, c.Err())
			}
		}
	})
}

// What the context package builds on top of ours works, by AfterFunc and not by a
// goroutine that waits.
func TestContextDerived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c callContext
		ctx := procpool.WithMetadata(&c, map[string]string{"tenant": "acme"})
		if procpool.MetadataFrom(ctx)["tenant"] != "acme" {
			t.Error("the metadata is lost")
		}
		child, cancel := context.WithTimeout(&c, time.Hour)
		defer cancel()
		dropped, drop := context.WithCancel(&c)
		drop()
		if len(c.afters) != 1 {
			t.Errorf("%d derived contexts are remembered, one lives", len(c.afters))
		}
		called := false
		stop := context.AfterFunc(&c, func() { called = true })
		unused := context.AfterFunc(&c, func() { t.Error("this was stopped") })
		if !unused() || unused() {
			t.Error("stopping works not once")
		}
		c.end(context.Canceled)
		synctest.Wait()
		if !called || stop() || !ended(child) || !ended(dropped) || !errors.Is(child.Err(), context.Canceled) {
			t.Error("the end does not get through")
		}
	})
}

func TestContextRace(t *testing.T) {
	t.Parallel()
	for range 200 {
		var c callContext
		var all sync.WaitGroup
		all.Go(func() { <-c.Done() })
		all.Go(func() {
			child, cancel := context.WithCancel(&c)
			defer cancel()
			<-child.Done()
		})
		all.Go(func() { c.cancel() })
		all.Wait()
	}
}

func TestLaneQueue(t *testing.T) {
	t.Parallel()
	q := newLaneQueue()
	run := func(seq uint64) taskRun { return taskRun{tasks: []task{{seq: seq}}} }
	q.put(run(1))
	q.put(run(2))
	got := q.take(nil)
	if len(got) != 2 || got[0].tasks[0].seq != 1 || got[1].tasks[0].seq != 2 {
		t.Fatalf("took %v", got)
	}
	if len(q.take(got[:0])) != 0 || len(q.wake) != 0 {
		t.Fatal("there is something left")
	}
	q.put(run(3))
	q.put(run(4))
	if len(q.wake) != 1 {
		t.Fatal("the lane sleeps on")
	}
	if len(q.take(nil)) != 2 || len(q.take(nil)) != 0 {
		t.Fatal("what came is not there")
	}
	// The token that nobody took must not hold up the reader.
	q.put(run(5))
	if len(q.wake) != 1 {
		t.Fatal("the lane sleeps on")
	}
}

func TestLaneQueueMarks(t *testing.T) {
	t.Parallel()
	q := newLaneQueue()
	q.mark(7, 0)
	if q.unmark(6) || !q.unmark(7) || q.unmark(7) {
		t.Error("a mark counts once, for its call")
	}
	// Marks of calls that never come or are over are forgotten, no others.
	for seq := range uint64(maxCancelled + 600) {
		q.mark(seq, 500)
	}
	if n := len(q.cancelled); n > maxCancelled || q.unmark(0) || !q.unmark(500) || !q.unmark(maxCancelled+99) {
		t.Errorf("%d marks are kept, and not the right ones", n)
	}
}
