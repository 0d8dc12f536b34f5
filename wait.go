package procpool

import (
	"context"
	"fmt"
	"iter"
)

// A Waitable is a future of any type.
type Waitable interface {
	// Done returns a channel that is closed when the future is resolved.
	Done() <-chan struct{}
	base() *Call
}

// WaitFor says what [Wait] waits for.
type WaitFor uint8

// What Wait can wait for.
const (
	// UntilAll waits until all futures are resolved.
	UntilAll WaitFor = iota
	// UntilFirst waits until one is resolved.
	UntilFirst
	// UntilError waits until one has failed, or all are resolved.
	UntilError
)

// arrivals hears of the end of calls, each once, in the order of their ends.
type arrivals struct {
	calls   []*Call // distinct
	waiters []waiter
	ended   chan int
}

func watch(calls []*Call) *arrivals {
	a := &arrivals{calls: make([]*Call, 0, len(calls))}
	seen := make(map[*Call]bool, len(calls))
	for _, c := range calls {
		if !seen[c] {
			seen[c] = true
			a.calls = append(a.calls, c)
		}
	}
	a.ended = make(chan int, len(a.calls))
	a.waiters = make([]waiter, len(a.calls))
	for i, c := range a.calls {
		w := &a.waiters[i]
		w.ended, w.index = a.ended, i
		if !c.addWaiter(w) {
			a.ended <- i
		}
	}
	return a
}

// next returns the next call that ended; what has ended wins over ctx.
func (a *arrivals) next(ctx context.Context) (int, bool) {
	select {
	case i := <-a.ended:
		return i, true
	default:
	}
	select {
	case i := <-a.ended:
		return i, true
	case <-ctx.Done():
		return 0, false
	}
}

// leave says that nobody listens any more.
func (a *arrivals) leave() {
	for i := range a.waiters {
		a.waiters[i].left.Store(true)
	}
}

func (a *arrivals) notDone(ctx context.Context, arrived int) error {
	return notDone(ctx, fmt.Sprintf("%d (of %d) unfinished futures", len(a.calls)-arrived, len(a.calls)))
}

// AsCompleted yields the futures as they are resolved, those that already are
// first. A future given twice is yielded once. It ends when all were yielded,
// or when ctx ends: ask ctx.Err which it was.
func AsCompleted[T any](ctx context.Context, fs ...*Future[T]) iter.Seq[*Future[T]] {
	return func(yield func(*Future[T]) bool) {
		calls := make([]*Call, len(fs))
		owner := make(map[*Call]*Future[T], len(fs))
		for i, f := range fs {
			calls[i] = &f.call
			owner[&f.call] = f
		}
		a := watch(calls)
		defer a.leave()
		for range a.calls {
			i, ok := a.next(ctx)
			if !ok || !yield(owner[a.calls[i]]) {
				return
			}
		}
	}
}

// Wait blocks until the futures are resolved as far as until says. It returns
// nil then, whatever their outcomes. When ctx ends first the error matches
// [ErrNotDone], wraps the context's cause and tells how many are unfinished.
// Futures of different types may be mixed; one given twice counts once.
func Wait(ctx context.Context, until WaitFor, fs ...Waitable) error {
	calls := make([]*Call, len(fs))
	for i, f := range fs {
		calls[i] = f.base()
	}
	a := watch(calls)
	defer a.leave()
	for n := range a.calls {
		i, ok := a.next(ctx)
		if !ok {
			return a.notDone(ctx, n)
		}
		if until == UntilFirst || until == UntilError && a.calls[i].err != nil {
			return nil
		}
	}
	return nil
}

// All waits for all futures and returns their results in the order given. It
// returns early with the error of the first that fails; the others go on. When
// ctx ends first the error matches [ErrNotDone].
func All[T any](ctx context.Context, fs ...*Future[T]) ([]T, error) {
	calls := make([]*Call, len(fs))
	for i, f := range fs {
		calls[i] = &f.call
	}
	a := watch(calls)
	defer a.leave()
	for n := range a.calls {
		i, ok := a.next(ctx)
		if !ok {
			return nil, a.notDone(ctx, n)
		}
		if err := a.calls[i].err; err != nil {
			return nil, err
		}
	}
	results := make([]T, len(fs))
	for i, f := range fs {
		var err error
		if results[i], err = f.outcome(); err != nil {
			return nil, err
		}
	}
	return results, nil
}
