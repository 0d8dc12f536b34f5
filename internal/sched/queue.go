package sched

import "github.com/procpool/procpool"

// queue is the calls that wait for a worker, in order, and the submitters that
// wait for room in it. The scheduler's lock guards it.
type queue struct {
	head, tail *procpool.Call
	n          int   // calls; a pack counts once
	bytes      int64 // of their payloads

	turns []chan struct{} // blocked submitters, the first first
}

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

func (q *queue) pushFront(c *procpool.Call) {
	c.Slot.Mark, c.Slot.Owner = markQueued, nil
	c.Slot.Prev, c.Slot.Next = nil, q.head
	if q.head == nil {
		q.tail = c
	} else {
		q.head.Slot.Prev = c
	}
	q.head = c
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

// wait queues a submitter; the channel is closed when it may try again.
func (q *queue) wait() chan struct{} {
	turn := make(chan struct{})
	q.turns = append(q.turns, turn)
	return turn
}

// leave takes back a submitter that gave up. One that was let in already passes
// its turn on.
func (q *queue) leave(turn chan struct{}) {
	for i, t := range q.turns {
		if t == turn {
			q.turns = append(q.turns[:i], q.turns[i+1:]...)
			return
		}
	}
	q.admit(1)
}

// admit lets the first n submitters try again.
func (q *queue) admit(n int) {
	n = min(n, len(q.turns))
	for _, turn := range q.turns[:n] {
		close(turn)
	}
	q.turns = q.turns[n:]
	if len(q.turns) == 0 {
		q.turns = nil
	}
}
