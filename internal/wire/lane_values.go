package wire

import (
	"sync"
	"time"
	"unsafe"
)

const (
	// gatherFor and gatherBytes bound how long and how much values that follow each
	// other quickly wait for the message that they share.
	gatherFor   = 100 * time.Microsecond
	gatherBytes = 32 << 10
	// lateValuesAfter is when they are sent though no other value has come.
	lateValuesAfter = time.Millisecond
	// valueRoom is the size of the buffer in which they are built.
	valueRoom = 2 * gatherBytes
)

// valueBuffer holds values of one call from when they are encoded until they are
// sent. The first value, and any that comes after a pause, is sent at once and seen
// to be with the kernel: a task that goes on to compute may keep the only processor,
// and gRPC's writer from running. Those that follow gather.
//
// One goroutine at a time calls room and add; push may be called at any time.
type valueBuffer struct {
	server *server
	key    streamKey

	mu      sync.Mutex
	buf     *[]byte // borrowed, nil before the first value
	used    int     // of buf, by values
	sent    int     // of used
	mark    valueMark
	lent    bool   // somebody may be writing behind used
	expect  uint64 // what was sent is with the kernel once the stream has carried that much
	flushed int64  // when, in monotonicNow's clock
	late    *time.Timer
	armed   bool // whether late is going to flush
	closed  bool
}

func newValueBuffer(s *server, key streamKey) *valueBuffer { return &valueBuffer{server: s, key: key} }

// room returns where the next value's encoding goes.
func (b *valueBuffer) room() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	if b.buf == nil {
		b.buf = b.server.pool.Get(valueRoom)
	}
	if len(*b.buf)-b.used < gatherBytes {
		b.flushLocked()
	}
	if b.sent == b.used {
		b.sent, b.used = 0, 0
	}
	var data []byte
	data, b.mark = beginValue((*b.buf)[:b.used], tagResponseValues, b.key)
	b.lent = true
	return data[b.mark.value:]
}

// add takes the next value, which was appended to what room has returned.
func (b *valueBuffer) add(value []byte) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.lent = false
	large := !b.keepLocked(value)
	now := monotonicNow()
	pause := now-b.flushed >= int64(gatherFor)
	switch {
	case large:
		b.sendLargeLocked(value)
	case pause || b.used-b.sent >= gatherBytes:
		b.flushLocked()
	case !b.armed:
		b.armLocked()
	}
	expect := b.expect
	b.mu.Unlock()
	if pause {
		b.server.awaitWritten(expect)
	}
}

// keepLocked keeps a value until it is sent with others, unless it is large.
func (b *valueBuffer) keepLocked(value []byte) bool {
	if b.buf == nil {
		b.buf = b.server.pool.Get(valueRoom)
	}
	buf := *b.buf
	if unsafe.SliceData(value) == unsafe.SliceData(buf[b.mark.value:]) && b.mark.value+len(value)+valueOverhead <= len(buf) {
		b.used = len(endValue(buf[:b.mark.value+len(value)], b.mark))
		return true
	}
	if len(value) >= ownMemory || b.used+len(value)+valueOverhead > len(buf) {
		return false
	}
	b.used = len(appendValue(buf[:b.used], tagResponseValues, b.key, value))
	return true
}

// sendLargeLocked sends a value as it is, behind those before it.
func (b *valueBuffer) sendLargeLocked(value []byte) {
	if unsafe.SliceData(value) == unsafe.SliceData((*b.buf)[b.mark.value:]) {
		value = append([]byte(nil), value...) // it filled the buffer to its end
	}
	head := append([]byte(nil), (*b.buf)[b.sent:b.used]...)
	b.sent = b.used
	head = appendValueHead(head, tagResponseValues, b.key, len(value))
	b.sentLocked(b.server.sendSide(head, value))
}

// push sends what was not sent yet and waits until the kernel has all.
func (b *valueBuffer) push() {
	b.mu.Lock()
	b.flushLocked()
	expect := b.expect
	b.mu.Unlock()
	b.server.awaitWritten(expect)
}

func (b *valueBuffer) flushLocked() {
	if b.sent < b.used {
		data := (*b.buf)[b.sent:b.used]
		b.sent = b.used
		b.sentLocked(b.server.sendSide(data, nil))
	}
}

func (b *valueBuffer) sentLocked(expect uint64) {
	b.expect = expect
	b.flushed = monotonicNow()
}

// armLocked has a timer send the values that gather.
func (b *valueBuffer) armLocked() {
	b.armed = true
	if b.late != nil {
		b.late.Reset(lateValuesAfter)
		return
	}
	b.late = time.AfterFunc(lateValuesAfter, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.armed = false
		b.flushLocked()
	})
}

// close sends what was not sent yet and waits until the kernel has all. No more
// values are taken.
func (b *valueBuffer) close() {
	b.mu.Lock()
	b.flushLocked()
	b.closed = true
	if b.late != nil {
		b.late.Stop()
	}
	if b.buf != nil && !b.lent {
		b.server.pool.Put(b.buf)
	}
	b.buf, b.sent, b.used = nil, 0, 0
	expect := b.expect
	b.mu.Unlock()
	b.server.awaitWritten(expect)
}
