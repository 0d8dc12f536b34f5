package procpooltest

import (
	"sync"
	"time"
)

// A clock measures how long a task runs, without the time in which it waits for its
// reader, for a value that it is to receive, or for calls of its own.
type clock struct {
	limit   time.Duration // 0 for none
	overran func()        // called once when the limit has passed
	timer   *time.Timer

	mu      sync.Mutex
	waits   int           // for how many things it waits
	since   time.Time     // when it began to run, or ran on
	ran     time.Duration // before that
	stopped bool
	late    chan struct{} // made when the limit has passed, closed when overran has returned
}

func startClock(limit time.Duration, overran func()) *clock {
	c := &clock{limit: limit, overran: overran, since: time.Now()}
	if limit > 0 {
		c.mu.Lock() // the timer may ring at once
		defer c.mu.Unlock()
		c.timer = time.AfterFunc(limit, c.ring)
	}
	return c
}

func (c *clock) ranLocked() time.Duration {
	if c.waits > 0 {
		return c.ran
	}
	return c.ran + time.Since(c.since)
}

func (c *clock) ring() {
	c.mu.Lock()
	if c.stopped || c.waits > 0 || c.late != nil || c.ranLocked() < c.limit {
		c.mu.Unlock() // it had rung already when it was stopped or set anew
		return
	}
	c.late = make(chan struct{})
	c.mu.Unlock()
	defer close(c.late)
	c.overran()
}

// wait says that the task waits for one more thing.
func (c *clock) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.ran = c.ranLocked()
	c.waits++
	if c.timer != nil {
		c.timer.Stop()
	}
}

// resume says that it waits for one thing less.
func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.waits--
	if c.waits > 0 {
		return
	}
	c.since = time.Now()
	if c.timer != nil {
		c.timer.Reset(c.limit - c.ran)
	}
}

// stop says that the task has ended. It tells how long it ran, and whether that was
// within the limit; if not, overran has returned.
func (c *clock) stop() (ran time.Duration, inTime bool) {
	c.mu.Lock()
	ran = c.ranLocked()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	late := c.late
	c.mu.Unlock()
	if late != nil {
		<-late
	}
	return ran, late == nil
}
