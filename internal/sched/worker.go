package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// worker is what the scheduler knows of a live worker: the calls it has been
// given and not answered yet, by sequence number.
type worker struct {
	number   int
	link     Link
	recorder bool // it has one, so calls may be sent ahead and taken back

	base, next uint64           // unanswered sequence numbers are in [base, next)
	ring       []*procpool.Call // by sequence number; nil where withdrawn or answered
	held       int              // unanswered items
	bytes      int64            // their payloads
	load       time.Duration    // their predicted run time
	isIdle     bool
	isAhead    bool // counted in Scheduler.ahead
	served     bool // has started a call

	outbox, spare []*procpool.Call // assigned, not yet sent
	finishing     []outcome        // the receiver's scratch
	sending       bool             // a goroutine is in pumpLocked
	sent, sendEnd uint64           // the last sequence number that was sent, that is being sent
	hot           bool
	alone         bool // holds a suspect, which gets no company
	tickSeq       uint64

	last uint64 // the last sequence number that was answered

	fenced   bool
	fenceAt  uint64 // nothing beyond may start
	fenceEnd uint64 // the fence is lifted when this one is answered

	grace    *time.Timer
	graceSeq uint64 // the cancelled call that the timer is for
}

func newWorker(number int, link Link, recorder bool) *worker {
	return &worker{number: number, link: link, recorder: recorder, base: 1, next: 1, ring: make([]*procpool.Call, 64)}
}

func (w *worker) at(seq uint64) *procpool.Call {
	if seq < w.base || seq >= w.next {
		return nil
	}
	return w.ring[seq&uint64(len(w.ring)-1)]
}

func (w *worker) clear(seq uint64) {
	w.ring[seq&uint64(len(w.ring)-1)] = nil
	for w.base < w.next && w.ring[w.base&uint64(len(w.ring)-1)] == nil {
		w.base++
	}
}

// put gives the call the next sequence numbers, one for each item.
func (w *worker) put(c *procpool.Call) {
	items := uint64(c.Items())
	for uint64(len(w.ring)) < w.next+items-w.base {
		w.grow()
	}
	c.Slot.Seq = w.next
	for i := range items {
		w.ring[(w.next+i)&uint64(len(w.ring)-1)] = c
	}
	w.next += items
	w.held += int(items)
	w.bytes += c.Slot.Cost
	c.Slot.Estimate = int64(max(c.Slot.Group.(*function).slow, quickest))
	w.load += time.Duration(c.Slot.Estimate) * time.Duration(items)
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
	last := seq == c.Slot.Seq+uint64(c.Items())-1
	if last {
		w.bytes -= c.Slot.Cost
	}
	if w.held == 0 {
		w.load, w.bytes = 0, 0
	}
	return last
}

// room returns how many more calls like c may be sent to the worker now, 0 for
// none. An idle worker takes at least one of any kind.
func (w *worker) room(c *procpool.Call) int {
	if w.fenced || w.alone {
		return 0
	}
	f := c.Slot.Group.(*function)
	n := 0
	if w.held == 0 {
		n = 1
	} else if !w.recorder {
		return 0
	}
	if !w.recorder || !f.measured() || f.slow >= patient || c.Slot.Victims >= suspectAfter {
		if c.Slot.Victims >= suspectAfter && w.held > 0 {
			return 0
		}
		return n
	}
	if w.held > 0 && w.bytes+c.Slot.Cost > lookAheadBytes {
		return n
	}
	left := int((lookAhead - w.load) / max(f.slow, quickest))
	if f.slow >= time.Millisecond && w.held > 1 {
		left = 0
	}
	return max(n, left)
}

// pumpLocked sends the worker what is assigned to it, unless another goroutine
// is at it, which then does. It lets go of the lock while it sends. A large
// batch is left to a goroutine of its own, since flow control may block it.
func (s *Scheduler) pumpLocked(w *worker) {
	if w.sending || len(w.outbox) == 0 {
		return
	}
	w.sending = true
	var bytes int64
	for _, c := range w.outbox {
		bytes += int64(len(c.Payload()))
	}
	if bytes > inlineBytes {
		go func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.drainOutboxLocked(w)
		}()
		return
	}
	s.drainOutboxLocked(w)
}

// inlineBytes is how much a submitter sends itself: well below the 64 KiB that a
// gRPC stream takes without blocking.
const inlineBytes = 16 << 10

func (s *Scheduler) drainOutboxLocked(w *worker) {
	for len(w.outbox) > 0 {
		batch := w.outbox
		w.outbox = w.spare[:0]
		last := batch[len(batch)-1]
		end := last.Slot.Seq + uint64(last.Items()) - 1
		w.sendEnd = end
		s.mu.Unlock()
		w.link.Send(lane, batch)
		s.mu.Lock()
		clear(batch)
		w.spare = batch[:0]
		w.sent = end
	}
	w.sending = false
}
