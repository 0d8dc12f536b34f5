package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/shared"
)

// What the workers share.
var (
	benchLock  = shared.DefineMutex("bench")
	benchQueue = shared.DefineQueue[int]("bench_queue", 100)
)

var (
	// locks locks and unlocks so often.
	locks = procpool.Define("locks", func(ctx context.Context, count int) (int, error) {
		ex := procpool.ExecutorFrom(ctx)
		for range count {
			held, err := benchLock.Lock(ctx, ex)
			if err != nil {
				return 0, err
			}
			held.Unlock()
		}
		return count, nil
	})
	// puts puts the numbers below count into the queue.
	puts = procpool.Define("puts", func(ctx context.Context, count int) (int, error) {
		ex := procpool.ExecutorFrom(ctx)
		for i := range count {
			if err := benchQueue.Put(ctx, ex, i); err != nil {
				return i, err
			}
		}
		return count, nil
	})
	// gets gets so many items, and says of each that it is done.
	gets = procpool.Define("gets", func(ctx context.Context, count int) (int, error) {
		ex := procpool.ExecutorFrom(ctx)
		for i := range count {
			item, err := benchQueue.Get(ctx, ex)
			if err == nil {
				err = item.Done(ctx)
			}
			if err != nil {
				return i, err
			}
		}
		return count, nil
	})
)

// sharedRun has tasks use shared state, each in a worker of its own and all at once.
type sharedRun struct {
	pool
	count int
	tasks []*procpool.Func[int, int]
}

func openShared(ctx context.Context, count int, tasks ...*procpool.Func[int, int]) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &sharedRun{pool: p, count: count, tasks: tasks}, nil
}

// Round measures how often each of them does what it does, all of them together where
// they do the same.
func (r *sharedRun) Round(ctx context.Context) (figures, error) {
	if err := r.all(ctx, max(r.count/10, 1)); err != nil {
		return nil, err
	}
	cpu := startCPUOfChildren()
	start := time.Now()
	if err := r.all(ctx, r.count); err != nil {
		return nil, err
	}
	got := figures{"per_second": float64(r.count) / time.Since(start).Seconds()}
	cpu.perCall(got, "cpu_us", r.count)
	return got, nil
}

func (r *sharedRun) all(ctx context.Context, count int) error {
	var futures []*procpool.Future[int]
	for _, task := range r.tasks {
		futures = append(futures, task.Submit(ctx, r.pool, count))
	}
	var errs error
	for _, f := range futures {
		if n, err := f.Result(ctx); err != nil {
			errs = errors.Join(errs, fmt.Errorf("after %d of %d: %w", n, count, err))
		}
	}
	return errs
}
