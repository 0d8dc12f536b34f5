package shared

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// Item is an item that was taken out of a queue.
type Item[T any] struct {
	// Value is what was put.
	Value T
	// Delivery is how often the item has been delivered, this time included: above
	// 1 somebody had it before and did not come to its end.
	Delivery int

	grant  *grant
	keeper keeper
}

// Done says that the item is done and need not come back. It waits for the host's
// answer and for nothing else. The error matches [ErrNotHeld] where the item is not the
// caller's any more: it was done or returned before.
func (i *Item[T]) Done(ctx context.Context) error {
	g := i.grant
	args := sharedop.Args{Name: g.name, Ticket: g.ticket}
	_, err := perform(ctx, g.ex, queueDone, args, fmt.Sprintf("an item of queue %q was not done, or nobody knows", g.name))
	if err == nil {
		i.isDone()
	}
	runtime.KeepAlive(i)
	return err
}

// isDone takes note that the host has heard that the item is done.
func (i *Item[T]) isDone() {
	i.grant.given.Store(true)
	i.keeper.stop()
}

// Return puts the item back to the front of the queue, or among the dead letters if
// this was its last delivery. It does not block. It does nothing when the item is done
// or was returned before.
func (i *Item[T]) Return() {
	i.keeper.stop()
	i.grant.back(sharedop.Args{})
	runtime.KeepAlive(i)
}

// DeadLetter is an item that was delivered as often as it may be and never done.
type DeadLetter[T any] struct {
	// Value is what was put. It is the zero value where Err is set.
	Value T
	// Deliveries is how often it was delivered.
	Deliveries int
	// Err is a *procpool.CodecError where the item can't be decoded.
	Err error
}

// DeadLetters takes the items out that were delivered as often as they may be, the
// oldest first. At least 1000 are kept, and as many as the queue holds items; beyond
// that the oldest make room, which [Queue.Info] counts. When it fails it returns what
// it has got by then.
func (q *Queue[T]) DeadLetters(ctx context.Context, ex procpool.Executor) (letters []DeadLetter[T], err error) {
	for more := true; more; {
		reply, err := perform(ctx, ex, queueDead, q.args(), fmt.Sprintf("the dead letters of queue %q were not got", q.name))
		if err != nil {
			return letters, err
		}
		for _, l := range reply.Letters {
			v, err := decodeItem[T](sharedop.QueueDead, l.Value)
			letters = append(letters, DeadLetter[T]{Value: v, Deliveries: l.Deliveries, Err: err})
		}
		more = reply.More
	}
	return letters, nil
}

func isClosed(err error) bool { return errors.Is(err, ErrQueueClosed) }

// encodeItem and decodeItem guard against types whose own methods panic.

func encodeItem(v any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encoding %T panicked: %v", v, p)
		}
		if err != nil {
			data, err = nil, &procpool.CodecError{Task: sharedop.QueuePut, Codec: procpool.CBOR.Name(), Op: "encode an item", Err: err}
		}
	}()
	return procpool.CBOR.Append(nil, v)
}

func decodeItem[T any](operation string, data []byte) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding %T panicked: %v", v, p)
		}
		if err != nil {
			var zero T
			v, err = zero, &procpool.CodecError{Task: operation, Codec: procpool.CBOR.Name(), Op: "decode an item", Err: err}
		}
	}()
	err = procpool.CBOR.Decode(data, &v)
	return v, err
}
