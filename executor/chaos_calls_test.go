//go:build unix

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// record is a call of the chaos test and what is known of it.
type record struct {
	order  order
	task   string
	future *procpool.Future[answer] // nil for an item of a Map
	told   atomic.Int32             // how often OnDone was called

	// What its caller does to it.
	cancelled   bool // gives it up, by Cancel or through the context
	deadline    bool // has no more than so much patience
	maybeFull   bool // does not wait for room
	rerun       int  // allows so many attempts more
	wonByCancel bool // Cancel said that it decided the outcome

	got  answer
	err  error
	over bool // the outcome is known; it is not for an item that its reader left
}

// caller makes calls until its context ends, and returns when all of them have an
// outcome.
func (c *chaos) caller(ctx context.Context, rng *rand.Rand) (made []*record) {
	var open []*record
	for ctx.Err() == nil {
		if rng.IntN(40) == 0 {
			made = append(made, c.mapSome(rng)...)
			continue
		}
		n := 1
		if rng.IntN(20) == 0 {
			n = 1 + rng.IntN(150) // enough that some are sent ahead
		}
		for range n {
			r := c.call(rng, n > 1)
			open = append(open, r)
		}
		for len(open) > 100 || len(open) > 0 && rng.IntN(8) > 0 && n == 1 {
			c.await(open[0])
			made, open = append(made, open[0]), open[1:]
		}
	}
	for _, r := range open {
		c.await(r)
	}
	return append(made, open...)
}

// newOrder chooses what a call does.
func (c *chaos) newOrder(rng *rand.Rand, burst bool) (task *procpool.Func[order, answer], o order) {
	o.ID = int(c.ids.Add(1))
	up := func(most time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(most))) }
	n := rng.IntN(1000)
	if burst {
		n %= 500
	}
	switch {
	case n < 490:
		return chaosTiny, o
	case n < 500:
		o.How = []string{endFail, endPanic, endGoexit, endExit, endKill, endKill}[rng.IntN(6)]
		return chaosEnd, o
	case n < 700:
		o.For = up(20 * time.Millisecond)
		return chaosNap, o
	case n < 850:
		o.For = up(5 * time.Millisecond)
		return chaosSpin, o
	case n < 880:
		o.For = up(200 * time.Millisecond)
		return chaosDeaf, o
	case n < 980:
		return chaosTiny, o
	default:
		o.Data = blob(o.ID, 1<<(10+rng.IntN(11)))
		return chaosBlob, o
	}
}

// blob makes data that no other call has.
func blob(id, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%8d", id), size/8)
}

// call submits a call, and gives some up: before they run, while they run, or when
// it is too late.
func (c *chaos) call(rng *rand.Rand, burst bool) *record {
	task, o := c.newOrder(rng, burst)
	r := &record{order: o, task: task.Name()}
	ctx, giveUp := c.patienceFor(rng, r)
	var opts []procpool.Option
	if rng.IntN(20) == 0 {
		r.maybeFull = true
		opts = append(opts, procpool.NoWait())
	}
	r.future = task.Submit(ctx, c.pool, o, opts...)
	r.future.OnDone(func() { r.told.Add(1) })
	switch {
	case r.cancelled:
		pause(c.t.Context(), rng.IntN(5)*rng.IntN(5))
		giveUp()
	case r.deadline:
		r.future.OnDone(giveUp) // which is no news then
	}
	return r
}

// patienceFor chooses how long a call's caller waits for it, and returns how to end
// that.
func (c *chaos) patienceFor(rng *rand.Rand, r *record) (context.Context, func()) {
	ctx := c.t.Context()
	switch rng.IntN(20) {
	case 0:
		r.deadline = true
		return context.WithTimeout(ctx, time.Duration(rng.Int64N(int64(20*time.Millisecond))))
	case 1:
		r.cancelled = true
		return context.WithCancel(ctx)
	case 2:
		r.cancelled = true
		return ctx, func() { r.wonByCancel = r.future.Cancel() }
	}
	return ctx, nil
}

// await takes a call's outcome.
func (c *chaos) await(r *record) {
	within := patience
	if c.t.Failed() { // where one call is stuck, many are
		within = time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	r.got, r.err = r.future.Result(ctx)
	r.over = true
	if errors.Is(r.err, procpool.ErrNotDone) {
		c.t.Errorf("call %d (%s) has no outcome after %v: %+v", r.order.ID, r.task, within, r.future.Info())
	}
}

// mapSome maps over some calls, and may leave early.
func (c *chaos) mapSome(rng *rand.Rand) (items []*record) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	n, leaveAt := 1+rng.IntN(600), -1
	if rng.IntN(4) == 0 {
		leaveAt = rng.IntN(n)
	}
	task := chaosTiny
	deadly := rng.IntN(2) == 0
	if deadly {
		task = chaosEnd
	}
	var mu sync.Mutex // the input is pulled in a goroutine of Map's
	inputs := func(yield func(order) bool) {
		for range n {
			r := &record{order: order{ID: int(c.ids.Add(1))}, task: task.Name()}
			if deadly && rng.IntN(100) == 0 {
				r.order.How = endKill
			}
			mu.Lock()
			items = append(items, r)
			mu.Unlock()
			if !yield(r.order) {
				return
			}
		}
	}
	i := 0
	for got, err := range task.Map(ctx, c.pool, inputs) {
		if errors.Is(err, procpool.ErrClosed) && c.closing.Load() {
			return items
		}
		mu.Lock()
		r := items[i]
		mu.Unlock()
		r.got, r.err, r.over = got, err, true
		if i++; i == leaveAt {
			return items
		}
	}
	if i != n && leaveAt < 0 && !c.closing.Load() {
		c.t.Errorf("Map gave %d results for %d items", i, n)
	}
	return items
}
