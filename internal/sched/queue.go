package sched

import (
	"slices"

	"github.com/procpool/procpool"
)

// queue is the calls that wait for a worker, in order, and the submitters that
// wait for room in it. The scheduler's lock guards it.
type queue struct {
	head, tail *procpool.Call
	n          int   // calls; a pack counts once
	bytes      int64 // of their payloads

	turns []*turn // blocked submitters, the first first
	// granted and grantedBytes are the room that belongs to submitters who
	// were let in and have not come yet.
	granted      int
	grantedBytes int64
}

// turn is a submitter's place in the line for room.
type turn struct {
	ready   chan struct{} // closed when there is room, or none is to be had
	cost    int64
	granted bool
}

// pushBack appends a call that was submitted.
func (q *queue) pushBack(c *procpool.Call) {
	c.Slot.Mark, c.Slot.Owner = markQueued, nil
	c.Slot.Prev, c.Slot.Next = q.tail, nil
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.Slot.Next = c
	}
	q.tail = c
	q.n++
	q.bytes += c.Slot.Cost
}

// pushFront puts the rest of the call that was first back.
func (q *queue) pushFront(c *procpool.Call) { q.insert(nil, c) }

// putBack puts a call back that was given out, among the others in the order in
// which they were submitted. That is at the front, or nearly.
func (q *queue) putBack(c *procpool.Call) {
	var after *procpool.Call
	for next := q.head; next != nil && next.Slot.Stamp < c.Slot.Stamp; next = next.Slot.Next {
		after = next
	}
	q.insert(after, c)
}

// insert puts a call, which is sealed, behind another, or first.
func (q *queue) insert(after, c *procpool.Call) {
	next := q.head
	if after != nil {
		next = after.Slot.Next
		after.Slot.Next = c
	} else {
		q.head = c
	}
	if next != nil {
		next.Slot.Prev = c
	} else {
		q.tail = c
	}
	c.Slot.Mark, c.Slot.Owner = markBack, nil
	c.Slot.Prev, c.Slot.Next = after, next
	q.n++
	q.bytes += c.Slot.Cost
}

func (q *queue) remove(c *procpool.Call) {
	prev, next := c.Slot.Prev, c.Slot.Next
	if prev == nil {
		q.head = next
	} else {
		prev.Slot.Next = next
	}
	if next == nil {
		q.tail = prev
	} else {
		next.Slot.Prev = prev
	}
	c.Slot.Prev, c.Slot.Next = nil, nil
	q.n--
	q.bytes -= c.Slot.Cost
}

// wait puts a submitter at the end of the line.
func (q *queue) wait(cost int64) *turn {
	t := &turn{ready: make(chan struct{}), cost: cost}
	q.turns = append(q.turns, t)
	return t
}

// leave takes a submitter out of the line and reports whether it was let in; the
// room it was granted is free again, to be used at once.
func (q *queue) leave(t *turn) (granted bool) {
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
