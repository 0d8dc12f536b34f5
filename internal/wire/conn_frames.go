package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

const (
	// clientPreface is what an HTTP/2 client sends before its first frame.
	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameHeader = 9
	frameData   = 0x0
)

// frameCounter follows the HTTP/2 frames that pass through a connection's Write
// and counts the DATA bytes of one stream.
//
// gRPC's SendMsg merely queues; only the connection knows when a message has
// reached the kernel, which keeps it if this process dies. gRPC tells nobody the
// number of a stream either, so the stream is recognised by its first message:
// the caller announces bytes that nobody else sends, and the stream in which
// they come first is the one. No compression is used, so from then on the
// number of DATA bytes of a message is known: five more than its own.
type frameCounter struct {
	// Of the writing goroutine.
	skip    int // bytes that pass before the next header
	header  [frameHeader]byte
	have    int    // bytes of the header so far
	counted bool   // whether the frame is DATA of the watched stream
	stream  uint32 // the watched stream, 0 while it is not known
	head    []byte // start of a DATA frame that may be the opening
	want    int    // bytes still missing of it

	opening atomic.Pointer[[]byte]
	written atomic.Uint64

	mu      sync.Mutex
	waiters []*writeWaiter
	waiting atomic.Int32
	failed  atomic.Bool
}

// writeWaiter waits for a count.
type writeWaiter struct {
	n    uint64
	wake chan struct{} // of capacity 1
}

var writeWaiters = sync.Pool{New: func() any { return &writeWaiter{wake: make(chan struct{}, 1)} }}

// errWriteFailed says that what one waits for will never be written.
var errWriteFailed = errors.New("procpool: the connection to the host has failed")

// watchStream makes the stream whose first message is the given one, a few bytes
// that come from no other stream, the watched one. It is called before that
// message is sent; what is counted begins behind it.
func (c *pollConn) watchStream(opening []byte) {
	frame := make([]byte, messageHeader, messageHeader+len(opening))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(opening)))
	frame = append(frame, opening...)
	c.frames.opening.Store(&frame)
}

// written returns how many DATA bytes of the watched stream have been handed to
// the kernel behind its opening.
func (c *pollConn) written() uint64 { return c.frames.written.Load() }

// waitWritten blocks until at least n DATA bytes of the watched stream have been
// handed to the kernel behind its opening, done is closed, or the connection has
// failed, which is an error.
func (c *pollConn) waitWritten(n uint64, done <-chan struct{}) error {
	f := &c.frames
	if f.written.Load() >= n {
		return nil
	}
	w := writeWaiters.Get().(*writeWaiter)
	w.n = n
	f.mu.Lock()
	f.waiters = append(f.waiters, w)
	f.waiting.Add(1)
	f.mu.Unlock()
	// Between the check and the Add the writer may have passed n, and not
	// seen us.
	if f.written.Load() >= n || f.failed.Load() {
		f.wake()
	}
	select {
	case <-w.wake:
	case <-done:
		if !f.forget(w) {
			<-w.wake // on its way
		}
	}
	writeWaiters.Put(w)
	switch {
	case f.written.Load() >= n:
		return nil
	case f.failed.Load():
		return errWriteFailed
	}
	return net.ErrClosed
}

// wake wakes those whose count is reached, and everybody after a failure.
func (f *frameCounter) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	written, failed := f.written.Load(), f.failed.Load()
	keep := f.waiters[:0]
	for _, w := range f.waiters {
		if written < w.n && !failed {
			keep = append(keep, w)
			continue
		}
		w.wake <- struct{}{}
		f.waiting.Add(-1)
	}
	clear(f.waiters[len(keep):])
	f.waiters = keep
}

// forget removes a waiter; it reports false when the waiter is being woken.
func (f *frameCounter) forget(w *writeWaiter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, other := range f.waiters {
		if other == w {
			last := len(f.waiters) - 1
			f.waiters[i], f.waiters[last] = f.waiters[last], nil
			f.waiters = f.waiters[:last]
			f.waiting.Add(-1)
			return true
		}
	}
	return false
}

func (f *frameCounter) fail() {
	f.failed.Store(true)
	f.wake()
}

// wrote follows bytes that were written.
func (f *frameCounter) wrote(b []byte) {
	count := uint64(0)
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			if f.counted {
				count += uint64(n)
			}
			if f.want > 0 {
				f.collect(b[:n])
			}
			f.skip -= n
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have == frameHeader {
			f.have = 0
			f.begin()
		}
	}
	if count > 0 {
		f.written.Add(count)
		if f.waiting.Load() > 0 {
			f.wake()
		}
	}
}

// begin looks at a frame's header.
func (f *frameCounter) begin() {
	h := f.header[:]
	f.counted = false
	if string(h) == clientPreface[:frameHeader] { // as a length, 5 MB: no frame
		f.skip = len(clientPreface) - frameHeader
		return
	}
	f.skip = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	if h[3] != frameData {
		return
	}
	stream := binary.BigEndian.Uint32(h[5:]) & (1<<31 - 1)
	if f.stream != 0 {
		f.counted = stream == f.stream
		return
	}
	if opening := f.opening.Load(); opening != nil && f.skip == len(*opening) {
		f.head, f.want = f.head[:0], f.skip
	}
}

// collect gathers a frame that may be the opening.
func (f *frameCounter) collect(b []byte) {
	f.head = append(f.head, b...)
	f.want -= len(b)
	if f.want > 0 {
		return
	}
	if opening := f.opening.Load(); opening != nil && bytes.Equal(f.head, *opening) {
		f.stream = binary.BigEndian.Uint32(f.header[5:]) & (1<<31 - 1)
	}
	f.head = nil
}
