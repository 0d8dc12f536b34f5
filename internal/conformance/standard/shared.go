package standard

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/shared"
)

type sharedSteps struct {
	Steps []sharedStep `cbor:"steps" json:"steps"`
}

// sharedStep is an operation on shared state, or something that a call does between two.
type sharedStep struct {
	Operation string     `cbor:"operation" json:"operation"`
	Arguments sharedArgs `cbor:"arguments" json:"arguments"`
}

type sharedArgs struct {
	Name       string `cbor:"name" json:"name"`
	Size       int    `cbor:"size" json:"size"`
	Deliveries int    `cbor:"deliveries" json:"deliveries"`
	Count      int    `cbor:"count" json:"count"`
	Delta      int64  `cbor:"delta" json:"delta"`
	Value      any    `cbor:"value" json:"value"`
	Values     []any  `cbor:"values" json:"values"`
	Most       int    `cbor:"most" json:"most"`
	NoWait     bool   `cbor:"no_wait" json:"no_wait"`

	Mark   string `cbor:"mark" json:"mark"`
	Until  string `cbor:"until" json:"until"`
	Path   string `cbor:"path" json:"path"`
	Line   string `cbor:"line" json:"line"`
	Status int    `cbor:"status" json:"status"`
}

// sharer is a call that uses shared state, and what it has of that, by name.
type sharer struct {
	pool    procpool.Executor
	locks   had[*shared.Held]
	permits had[*shared.Permits]
	items   had[*shared.Item[any]]
}

// had are things of one kind, in the order in which they were got.
type had[T any] map[string][]T

func (h had[T]) got(name string, v T) { h[name] = append(h[name], v) }

// last takes what was got last.
func (h had[T]) last(name string) (v T, err error) {
	one, err := h.lastFew(name, 1)
	if err != nil {
		return v, err
	}
	return one[0], nil
}

// lastFew takes the n things that were got last.
func (h had[T]) lastFew(name string, n int) ([]T, error) {
	rest := len(h[name]) - n
	if rest < 0 {
		return nil, fmt.Errorf("%w: %d of %q are to be given back, and there are %d", shared.ErrNotHeld, n, name, len(h[name]))
	}
	few := h[name][rest:]
	h[name] = h[name][:rest:rest]
	return few, nil
}

// gives is what a step gives.
type gives = map[string]any

// sharing lists the function that uses shared state.
func sharing() []procpool.Task {
	return []procpool.Task{procpool.Define("shared", useShared)}
}

func useShared(ctx context.Context, s sharedSteps) ([]any, error) {
	u := &sharer{
		pool: procpool.ExecutorFrom(ctx), locks: make(had[*shared.Held]), permits: make(had[*shared.Permits]), items: make(had[*shared.Item[any]]),
	}
	results := []any{}
	for _, step := range s.Steps {
		value, err := u.do(ctx, step.Operation, step.Arguments)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			results = append(results, map[string]any{"error": err.Error(), "code": sharedCode(err)})
		default:
			results = append(results, map[string]any{"value": value})
		}
	}
	return results, nil
}

// do takes a step.
func (u *sharer) do(ctx context.Context, operation string, a sharedArgs) (gives, error) {
	switch operation {
	case "mutex.lock", "mutex.unlock":
		return u.mutex(ctx, operation, a)
	case "semaphore.acquire", "semaphore.release":
		return u.semaphore(ctx, operation, a)
	case "counter.add":
		total, err := shared.DefineCounter(a.Name).Add(ctx, u.pool, a.Delta)
		return gives{"total": total}, err
	case "queue.done", "queue.return":
		return u.giveBack(ctx, operation, a)
	case "hold":
		_, err := hold{Mark: a.Mark, Until: a.Until}.run(ctx, untilFile)
		return gives{}, err
	case "hold_out":
		_, err := hold{Mark: a.Mark, Until: a.Until}.run(context.WithoutCancel(ctx), untilFile)
		return gives{}, err
	case "note":
		return gives{}, noteLine(a.Path, a.Line)
	case "exit":
		os.Exit(a.Status)
	}
	return u.queue(ctx, operation, a)
}

