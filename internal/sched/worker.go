package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// worker is what the scheduler knows of a live worker: the calls it has been
// given and not answered yet, by sequence number.
type worker struct {
	number   int
	pid      int
	link     Link
	recorder bool  // it has one, so calls may be sent ahead and taken back
	born     int64 // when it was ready, in the scheduler's clock
	dead     bool  // the process is gone, or about to be killed for nonsense

	base, next uint64           // unanswered sequence numbers are in [base, next)
	ring       []*procpool.Call // by sequence number; nil where withdrawn or answered
	held       int              // unanswered items
	bytes      int64            // their payloads
	load       time.Duration    // their predicted run time
	isIdle     bool
	isAhead    bool // counted in Scheduler.ahead

	outbox, spare []*procpool.Call // assigned, not yet sent
	finishing     []outcome        // the receiver's scratch
	hot           bool
	alone         bool // holds a suspect, which gets no company
	tickSeq       uint64

	// Sequence numbers up to sent have been sent; those beyond it up to
	// sendEnd are in the hands of a goroutine in Link.Send and can't be
	// touched.
	sent, sendEnd uint64
	sending       bool          // a goroutine empties the outbox
	sendOver      chan struct{} // made by whoever waits for it to end

	// Answers ascend: answered is the last that was answered in any way, ran
	// the last of those that had run.
	answered, ran uint64

	fenced     bool
	fenceAt    uint64 // nothing beyond may start,
	fenceLimit uint64 // but for what had when the fence came
	fenceEnd   uint64 // the fence is lifted when this one is answered
	strays     int    // how many fenced calls may be declined after their fence was lifted

	grace    *time.Timer
	graceSeq uint64 // the cancelled call that the timer is for
}

func newWorker(number int, link Link, recorder bool, now int64) *worker {
	return &worker{
		number: number, pid: link.PID(), link: link, recorder: recorder, born: now,
		base: 1, next: 1, ring: make([]*procpool.Call, 64),
	}
}

func (w *worker) at(seq uint64) *procpool.Call {
	if seq < w.base || seq >= w.next {
		return nil
	}
	return w.ring[seq&uint64(len(w.ring)-1)]
}

// clear empties a place in the ring. base stays at the first that is not empty,
// or at next.
func (w *worker) clear(seq uint64) {
	mask := uint64(len(w.ring) - 1)
	w.ring[seq&mask] = nil
	for w.base < w.next && w.ring[w.base&mask] == nil {
		w.base++
	}
}

// put gives the call the next sequence numbers, one for each item.
func (w *worker) put(c *procpool.Call, items int, each time.Duration) {
	for uint64(len(w.ring)) < w.next+uint64(items)-w.base {
		w.grow()
	}
	c.Slot.Seq = w.next
	mask := uint64(len(w.ring) - 1)
	for end := w.next + uint64(items); w.next < end; w.next++ {
		w.ring[w.next&mask] = c
	}
	w.held += items
	w.bytes += c.Slot.Cost
	c.Slot.Estimate = int64(each)
	w.load += each * time.Duration(items)
}

func (w *worker) grow() {
	ring := make([]*procpool.Call, 2*len(w.ring))
	for seq := w.base; seq < w.next; seq++ {
		ring[seq&uint64(len(ring)-1)] = w.at(seq)
	}
	w.ring = ring
}

// forget takes one item of c off the worker's account; whole tells that it was
// the last of the call.
func (w *worker) forget(seq uint64, c *procpool.Call) (whole bool) {
	w.clear(seq)
	w.held--
	w.load -= time.Duration(c.Slot.Estimate)
	if seq != endOf(c) {
		return false
	}
	w.bytes -= c.Slot.Cost
	return true
}

// endOf returns the sequence number of the call's last item.
func endOf(c *procpool.Call) uint64 { return c.Slot.Seq + uint64(c.Items()) - 1 }

// firstOf returns the sequence number of the call's first unanswered item.
func (w *worker) firstOf(c *procpool.Call) uint64 {
	seq := max(c.Slot.Seq, w.base)
	for end := endOf(c); seq < end && w.at(seq) != c; {
		seq++
	}
	return seq
}

// room returns how many items like those of c may be sent to the worker now, 0
// for none. An idle worker takes at least one of any kind.
func (w *worker) room(c *procpool.Call, f *function) int {
	if w.fenced || w.alone || w.dead || w.graceSeq != 0 {
		return 0
	}
	if !w.recorder || f.slow == 0 || f.slow >= patient || c.Slot.Victims >= suspectAfter {
		if w.held > 0 {
			return 0
		}
		return 1
	}
	if w.held > 0 && w.bytes+c.Slot.Cost > lookAheadBytes {
		return 0
	}
	n := max(int((lookAhead-w.load)/f.slow), 0)
	if n == 0 && (w.held == 0 || w.held == 1 && w.load < patient) {
		n = 1 // the one that runs, and one ahead
	}
	if f.slow > packable {
		n = min(n, 1)
	}
	return n
}

// pumpLocked sends the worker what is assigned to it, unless another goroutine
// is at it, which then does. It lets go of the lock while it sends.
func (s *Scheduler) pumpLocked(w *worker) {
	if w.sending || len(w.outbox) == 0 {
		return
	}
	w.sending = true
	s.emptyOutboxLocked(w, false)
}

const (
	// inlineBytes is how much may be on its way to a worker while a submitter
	// or a receiver sends to it: well below the 64 KiB that a gRPC stream
	// takes without blocking, whoever the peer. If more is, flow control may
	// block the sender, which then has to be a goroutine of its own: a
	// receiver that waits for its worker while that waits for its receiver
	// would wait for ever.
	inlineBytes = 32 << 10
	// frameBytes is about what a call takes beside its payload.
	frameBytes = 16
)

func (s *Scheduler) emptyOutboxLocked(w *worker, mayBlock bool) {
	for len(w.outbox) > 0 && !w.dead {
		if !mayBlock && w.bytes+int64(w.held)*frameBytes > inlineBytes {
			go func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.emptyOutboxLocked(w, true)
			}()
			return
		}
		batch := w.outbox
		w.outbox = w.spare[:0]
		w.sendEnd = endOf(batch[len(batch)-1])
		s.mu.Unlock()
		w.link.Send(lane, batch)
		s.mu.Lock()
		w.sent = w.sendEnd
		clear(batch)
		w.spare = batch[:0]
	}
	w.sending = false
	if w.sendOver != nil {
		close(w.sendOver)
		w.sendOver = nil
	}
}

// awaitSendLocked returns when no goroutine is sending to w, which is dead. It
// lets go of the lock while it waits.
func (s *Scheduler) awaitSendLocked(w *worker) {
	for w.sending {
		if w.sendOver == nil {
			w.sendOver = make(chan struct{})
		}
		over := w.sendOver
		s.mu.Unlock()
		<-over
		s.mu.Lock()
	}
}

// unsend drops from the outbox what lies beyond limit.
func (w *worker) unsend(limit uint64) {
	kept := w.outbox[:0]
	for _, c := range w.outbox {
		if c.Slot.Seq <= limit {
			kept = append(kept, c)
		}
	}
	clear(w.outbox[len(kept):])
	w.outbox = kept
}
