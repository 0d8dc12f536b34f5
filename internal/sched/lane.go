package sched

import (
	"math"
	"time"

	"github.com/procpool/procpool"
)

// lane is a serial line of calls in a worker: those it has been given and not
// answered yet, by sequence number.
type lane struct {
	worker *worker
	index  int

	first      uint64           // the number of its first call
	base, next uint64           // unanswered sequence numbers are in [base, next)
	ring       []*procpool.Call // by sequence number; nil where withdrawn or answered
	held       int              // unanswered items
	bytes      int64            // their payloads
	load       time.Duration    // their predicted run time
	isIdle     bool
	isWanted   bool // in Scheduler.wanted
	isAhead    bool // counted in Scheduler.ahead
	tickSeq    uint64

	own           lines            // calls that wait for this lane, by their key
	outbox, spare []*procpool.Call // assigned, not yet sent

	// Sequence numbers up to sent have been sent; those beyond it up to
	// sendEnd are in the hands of a goroutine in Link.Send and can't be
	// touched.
	sent, sendEnd uint64

	// Answers ascend: answered is the last that was answered in any way, ran
	// the last of those that had run.
	answered, ran uint64

	fenced     bool
	fenceAt    uint64 // nothing beyond may start,
	fenceLimit uint64 // but for what had when the fence came
	fenceEnd   uint64 // the fence is lifted when this one is answered
	behind     int64  // bytes that were sent and taken back, until then
	strays     int    // how many fenced calls may be declined after their fence was lifted

	grace    *time.Timer
	graceSeq uint64 // the given-up call that the timer is for
	deaf     bool   // it went on when its grace was over
	again    rerun  // of the call that graceSeq names: it timed out and is to be run again

	loan *loan // of the call that runs, if it has made nested calls

	alarm   *time.Timer // looks whether a call has run too long
	alarmAt int64       // when it is going to, 0 for not at all
	seenSeq uint64      // the call that it saw running last,
	seenAt  int64       // and when it did first
}

// newLane makes a lane whose first call gets number next.
func newLane(w *worker, index int, next uint64) *lane {
	return &lane{
		worker: w, index: index, first: next, base: next, next: next, ring: make([]*procpool.Call, 64),
		sent: next - 1, sendEnd: next - 1, answered: next - 1, ran: next - 1,
	}
}

func (l *lane) at(seq uint64) *procpool.Call {
	if seq < l.base || seq >= l.next {
		return nil
	}
	return l.ring[seq&uint64(len(l.ring)-1)]
}

// clear empties a place in the ring. base stays at the first that is not empty,
// or at next.
func (l *lane) clear(seq uint64) {
	mask := uint64(len(l.ring) - 1)
	l.ring[seq&mask] = nil
	for l.base < l.next && l.ring[l.base&mask] == nil {
		l.base++
	}
}

// put gives the call the next sequence numbers, one for each item.
func (l *lane) put(c *procpool.Call, items int, each time.Duration) {
	for uint64(len(l.ring)) < l.next+uint64(items)-l.base {
		l.grow()
	}
	c.Slot.Seq = l.next
	mask := uint64(len(l.ring) - 1)
	for end := l.next + uint64(items); l.next < end; l.next++ {
		l.ring[l.next&mask] = c
	}
	if l.held == 0 {
		l.worker.busy++
		l.worker.use(l)
	}
	l.held += items
	l.worker.held += items
	l.useKey(c, items)
	l.bytes += c.Slot.Cost
	c.Slot.Estimate = int64(each)
	l.load += each * time.Duration(items)
}

func (l *lane) grow() {
	ring := make([]*procpool.Call, 2*len(l.ring))
	for seq := l.base; seq < l.next; seq++ {
		ring[seq&uint64(len(ring)-1)] = l.at(seq)
	}
	l.ring = ring
}

// forget takes one item of c off the lane's account; whole tells that it was
// the last of the call.
func (l *lane) forget(seq uint64, c *procpool.Call) (whole bool) {
	l.clear(seq)
	if l.loan != nil && l.loan.seq == seq {
		l.endLoan()
	}
	l.held--
	l.worker.held--
	if l.held == 0 {
		l.worker.busy--
	}
	l.useKey(c, -1)
	l.load -= time.Duration(c.Slot.Estimate)
	if seq != endOf(c) {
		return false
	}
	l.bytes -= c.Slot.Cost
	return true
}

// newest returns the call that was given to the lane last of those that it holds.
func (l *lane) newest() *procpool.Call {
	for seq := l.next; seq > l.base; seq-- {
		if c := l.at(seq - 1); c != nil {
			return c
		}
	}
	return nil
}

// holds reports whether an item of c is unanswered. After the last was answered that
// can only be in what was recovered from a dead worker.
func (l *lane) holds(c *procpool.Call) bool {
	for seq, end := max(c.Slot.Seq, l.base), endOf(c); seq <= end; seq++ {
		if l.at(seq) == c {
			return true
		}
	}
	return false
}

// endOf returns the sequence number of the call's last item.
func endOf(c *procpool.Call) uint64 { return c.Slot.Seq + uint64(c.Items()) - 1 }

// firstOf returns the sequence number of the call's first unanswered item.
func (l *lane) firstOf(c *procpool.Call) uint64 {
	seq := max(c.Slot.Seq, l.base)
	for end := endOf(c); seq < end && l.at(seq) != c; {
		seq++
	}
	return seq
}

// room returns how many items like those of c may be sent to the lane now, 0 for
// none. An idle one takes at least one of any kind, but for a suspect, which wants
// the worker for itself.
func (l *lane) room(c *procpool.Call, f *function) int {
	w := l.worker
	if l.fenced || l.graceSeq != 0 || !w.takes() || l.held == 0 && w.active() >= w.slots || w.suspect && !nested(c) {
		return 0
	}
	left := math.MaxInt
	if w.limit > 0 {
		left = w.limit - w.given
	}
	if suspect(c) {
		if l.held > 0 || w.active() > 0 {
			return 0
		}
		return 1
	}
	if !w.recorder || f.slow == 0 || f.slow >= patient || c.Kind().HasValues() {
		if l.held > 0 {
			return 0
		}
		return 1
	}
	if l.held > 0 && (l.bytes+c.Slot.Cost > lookAheadBytes || l.waits() || w.active() > w.slots) {
		return 0
	}
	n := max(int((lookAhead-l.load)/f.slow), 0)
	if n == 0 && (l.held == 0 || l.held == 1 && l.load < patient) {
		n = 1 // the one that runs, and one ahead
	}
	if f.slow > packable {
		n = min(n, 1)
	}
	return min(n, left)
}

// suspect reports whether the call is to travel without company, lest what it does
// to its worker hits others.
func suspect(c *procpool.Call) bool { return c.Slot.Suspect || c.Slot.Victims >= suspectAfter }

// victim reports whether the lane holds a call that was aboard so many dead workers
// that it is held to have started in this one. Such a call has no company.
func (l *lane) victim() bool {
	c := l.at(l.base)
	return c != nil && c.Slot.Victims >= suspectAfter
}

// unsend drops from the outbox what lies beyond limit.
func (l *lane) unsend(limit uint64) {
	kept := l.outbox[:0]
	for _, c := range l.outbox {
		if c.Slot.Seq <= limit {
			kept = append(kept, c)
		}
	}
	clear(l.outbox[len(kept):])
	l.outbox = kept
}
