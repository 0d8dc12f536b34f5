//go:build unix

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
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
	limited     bool // gives it a Timeout
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
		switch n := rng.IntN(30); {
		case n == 0:
			made = append(made, c.stream(rng))
		case n == 1 && rng.IntN(2) == 0:
			made = append(made, c.talk(rng))
		case n == 2:
			made = append(made, c.tally(rng)...)
		case n < 6 && c.nests:
			parent, kids := c.nest(rng)
			open, made = append(open, parent), append(made, kids...)
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
	if rng.IntN(10) == 0 {
		task = task.KeyBy(func(o order) string { return strconv.Itoa(o.ID % 7) })
	}
	r.future = task.Submit(ctx, c.pool, o, c.options(rng, r)...)
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

// options chooses what else is special about a call.
func (c *chaos) options(rng *rand.Rand, r *record) (opts []procpool.Option) {
	one := func(in int) bool { return rng.IntN(in) == 0 }
	if one(20) {
		r.maybeFull = true
		opts = append(opts, procpool.NoWait())
	}
	if one(20) {
		r.limited = true
		opts = append(opts, procpool.Timeout(time.Millisecond+time.Duration(rng.Int64N(int64(20*time.Millisecond)))))
	}
	if one(5) {
		opts = append(opts, procpool.Priority(rng.IntN(7)-3))
	}
	if one(6) {
		opts = append(opts, r.mayRunAgain(rng)...)
	}
	return opts
}

func (r *record) mayRunAgain(rng *rand.Rand) []procpool.Option {
	opts := []procpool.Option{procpool.Backoff(time.Millisecond, 20*time.Millisecond)}
	if rng.IntN(2) == 0 {
		r.rerun = 2
		return append(opts, procpool.Idempotent())
	}
	r.rerun = 1 + rng.IntN(3)
	return append(opts, procpool.Retries(r.rerun))
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