func (u *sharer) mutex(ctx context.Context, operation string, a sharedArgs) (gives, error) {
	if operation == "mutex.unlock" {
		held, err := u.locks.last(a.Name)
		if err == nil {
			held.Unlock()
		}
		return gives{}, err
	}
	m := shared.DefineMutex(a.Name)
	lock := m.Lock
	if a.NoWait {
		lock = m.TryLock
	}
	held, err := lock(ctx, u.pool)
	if err != nil {
		return nil, err
	}
	u.locks.got(a.Name, held)
	return gives{"abandoned": held.Abandoned()}, nil
}

func (u *sharer) semaphore(ctx context.Context, operation string, a sharedArgs) (gives, error) {
	if operation == "semaphore.release" {
		permits, err := u.permits.last(a.Name)
		if err == nil {
			permits.Release()
		}
		return gives{}, err
	}
	s := shared.DefineSemaphore(a.Name, a.Size)
	acquire := s.Acquire
	if a.NoWait {
		acquire = s.TryAcquire
	}
	permits, err := acquire(ctx, u.pool, a.Count)
	if err != nil {
		return nil, err
	}
	u.permits.got(a.Name, permits)
	return gives{"abandoned": permits.Abandoned()}, nil
}

func (u *sharer) queue(ctx context.Context, operation string, a sharedArgs) (gives, error) {
	q := shared.DefineQueue[any](a.Name, a.Size, shared.Deliveries(a.Deliveries))
	switch operation {
	case "queue.put":
		if a.Values != nil {
			return gives{}, q.PutAll(ctx, u.pool, a.Values)
		}
		put := q.Put
		if a.NoWait {
			put = q.TryPut
		}
		return gives{}, put(ctx, u.pool, a.Value)
	case "queue.get":
		if a.Most > 0 {
			return u.getMany(ctx, q, a)
		}
		get := q.Get
		if a.NoWait {
			get = q.TryGet
		}
		item, err := get(ctx, u.pool)
		if err != nil {
			return nil, err
		}
		u.items.got(a.Name, item)
		return gives{"value": item.Value, "delivery": item.Delivery}, nil
	case "queue.join":
		return gives{}, q.Join(ctx, u.pool)
	case "queue.close":
		return gives{}, q.Close(ctx, u.pool)
	case "queue.dead":
		letters, err := q.DeadLetters(ctx, u.pool)
		all := []any{}
		for _, l := range letters {
			all = append(all, gives{"value": l.Value, "deliveries": l.Deliveries})
		}
		return gives{"letters": all}, err
	case "queue.info":
		i, err := q.Info(ctx, u.pool)
		return gives{"queued": i.Queued, "taken": i.Taken, "dead": i.Dead, "lost": i.Lost, "closed": i.Closed}, err
	}
	return nil, fmt.Errorf("shared has no operation %q", operation)
}

func (u *sharer) getMany(ctx context.Context, q *shared.Queue[any], a sharedArgs) (gives, error) {
	items, err := q.GetMany(ctx, u.pool, a.Most)
	all := []any{}
	for _, item := range items {
		u.items.got(a.Name, item)
		all = append(all, gives{"value": item.Value, "delivery": item.Delivery})
	}
	return gives{"items": all}, err
}

// giveBack gives an item back, done or not, or says of several that they are done.
func (u *sharer) giveBack(ctx context.Context, operation string, a sharedArgs) (gives, error) {
	if operation == "queue.done" && a.Count > 0 {
		items, err := u.items.lastFew(a.Name, a.Count)
		if err != nil {
			return nil, err
		}
		return gives{}, shared.DefineQueue[any](a.Name, a.Size, shared.Deliveries(a.Deliveries)).DoneAll(ctx, items)
	}
	item, err := u.items.last(a.Name)
	if err != nil {
		return nil, err
	}
	if operation == "queue.done" {
		return gives{}, item.Done(ctx)
	}
	item.Return()
	return gives{}, nil
}

// sharedCode is the protocol's word for an error.
func sharedCode(err error) string {
	for code, is := range map[string]error{
		"shared_mismatch": shared.ErrMismatch, "shared_not_held": shared.ErrNotHeld, "shared_would_block": shared.ErrWouldBlock,
		"shared_queue_closed": shared.ErrQueueClosed, "shared_limit": shared.ErrLimit,
	} {
		if errors.Is(err, is) {
			return code
		}
	}
	return ""
}
