package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/procpool/procpool"
)

// warmUp is how many calls a pool has served before anything is counted.
const warmUp = 2000

// openPool starts a pool and makes it serve a few calls, so that every worker
// is up.
func openPool(ctx context.Context, c poolConfig) (pool, error) {
	p, err := newPool(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := submitAndCollect(ctx, p, make([]*procpool.Future[int], warmUp)); err != nil {
		return nil, closeAfter(p, err)
	}
	return p, nil
}

// futuresRun submits every call, then collects every result: "procpool".
type futuresRun struct {
	pool
	count int
	// lifetime derives the context of the calls.
	lifetime func(context.Context) (context.Context, context.CancelFunc)
}

func openFutures(ctx context.Context, count int, lifetime func(context.Context) (context.Context, context.CancelFunc)) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &futuresRun{pool: p, count: count, lifetime: lifetime}, nil
}

// The lifetimes of calls.
func forever(context.Context) (context.Context, context.CancelFunc) {
	return context.Background(), func() {}
}

func cancellable(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 10*time.Minute)
}

// Round measures one batch: the rate, the host's allocations and the CPU time
// of host and workers together.
func (r *futuresRun) Round(ctx context.Context) (figures, error) {
	ctx, cancel := r.lifetime(ctx)
	defer cancel()
	futures := make([]*procpool.Future[int], r.count)
	if err := submitAndCollect(ctx, r.pool, futures[:min(warmUp, r.count)]); err != nil {
		return nil, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := startCPUOfChildren()
	start := time.Now()
	if err := submitAndCollect(ctx, r.pool, futures); err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	got := figures{}
	cpu.perCall(got, "cpu_us", r.count)
	runtime.ReadMemStats(&after)
	got["per_second"] = float64(r.count) / elapsed.Seconds()
	got["allocations"] = float64(after.Mallocs-before.Mallocs) / float64(r.count)
	return got, nil
}

// submitAndCollect fills the slice with futures and takes all their results.
func submitAndCollect(ctx context.Context, p pool, futures []*procpool.Future[int]) error {
	for i := range futures {
		futures[i] = same.Submit(ctx, p, i)
	}
	for i, future := range futures {
		n, err := future.Result(ctx)
		if err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		if n != i {
			return fmt.Errorf("call %d came back as %d", i, n)
		}
	}
	return nil
}

// mapRun maps over ints.
type mapRun struct {
	pool
	count int
}

func openMap(ctx context.Context, count int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &mapRun{pool: p, count: count}, nil
}

// Round maps once over all items.
func (r *mapRun) Round(ctx context.Context) (figures, error) {
	numbers := func(yield func(int) bool) {
		for i := range r.count {
			if !yield(i) {
				return
			}
		}
	}
	start := time.Now()
	next := 0
	for n, err := range same.Map(ctx, r.pool, numbers) {
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", next, err)
		}
		if n != next {
			return nil, fmt.Errorf("item %d came back as %d", next, n)
		}
		next++
	}
	elapsed := time.Since(start)
	if next != r.count {
		return nil, fmt.Errorf("the map gave %d results for %d items", next, r.count)
	}
	return figures{"per_second": float64(r.count) / elapsed.Seconds()}, nil
}

// queuedRun measures what a queued call costs its host in memory.
type queuedRun struct{ count int }

// Round blocks the workers of a new pool and queues calls behind them. Heap and
// stacks are both counted, because a pool may keep a goroutine per call.
func (r queuedRun) Round(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := newPool(ctx, poolConfig{workers: workers, queueSize: r.count + workers})
	if err != nil {
		return nil, err
	}
	for range workers {
		if err := waitStarted(ctx, block.Submit(ctx, p, struct{}{})); err != nil {
			return nil, closeAfter(p, err)
		}
	}
	futures := make([]*procpool.Future[int], r.count)
	before := memoryInUse()
	for i := range futures {
		futures[i] = same.Submit(context.Background(), p, i)
	}
	grown := memoryInUse() - before
	for i, future := range futures {
		if state := future.State(); state != procpool.Queued {
			return nil, closeAfter(p, fmt.Errorf("call %d is %s although every worker is blocked", i, state))
		}
	}
	return figures{"bytes": grown / float64(r.count)}, closeAfter(p, nil)
}

// Close does nothing: a pool lasts for a round.
func (queuedRun) Close() error { return nil }

func memoryInUse() float64 {
	runtime.GC()
	runtime.GC() // the second collects what finalizers and pools held on to
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapInuse + stats.StackInuse)
}
