package sched

import (
	"math"
	"slices"

	"github.com/procpool/procpool"
)

// queue is the calls that wait for a worker, and the submitters that wait for room
// in it. The scheduler's lock guards it.
type queue struct {
	lines       // the calls that any worker may take
	n     int   // calls, those that wait for a worker of their own included; a pack counts once
	bytes int64 // of their payloads

	turns []*turn // blocked submitters, the first first
	// granted and grantedBytes are the room that belongs to submitters who
	// were let in and have not come yet.
	granted      int
	grantedBytes int64
}

// lines are calls that wait, one line for each priority, the highest first. Empty
// lines stay: there are few priorities.
type lines struct {
	all   []*line
	count int
}

// line is the calls of one priority in the order of their submission.
type line struct {
	priority   int
	head, tail *procpool.Call
}

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

func (q *lines) line(priority int) *line {
	for i, l := range q.all {
		if l.priority == priority {
			return l
		}
		if l.priority < priority {
			q.all = slices.Insert(q.all, i, &line{priority: priority})
			return q.all[i]
		}
	}
	q.all = append(q.all, &line{priority: priority})
	return q.all[len(q.all)-1]
}

// pushBack appends a call.
func (q *lines) pushBack(c *procpool.Call) {
	l := q.line(c.Priority())
	l.insert(l.tail, c)
	q.count++
}

// pushFront puts a call before all others of its priority.
func (q *lines) pushFront(c *procpool.Call) {
	q.line(c.Priority()).insert(nil, c)
	q.count++
}

// put puts a call that was given out among the others in the order in which they
// were submitted. That is at the front, or nearly.
func (q *lines) put(c *procpool.Call) {
	l := q.line(c.Priority())
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
	for _, from := range other.all {
		var after *procpool.Call
		to := q.line(from.priority)
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
	l := q.line(c.Priority())
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
	q.n++
	q.bytes += c.Slot.Cost
}

func (q *queue) leave(c *procpool.Call) {
	q.n--
	q.bytes -= c.Slot.Cost
}

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
