package shared

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// Queue is a bounded queue of work. An item that was taken out is not gone before it is
// done: if whoever has it ends first, it goes back. It is a handle, immutable and safe
// for concurrent use.
//
// T is encoded as the arguments of tasks are, with procpool.CBOR.
type Queue[T any] struct {
	name       string
	capacity   int
	deliveries int
}

// A QueueOption is an option of [DefineQueue].
type QueueOption func(*queueOptions)

type queueOptions struct{ deliveries int }

// Deliveries has an item delivered n times at the most, 3 by default. One that was not
// done by then is kept among the dead letters (see [Queue.DeadLetters]). It panics when
// n is below 1 or above 2,147,483,647.
func Deliveries(n int) QueueOption {
	if n < 1 || n > math.MaxInt32 {
		panic(fmt.Sprintf("procpool/shared: Deliveries(%d): an item is delivered between 1 and %d times", n, math.MaxInt32))
	}
	return func(o *queueOptions) { o.deliveries = n }
}

// DefineQueue makes a handle on the queue of that name, in which capacity items may
// wait. It panics when name is empty, longer than 1 KiB, or no UTF-8 text, and when
// capacity is below 1 or above 2,147,483,647.
func DefineQueue[T any](name string, capacity int, opts ...QueueOption) *Queue[T] {
	checkName("DefineQueue", name)
	if capacity < 1 || capacity > math.MaxInt32 {
		panic(fmt.Sprintf("procpool/shared: DefineQueue(%q, %d): a queue holds between 1 and %d items", name, capacity, math.MaxInt32))
	}
	o := queueOptions{deliveries: 3}
	for _, set := range opts {
		set(&o)
	}
	return &Queue[T]{name: name, capacity: capacity, deliveries: o.deliveries}
}

// Name returns the queue's name.
func (q *Queue[T]) Name() string { return q.name }

func (q *Queue[T]) args() sharedop.Args {
	return sharedop.Args{Name: q.name, Size: q.capacity, Deliveries: q.deliveries}
}

// Put puts an item into the queue. It blocks while the queue is full, at most until ctx
// ends. Of a queue that is closed, before or meanwhile, the error matches
// [ErrQueueClosed]; in a task it may match [ErrLimit]. In a task whose ctx ends the error
// does not tell whether the item was put.
func (q *Queue[T]) Put(ctx context.Context, ex procpool.Executor, v T) error {
	return q.put(ctx, ex, v, q.args())
}

// TryPut puts an item into the queue if there is room at once, else the error matches
// [ErrWouldBlock].
func (q *Queue[T]) TryPut(ctx context.Context, ex procpool.Executor, v T) error {
	args := q.args()
	args.NoWait = true
	return q.put(ctx, ex, v, args)
}

func (q *Queue[T]) put(ctx context.Context, ex procpool.Executor, v T, args sharedop.Args) (err error) {
	if args.Value, err = encodeItem(v); err != nil {
		return err
	}
	_, err = perform(ctx, ex, queuePut, args, fmt.Sprintf("nothing was put into queue %q, or nobody knows", q.name))
	return err
}

// Get takes the first item out of the queue. It blocks while there is none, at most
// until ctx ends. Who asks first gets the first.
//
// Of a queue that is closed the error matches [ErrQueueClosed] when every item is done:
// as long as others have some, these may come back. So call Done before the next Get.
//
// An item that can't be decoded is returned to the queue, which counts as a delivery,
// and the error is a *procpool.CodecError.
func (q *Queue[T]) Get(ctx context.Context, ex procpool.Executor) (*Item[T], error) {
	return q.get(ctx, ex, q.args())
}

// TryGet takes the first item out of the queue if there is one, else the error matches
// [ErrWouldBlock].
func (q *Queue[T]) TryGet(ctx context.Context, ex procpool.Executor) (*Item[T], error) {
	args := q.args()
	args.NoWait = true
	return q.get(ctx, ex, args)
}

func (q *Queue[T]) get(ctx context.Context, ex procpool.Executor, args sharedop.Args) (*Item[T], error) {
	g, reply, err := acquire(ctx, ex, queueGet, queueReturn, args, fmt.Sprintf("nothing was got from queue %q", q.name))
	if err != nil {
		return nil, err
	}
	return q.item(g, sharedop.Delivered{Value: reply.Value, Delivery: reply.Delivery}, reply)
}

// item makes an item of what was got. What can't be decoded goes back.
func (q *Queue[T]) item(g *grant, got sharedop.Delivered, reply sharedop.Reply) (*Item[T], error) {
	item := &Item[T]{Delivery: got.Delivery, grant: g}
	var err error
	if item.Value, err = decodeItem[T](sharedop.QueueGet, got.Value); err != nil {
		g.back(sharedop.Args{})
		return nil, err
	}
	item.keeper = keep(item, g, reply)
	return item, nil
}

// All gets items until the queue is closed and all are done; any other error is yielded
// and ends it. Whoever ranges over it calls Done for each item.
func (q *Queue[T]) All(ctx context.Context, ex procpool.Executor) iter.Seq2[*Item[T], error] {
	return func(yield func(*Item[T], error) bool) {
		for {
			item, err := q.Get(ctx, ex)
			if isClosed(err) || !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// Join waits until every item that was put is done or a dead letter, at most until ctx
// ends. Items may be put meanwhile.
func (q *Queue[T]) Join(ctx context.Context, ex procpool.Executor) error {
	_, err := perform(ctx, ex, queueJoin, q.args(), fmt.Sprintf("not all of queue %q was seen to be done", q.name))
	return err
}

// Close says that no more items will be put: Put fails from now on, also where it
// waits. Those that are there are still got.
func (q *Queue[T]) Close(ctx context.Context, ex procpool.Executor) error {
	_, err := perform(ctx, ex, queueClose, q.args(), fmt.Sprintf("queue %q was not closed", q.name))
	return err
}

// QueueInfo is what there is in a queue at a moment.
type QueueInfo struct {
	// Queued is how many items wait, Taken how many somebody has.
	Queued, Taken int
	// Dead is how many dead letters there are, Lost how many were dropped to make
	// room for others.
	Dead, Lost int
	// Closed says whether the queue is closed.
	Closed bool
}

// Info tells what there is in the queue.
func (q *Queue[T]) Info(ctx context.Context, ex procpool.Executor) (QueueInfo, error) {
	r, err := perform(ctx, ex, queueInfo, q.args(), fmt.Sprintf("queue %q was not looked at", q.name))
	return QueueInfo{Queued: r.Queued, Taken: r.Taken, Dead: r.Dead, Lost: r.Lost, Closed: r.Closed}, err
}
