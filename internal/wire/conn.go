package wire

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// pollTime is how long a read polls before it goes to sleep. A round trip
	// through a worker takes less, and a sleep costs as much.
	pollTime = 50 * time.Microsecond
	// slowYield is how long it takes to be scheduled again when others need
	// the processor. Then it is theirs.
	slowYield = 20 * time.Microsecond
	// maxMisses is how many reads in a row may poll in vain.
	maxMisses = 3
	// After that the connection sleeps when it reads, for pollPause at first
	// and twice as long each time.
	pollPause    = 500 * time.Microsecond
	maxPollPause = 64 * time.Millisecond
	// pollStretch is how long a connection may go on without a sleep. While a
	// goroutine yields and comes back, Go's scheduler always has something to
	// run and looks at other sockets only every 10 ms; a sleep in between has
	// it look.
	pollStretch = 500 * time.Microsecond
)

// pollConn is a connection whose Read may poll for a short while before it goes
// to sleep, and which can tell how much of one HTTP/2 stream has been written.
// As with any net.Conn its methods are safe for concurrent use, provided that
// one goroutine reads and one writes.
type pollConn struct {
	net.Conn
	raw    syscall.RawConn // nil: reads never poll
	poller *Poller
	hot    atomic.Bool
	frames frameCounter

	// Of the reading goroutine alone.
	try    tryRead
	misses int
	pause  time.Duration
	asleep time.Time // no polling before this
	awake  time.Time // when the last sleep ended
}

// newPollConn wraps c, to which nothing has been written yet. Its reads poll
// while setHot says so and poller, which may be nil, has room.
func newPollConn(c net.Conn, poller *Poller) *pollConn {
	p := &pollConn{Conn: c, poller: poller}
	if sc, ok := c.(syscall.Conn); ok && canPoll && poller != nil && poller.limit > 0 {
		if raw, err := sc.SyscallConn(); err == nil {
			p.raw = raw
			p.try.init()
		}
	}
	return p
}

// setHot says whether an answer is expected within microseconds, so that polling
// is worth it. It holds from the next Read on and never blocks.
func (c *pollConn) setHot(hot bool) { c.hot.Store(hot) }

// Read reads like net.Conn's.
func (c *pollConn) Read(b []byte) (int, error) {
	if c.raw == nil || !c.hot.Load() || len(b) == 0 {
		return c.Conn.Read(b)
	}
	if n, err, ok := c.try.read(c.raw, b); ok {
		c.misses, c.pause = 0, 0
		return n, err
	}
	now := time.Now()
	if c.misses >= maxMisses && now.Before(c.asleep) || now.Sub(c.awake) > pollStretch || !c.poller.acquire() {
		return c.sleep(b)
	}
	n, err, ok := c.poll(b)
	c.poller.release()
	if ok {
		return n, err
	}
	return c.sleep(b)
}

// sleep reads as long as that takes.
func (c *pollConn) sleep(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.awake = time.Now()
	return n, err
}

// poll tries to read for a while. ok is false when there was nothing.
func (c *pollConn) poll(b []byte) (n int, err error, ok bool) {
	start := time.Now()
	last := time.Duration(0)
	for {
		runtime.Gosched()
		now := time.Since(start)
		if n, err, ok := c.try.read(c.raw, b); ok {
			c.misses, c.pause = 0, 0
			return n, err, true
		}
		if now-last > slowYield {
			c.misses = maxMisses
			break
		}
		if now > pollTime {
			c.misses++
			break
		}
		last = now
	}
	if c.misses >= maxMisses {
		c.pause = min(max(pollPause, 2*c.pause), maxPollPause)
		c.asleep = time.Now().Add(c.pause)
	}
	return 0, nil, false
}

// Write writes like net.Conn's and counts what was written of each frame.
func (c *pollConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.frames.wrote(b[:n])
	if err != nil {
		c.frames.fail()
	}
	return n, err
}

// Close closes the connection. Nobody waits for writes any longer.
func (c *pollConn) Close() error {
	err := c.Conn.Close()
	c.frames.fail()
	return err
}
