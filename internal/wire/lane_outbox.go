package wire

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	// shareFor and shareBytes bound how long and how much replies of short
	// calls wait for the write that they share.
	shareFor   = 100 * time.Microsecond
	shareBytes = 32 << 10
	// lateAfter is when they are sent even though the lane has not come to it:
	// a function that was always short runs long this time.
	lateAfter = 2 * time.Millisecond
	// journalRoom is the room in the journal below which it is emptied before
	// the next call.
	journalRoom = 16 << 10
)

// outbox holds a lane's replies from when they are ready until they are with the
// kernel.
//
// They are built in the lane's journal, the part of the flight recorder that
// outlives the process, and sent from there. The journal is emptied when all in
// it were handed to the kernel, so a reply is always in one of the two places once
// its function has returned. Only what does not fit is not in the journal; then
// the next call waits until the kernel has it.
//
// The lane's goroutine calls the methods. flush alone is also called by a timer,
// at any time.
type outbox struct {
	server *server
	log    *recorderLane

	// journal[:used] holds replies, of which [:sent] were given to gRPC.
	journal   []byte
	used      int          // the lane's own
	published atomic.Int64 // used, for the timer
	sent      atomic.Int64 // written with mu held

	oldest int64       // when the first reply that was not sent yet was ready
	late   *time.Timer // calls flush
	armed  atomic.Bool // whether late is going to

	loan *[]byte // a borrowed buffer in which a result is built, or from which it was sent

	mu     sync.Mutex
	expect uint64      // what was given to gRPC is with the kernel once the stream has carried that much
	owed   atomic.Bool // whether something was sent that the journal does not keep; set with mu held
}

func newOutbox(s *server, log *recorderLane) *outbox {
	buf := log.journalBuf()
	o := &outbox{server: s, log: log, journal: buf[:cap(buf)]}
	o.late = time.AfterFunc(time.Hour, func() {
		o.armed.Store(false)
		o.flush(false)
	})
	o.late.Stop()
	return o
}

// unsent is how many bytes of replies were not given to gRPC yet.
func (o *outbox) unsent() int { return o.used - int(o.sent.Load()) }

// settle does what is due before the next call starts, at the moment now: it
// sends the replies that may not wait for it, and waits until they are with the
// kernel. quick says that the next function is known to be short, hot that the
// last one was. It reports whether that took any time.
func (o *outbox) settle(quick, hot bool, now int64) (took bool) {
	if o.used == 0 && !o.owed.Load() {
		return false
	}
	unsent := o.unsent()
	if unsent > 0 && (!quick || unsent >= shareBytes || now-o.oldest >= int64(shareFor)) {
		o.flush(hot)
		took, unsent = true, 0
	}
	if !quick || o.owed.Load() || len(o.journal)-o.used < journalRoom {
		o.flush(hot)
		o.awaitWritten()
		took, unsent = true, 0
	}
	if unsent > 0 {
		if !o.armed.Load() {
			o.armed.Store(true)
			o.late.Reset(lateAfter)
		}
		return took
	}
	o.empty()
	return took
}

// awaitWritten waits until the kernel has all that was given to gRPC.
func (o *outbox) awaitWritten() {
	o.mu.Lock()
	expect := o.expect
	o.mu.Unlock()
	o.server.awaitWritten(expect)
	o.owed.Store(false)
	if o.loan != nil && o.server.written() >= expect {
		o.server.pool.Put(o.loan)
	}
	o.loan = nil // after a failure gRPC may still have it
}

// empty empties the journal if all in it is with the kernel.
func (o *outbox) empty() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsent() == 0 && o.server.written() >= o.expect {
		o.log.resetJournal()
		o.used = 0
		o.published.Store(0)
		o.sent.Store(0)
	}
}

// behind returns where the next reply goes in the journal.
func (o *outbox) behind() []byte { return o.journal[o.used:o.used] }

// room returns where the next result is built: in the journal, or, where it is
// known to be too large for that, in a borrowed buffer.
func (o *outbox) room(size int) []byte {
	if size+outcomeSlack <= len(o.journal)-o.used {
		return o.behind()
	}
	o.loan = o.server.pool.Get(size + 2*outcomeSlack)
	return (*o.loan)[:0]
}

// keeps reports whether b, which was begun behind the others, still lies in the
// journal.
func (o *outbox) keeps(b []byte) bool {
	return unsafe.SliceData(b) == unsafe.SliceData(o.journal[o.used:])
}

// add takes a reply that was built behind the others and was ready at the moment
// now. One that has outgrown the journal, the long text of a failure, is sent at
// once.
func (o *outbox) add(reply []byte, now int64) {
	if !o.keeps(reply) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sendLocked(&workResponse{data: append(o.takeLocked(), reply...)}, false)
		o.owed.Store(true)
		return
	}
	if o.unsent() == 0 {
		o.oldest = now
	}
	o.used += len(reply)
	o.log.setJournal(o.used)
	o.published.Store(int64(o.used))
}

// addBig sends a reply whose result is too large for the journal, as it is.
func (o *outbox) addBig(reply []byte, mark outcomeMark, ran time.Duration, hot bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	response := &workResponse{data: o.takeLocked()}
	response.addBig(reply, mark, ran)
	o.sendLocked(response, hot)
	o.owed.Store(true)
}

// flush sends the replies that were not sent yet.
func (o *outbox) flush(hot bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if data := o.takeLocked(); len(data) > 0 {
		o.sendLocked(&workResponse{data: data}, hot)
		if !o.server.kept {
			o.owed.Store(true)
		}
	}
}

// takeLocked returns the replies that were not sent yet, for sendLocked.
func (o *outbox) takeLocked() []byte {
	used := o.published.Load()
	data := o.journal[o.sent.Load():used:used]
	o.sent.Store(used)
	return data
}

func (o *outbox) sendLocked(r *workResponse, hot bool) { o.expect = o.server.send(r, hot) }
