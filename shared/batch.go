package shared

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// PutAll puts items into the queue, all at once, next to each other and in their order.
// It blocks until there is room for all, at most until ctx ends; whoever puts something
// later waits behind it. More than the queue holds are an error. Otherwise it is as Put:
// either all were put or none. From a task it costs about as much as to put one.
func (q *Queue[T]) PutAll(ctx context.Context, ex procpool.Executor, items []T) error {
	if len(items) == 0 {
		return ctx.Err()
	}
	args := q.args()
	for _, v := range items {
		value, err := encodeItem(v)
		if err != nil {
			return err
		}
		args.Values = append(args.Values, value)
	}
	_, err := perform(ctx, ex, queuePut, args, fmt.Sprintf("%d items were not put into queue %q, or nobody knows", len(items), q.name))
	return err
}

// GetMany takes the first items out of the queue, at most so many, and at most about a
// MiB of them. It waits as Get does until there is one, and not for more. Each is done
// or returned by itself, or see [Queue.DoneAll]. most is between 1 and 16,384.
//
// Items that can't be decoded are returned to the queue, which counts as a delivery. The
// error is then a *procpool.CodecError, beside those that can.
func (q *Queue[T]) GetMany(ctx context.Context, ex procpool.Executor, most int) ([]*Item[T], error) {
	if most < 1 || most > sharedop.MaxBatch {
		return nil, fmt.Errorf("procpool: GetMany of queue %q: asked for %d items, it gives between 1 and %d", q.name, most, sharedop.MaxBatch)
	}
	args := q.args()
	args.Most = most
	first, reply, err := acquire(ctx, ex, queueGet, queueReturn, args, fmt.Sprintf("nothing was got from queue %q", q.name))
	if err != nil {
		return nil, err
	}
	items := make([]*Item[T], 0, len(reply.Items))
	var errs []error
	for i, got := range reply.Items {
		g := first
		if i > 0 {
			g = &grant{ctx: first.ctx, ex: first.ex, give: first.give, name: first.name, ticket: first.ticket + uint64(i)}
		}
		item, err := q.item(g, got, reply)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		items = append(items, item)
	}
	return items, errors.Join(errs...)
}

// DoneAll says of items of this queue that they are done, all at once, 16,384 at the
// most. It waits for the
// host's answer and for nothing else. Where one of them is not the caller's any more, or
// is there twice, the error says so and none is done.
func (q *Queue[T]) DoneAll(ctx context.Context, items []*Item[T]) error {
	if len(items) == 0 {
		return ctx.Err()
	}
	args := sharedop.Args{Name: q.name}
	for _, item := range items {
		if item.grant.name != q.name {
			return fmt.Errorf("procpool: %d items of queue %q are not done: one of them is of queue %q: %w", len(items), q.name, item.grant.name, ErrNotHeld)
		}
		args.Tickets = append(args.Tickets, item.grant.ticket)
	}
	_, err := perform(ctx, items[0].grant.ex, queueDone, args, fmt.Sprintf("%d items of queue %q were not done, or nobody knows", len(items), q.name))
	if err == nil {
		for _, item := range items {
			item.isDone()
		}
	}
	runtime.KeepAlive(items)
	return err
}
