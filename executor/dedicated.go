package executor

import (
	"context"
	"fmt"
	"sync"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// dedicated runs calls in processes of their own, beside the pool's workers: each
// has a scheduler that starts one worker and gives it that call alone. What the pool
// promises of blame, cancellation and replacement is so the same for both.
type dedicated struct {
	core   *core
	places chan struct{} // holds a token for each process that there may still be
	ending chan struct{} // closed when no more calls are taken

	mu    sync.Mutex
	all   map[*sched.Scheduler]struct{}
	past  sched.Stats // the counts of those that are gone
	ended bool
	empty chan struct{} // closed when ended and none is left
}

func newDedicated(c *core, n int) *dedicated {
	d := &dedicated{
		core: c, places: make(chan struct{}, n), ending: make(chan struct{}), empty: make(chan struct{}),
		all: make(map[*sched.Scheduler]struct{}),
	}
	for range n {
		d.places <- struct{}{}
	}
	return d
}

// enqueueAll takes n linked calls; see procpool.Executor.
func (d *dedicated) enqueueAll(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		d.enqueue(ctx, c, func() {})
		c = next
	}
}

// enqueue takes a call, and calls over when that has ended. It blocks until the call
// may have a process, at most until ctx ends; one with NoWait and one that a task makes
// are refused instead.
func (d *dedicated) enqueue(ctx context.Context, c *procpool.Call, over func()) {
	if err := d.await(ctx, c); err != nil {
		c.Finish(nil, err)
		over()
		return
	}
	s := d.core.newScheduler(sched.Config{
		QueueSize: 1, QueueBytes: d.core.cfg.MaxPayload, Concurrency: 1, Once: true,
	})
	s.SetServed(d.core.served.list())
	if !d.add(s) {
		d.places <- struct{}{}
		c.Finish(nil, procpool.ErrClosed)
		over()
		return
	}
	s.Start()
	s.Enqueue(ctx, c, 1)
	go d.tend(s, over)
}

// await waits for a place among the processes.
func (d *dedicated) await(ctx context.Context, c *procpool.Call) error {
	select {
	case <-d.ending:
		return procpool.ErrClosed
	default:
	}
	select {
	case <-d.places:
		return nil
	default:
	}
	most := d.core.cfg.MaxDedicated
	switch {
	case c.Slot.Depth > 0: // those that have the places may wait for this one
		return procpool.NestingError(c.Task(), fmt.Sprintf("%d sessions and actors run in processes of their own, as many as may (Config.MaxDedicated)", most))
	case c.NoWait():
		return fmt.Errorf("%w: %d sessions and actors run in processes of their own, as many as may (Config.MaxDedicated)", procpool.ErrQueueFull, most)
	}
	select {
	case <-d.places:
		return nil
	case <-ctx.Done():
		return procpool.CancelError(ctx, c)
	case <-d.ending:
		return procpool.ErrClosed
	}
}

func (d *dedicated) add(s *sched.Scheduler) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return false
	}
	d.all[s] = struct{}{}
	return true
}

// tend sees to it that the process goes when its call is over, whoever ends it.
func (d *dedicated) tend(s *sched.Scheduler, over func()) {
	<-s.Drain()
	over()
	<-s.Stop()
	s.WaitEvents()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, s)
	d.past.AddCalls(s.Stats())
	d.places <- struct{}{}
	d.checkEmptyLocked()
}

func (d *dedicated) checkEmptyLocked() {
	if !d.ended || len(d.all) > 0 {
		return
	}
	select {
	case <-d.empty:
	default:
		close(d.empty)
	}
}

// drain takes no more calls and returns a channel that is closed when those there are
// have ended, and their processes with them.
func (d *dedicated) drain() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.ended = true
		close(d.ending)
	}
	d.checkEmptyLocked()
	return d.empty
}

// kill ends all calls and their processes now. The channel is closed when the last is
// gone.
func (d *dedicated) kill() (gone <-chan struct{}, what sched.Ended) {
	gone = d.drain()
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.all {
		_, ended := s.Kill()
		what.Add(ended)
	}
	return gone, what
}

// stats returns the counts of all schedulers there were, and how many processes there
// are at the moment.
func (d *dedicated) stats() (s sched.Stats, processes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s = d.past
	for one := range d.all {
		now := one.Stats()
		s.AddCalls(now)
		processes += now.Workers
	}
	return s, processes
}
