package sharedstate

import (
	"container/heap"
	"container/list"
	"fmt"

	"github.com/procpool/procpool/internal/sharedop"
)

const (
	// minDead is how many dead letters are kept at least, before the oldest make
	// room for others.
	minDead = 1000
	// replyBytes is about how many bytes of items go into one reply.
	replyBytes = 1 << 20
)

// item is what was put into a queue.
type item struct {
	value      []byte
	number     uint64 // in the order in which they were put
	deliveries int
	cost       int // what it counts among Registry.items, 0 if the program has put it
}

// queue is a bounded queue whose items come back unless they are done.
type queue struct {
	is   definition
	last uint64
	// back are those that wait and were delivered before, fresh the others, which all
	// have higher numbers. They may be more than the size by what has come back.
	back       itemHeap
	fresh      list.List
	taken      int // items that somebody has got and that are not done
	unfinished int // items that were put and are not done, nor dead
	closed     bool
	dead       []*item
	lost       int // dead letters that were dropped

	puts, gets, joins list.List // those that wait
}

func (q *queue) definition() definition { return q.is }

func (q *queue) do(r *Registry, op *operation) bool {
	switch op.name {
	case sharedop.QueueClose:
		if op.answer(sharedop.Reply{}) {
			q.close(r, op)
		}
	case sharedop.QueueDead:
		q.letters(r, op)
	case sharedop.QueueInfo:
		op.answer(sharedop.Reply{Queued: q.waiting(), Taken: q.taken, Dead: len(q.dead), Lost: q.lost, Closed: q.closed})
	default:
		return false
	}
	return true
}

func (q *queue) begin(r *Registry, cl *claim, op *operation) {
	switch op.name {
	case sharedop.QueuePut:
		if q.closed {
			r.refuseLocked(cl, closedError(op.name, op.kind, op.args.Name))
			return
		}
		if cl.puts = op.args.Values; cl.puts == nil {
			cl.puts = [][]byte{op.args.Value}
		}
		cl.queueUp(&q.puts)
	case sharedop.QueueGet:
		cl.most = op.args.Most
		cl.queueUp(&q.gets)
	default:
		cl.queueUp(&q.joins)
	}
	q.serve(r)
}

func (q *queue) release(r *Registry, cl *claim, how release) {
	it := cl.item
	q.taken--
	if how == unseen {
		it.deliveries--
	}
	switch {
	case how == unlocked:
		q.unfinished--
		r.items -= it.cost
	case it.deliveries >= q.is.deliveries:
		q.unfinished--
		q.bury(r, it)
	default:
		heap.Push(&q.back, it)
	}
}

// waiting is how many items wait.
func (q *queue) waiting() int { return q.back.Len() + q.fresh.Len() }

// first returns the item that is delivered next, nil where there is none.
func (q *queue) first() *item {
	switch {
	case q.back.Len() > 0:
		return q.back[0]
	case q.fresh.Len() > 0:
		return q.fresh.Front().Value.(*item) //nolint:errcheck // it holds nothing else
	}
	return nil
}

// take takes the first items out, up to so many and to as many as go into one reply.
func (q *queue) take(most int) (items []*item) {
	size := 0
	for it := q.first(); it != nil && len(items) < most; it = q.first() {
		if size += len(it.value); size > replyBytes && len(items) > 0 {
			break
		}
		if q.back.Len() > 0 {
			heap.Pop(&q.back)
		} else {
			q.fresh.Remove(q.fresh.Front())
		}
		items = append(items, it)
	}
	return items
}

// bury keeps an item that was delivered as often as it may be.
func (q *queue) bury(r *Registry, it *item) {
	q.dead = append(q.dead, it)
	if len(q.dead) > max(minDead, q.is.size) {
		r.items -= q.dead[0].cost
		q.dead[0] = nil
		q.dead = q.dead[1:]
		q.lost++
	}
}

