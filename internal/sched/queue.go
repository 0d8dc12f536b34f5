package sched

import (
	"cmp"
	"math"
	"slices"

	"github.com/procpool/procpool"
)

// queue is the calls that wait for a worker, and the submitters that wait for room
// in it. The scheduler's lock guards it.
type queue struct {
	lines        // the calls that any worker may take
	nested int   // those that are nested, which have bounds of their own
	n      int   // the others, those that wait for a worker of their own included; a pack counts once
	bytes  int64 // of the payloads of these

	turns []*turn // blocked submitters, the first first
	// granted and grantedBytes are the room that belongs to submitters who
	// were let in and have not come yet.
	granted      int
	grantedBytes int64
}

// lines are calls that wait, one line for each rank, the highest first. Empty lines
// stay, but for those of nested calls: there are few priorities.
type lines struct {
	all   []*line
	count int
}

// line is the calls of one rank in the order of their submission.
type line struct {
	rank       int
	head, tail *procpool.Call
}

// rank orders what waits: of two calls the one that is nested more deeply goes first,
// and of those the one of the higher priority.
func rank(c *procpool.Call) int { return int(c.Slot.Depth)<<8 + c.Priority() }

// compare is below 0 when a goes before b, above when b goes before a. nil goes last.
func compare(a, b *procpool.Call) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a.Slot.Stamp, b.Slot.Stamp))
}

// nested reports whether a task has made the call.
func nested(c *procpool.Call) bool { return c.Slot.Depth > 0 }

// first returns the call whose turn it is, nil when none waits.
func (q *lines) first() *procpool.Call {
	for _, l := range q.all {
		if l.head != nil {
			return l.head
		}
	}
	return nil
}

// oldest returns when the call came that was submitted first of all that wait.
func (q *lines) oldest() int64 {
	stamp := int64(math.MaxInt64)
	for _, l := range q.all {
		if l.head != nil {
			stamp = min(stamp, l.head.Slot.Stamp)
		}
	}
	return stamp
}

func (q *lines) line(rank int) *line {
	for i, l := range q.all {
		if l.rank == rank {
			return l
		}
		if l.rank < rank {
			q.all = slices.Insert(q.all, i, &line{rank: rank})
			return q.all[i]
		}
	}
	q.all = append(q.all, &line{rank: rank})
	return q.all[len(q.all)-1]
}

// pushBack appends a call.
func (q *lines) pushBack(c *procpool.Call) {
	l := q.line(rank(c))
	l.insert(l.tail, c)
	q.count++
}

// pushFront puts a call before all others of its rank.
func (q *lines) pushFront(c *procpool.Call) {
	q.line(rank(c)).insert(nil, c)
	q.count++
}

// put puts a call that was given out among the others in the order in which they
// were submitted. That is at the front, or nearly.
func (q *lines) put(c *procpool.Call) {
	l := q.line(rank(c))
	var after *procpool.Call
	for next := l.head; next != nil && next.Slot.Stamp < c.Slot.Stamp; next = next.Slot.Next {
		after = next
	}
	l.insert(after, c)
	q.count++
}

// merge puts all calls of other among those of q, in the order in which they were
// submitted, and makes them anybody's.
func (q *lines) merge(other *lines) {
	for _, from := range slices.Clone(other.all) { // lines go when they are empty
		var after *procpool.Call
		to := q.line(from.rank)
		for c := from.head; c != nil; c = from.head {
			other.remove(c)
			c.Slot.Owner = nil
			next := to.head
			if after != nil {
				next = after.Slot.Next
			}
			for ; next != nil && next.Slot.Stamp < c.Slot.Stamp; next = next.Slot.Next {
				after = next
			}
			to.insert(after, c)
			q.count++
			after = c
		}
	}
}

// remove takes a call out.
func (q *lines) remove(c *procpool.Call) {
	l := q.line(rank(c))
	prev, next := c.Slot.Prev, c.Slot.Next
	if prev == nil {
		l.head = next
	} else {
		prev.Slot.Next = next
	}
	if next == nil {
		l.tail = prev
	} else {
		next.Slot.Prev = prev
	}
	c.Slot.Prev, c.Slot.Next = nil, nil
	q.count--
	if l.head == nil && nested(c) {
		q.all = slices.DeleteFunc(q.all, func(other *line) bool { return other == l })
	}
}

// insert puts a call behind another, or first.
func (l *line) insert(after, c *procpool.Call) {
	next := l.head
	if after != nil {
		next = after.Slot.Next
		after.Slot.Next = c
	} else {
		l.head = c
	}
	if next != nil {
		next.Slot.Prev = c
	} else {
		l.tail = c
	}
	c.Slot.Prev, c.Slot.Next = after, next
}

// add counts a call that has come into the queue, leave one that has gone.
func (q *queue) add(c *procpool.Call) {
	if nested(c) {
		q.nested++
		return
	}
	q.n++
	q.bytes += c.Slot.Cost
}

func (q *queue) leave(c *procpool.Call) {
	if nested(c) {
		q.nested--
		return
	}
	q.n--
	q.bytes -= c.Slot.Cost
}

// waiting returns how many calls wait in all.
func (q *queue) waiting() int { return q.n + q.nested }

// turn is a submitter's place in the line for room.
type turn struct {
	ready   chan struct{} // closed when there is room, or none is to be had
	cost    int64
	granted bool
}

// wait puts a submitter at the end of the line.
func (q *queue) wait(cost int64) *turn {
	t := &turn{ready: make(chan struct{}), cost: cost}
	q.turns = append(q.turns, t)
	return t
}

// quit takes a submitter out of the line and reports whether it was let in; the
// room it was granted is free again, to be used at once.
func (q *queue) quit(t *turn) (granted bool) {
	if t.granted {
		q.granted--
		q.grantedBytes -= t.cost
		return true
	}
	if i := slices.Index(q.turns, t); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
	}
	return false
}

// grant lets the first submitter in.
func (q *queue) grant() {
	t := q.turns[0]
	q.turns[0] = nil
	if q.turns = q.turns[1:]; len(q.turns) == 0 {
		q.turns = nil
	}
	t.granted = true
	q.granted++
	q.grantedBytes += t.cost
	close(t.ready)
}

// disperse sends all blocked submitters away, to hear why they are refused.
func (q *queue) disperse() {
	for _, t := range q.turns {
		close(t.ready)
	}
	q.turns = nil
}