// serve does all that can be done for those who wait.
func (q *queue) serve(r *Registry) {
	for q.admit(r) || q.deliver(r) {
	}
	if q.closed && q.unfinished == 0 {
		for cl := first(&q.gets); cl != nil; cl = first(&q.gets) {
			cl.stepOut()
			r.refuseLocked(cl, closedError(sharedop.QueueGet, cl.kind, cl.name))
		}
	}
	if q.unfinished == 0 {
		for cl := first(&q.joins); cl != nil; cl = first(&q.joins) {
			cl.stepOut()
			r.grantLocked(cl, sharedop.Reply{})
		}
	}
}

// admit takes in the items of the first who wants to put some, if there is room for all.
func (q *queue) admit(r *Registry) bool {
	cl := first(&q.puts)
	if cl == nil || q.waiting()+len(cl.puts) > q.is.size {
		return false
	}
	cl.stepOut()
	isTasks := cl.holder.isCall()
	if isTasks && r.items+costOf(cl.puts...) > maxItemBytes {
		op := operation{kind: cl.kind, args: sharedop.Args{Name: cl.name}}
		r.refuseLocked(cl, op.failure(sharedop.CodeLimit, fmt.Sprintf("what tasks have put into queues of this pool would be more than %d bytes, as many as may be", maxItemBytes)))
		return true
	}
	if r.grantLocked(cl, sharedop.Reply{}) {
		for _, value := range cl.puts {
			q.last++
			it := &item{value: value, number: q.last}
			if isTasks {
				it.cost = costOf(value)
				r.items += it.cost
			}
			q.fresh.PushBack(it)
		}
		q.unfinished += len(cl.puts)
	}
	return true
}

// costOf is what items with these values take in memory, about.
func costOf(values ...[]byte) (bytes int) {
	for _, v := range values {
		bytes += itemBytes + len(v)
	}
	return bytes
}

// deliver gives the first item, or items, to the first who wants some.
func (q *queue) deliver(r *Registry) bool {
	cl := first(&q.gets)
	if cl == nil || q.first() == nil {
		return false
	}
	cl.stepOut()
	items := q.take(cl.holder.room(cl, max(cl.most, 1)))
	var reply sharedop.Reply
	if cl.most == 0 {
		reply.Value, reply.Delivery = items[0].value, items[0].deliveries+1
	} else {
		for _, it := range items {
			reply.Items = append(reply.Items, sharedop.Delivered{Value: it.value, Delivery: it.deliveries + 1})
		}
	}
	if !r.grantLocked(cl, reply) {
		for _, it := range items {
			heap.Push(&q.back, it)
		}
		return true
	}
	for i, it := range items {
		if i > 0 {
			cl = cl.next()
		}
		it.deliveries++
		q.taken++
		cl.item = it
	}
	return true
}

// next makes the claim of an item that was granted together with another's.
func (cl *claim) next() *claim {
	next := &claim{name: cl.name, kind: cl.kind, object: cl.object, holder: cl.holder, ticket: cl.ticket + 1, state: holds}
	cl.holder.add(next)
	return next
}

// close says that no more items come.
func (q *queue) close(r *Registry, op *operation) {
	q.closed = true
	for cl := first(&q.puts); cl != nil; cl = first(&q.puts) {
		cl.stepOut()
		r.refuseLocked(cl, closedError(sharedop.QueuePut, op.kind, op.args.Name))
	}
	q.serve(r)
}

func closedError(operationName, kind, name string) error {
	op := operation{name: operationName, kind: kind, args: sharedop.Args{Name: name}}
	return op.failure(sharedop.CodeQueueClosed, "it is closed")
}

// letters takes out dead letters, the oldest first, as many as go into one reply.
func (q *queue) letters(r *Registry, op *operation) {
	var reply sharedop.Reply
	size := 0
	for _, it := range q.dead {
		if size += len(it.value); size > replyBytes && len(reply.Letters) > 0 {
			reply.More = true
			break
		}
		reply.Letters = append(reply.Letters, sharedop.Letter{Value: it.value, Deliveries: it.deliveries})
	}
	if op.answer(reply) {
		n := len(reply.Letters)
		for _, it := range q.dead[:n] {
			r.items -= it.cost
		}
		clear(q.dead[:n])
		q.dead = q.dead[n:]
	}
}
