package main

import (
	"context"
	"errors"
	"sync"
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
	locks       = procpool.Define("locks", inTask(lockOften))
	puts        = procpool.Define("puts", inTask(putMany))
	gets        = procpool.Define("gets", inTask(getMany))
	putsBatches = procpool.Define("puts_batches", inTask(putBatches))
	getsBatches = procpool.Define("gets_batches", inTask(getBatches))
)

// batch is how many items go into the queue and out of it at a time, where they do.
const batch = 20

// use uses shared state so often.
type use func(ctx context.Context, ex procpool.Executor, count int) error

func inTask(u use) func(context.Context, int) (int, error) {
	return func(ctx context.Context, count int) (int, error) {
		return count, u(ctx, procpool.ExecutorFrom(ctx), count)
	}
}

// lockOften locks and unlocks.
func lockOften(ctx context.Context, ex procpool.Executor, count int) error {
	for range count {
		held, err := benchLock.Lock(ctx, ex)
		if err != nil {
			return err
		}
		held.Unlock()
	}
	return nil
}

// putMany puts the numbers below count into the queue.
func putMany(ctx context.Context, ex procpool.Executor, count int) error {
	for i := range count {
		if err := benchQueue.Put(ctx, ex, i); err != nil {
			return err
		}
	}
	return nil
}

// getMany gets items, and says of each that it is done.
func getMany(ctx context.Context, ex procpool.Executor, count int) error {
	for range count {
		item, err := benchQueue.Get(ctx, ex)
		if err == nil {
			err = item.Done(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putBatches puts the numbers below count into the queue, some at a time.
func putBatches(ctx context.Context, ex procpool.Executor, count int) error {
	numbers := make([]int, 0, batch)
	for i := range count {
		numbers = append(numbers, i)
		if len(numbers) < batch && i < count-1 {
			continue
		}
		if err := benchQueue.PutAll(ctx, ex, numbers); err != nil {
			return err
		}
		numbers = numbers[:0]
	}
	return nil
}

// getBatches gets items, as many as there are, and says of them that they are done.
func getBatches(ctx context.Context, ex procpool.Executor, count int) error {
	for count > 0 {
		items, err := benchQueue.GetMany(ctx, ex, min(batch, count))
		if err == nil {
			err = benchQueue.DoneAll(ctx, items)
		}
		if err != nil {
			return err
		}
		count -= len(items)
	}
	return nil
}

// sharedRun has several use shared state at once.
type sharedRun struct {
	pool
	count int
	users []use
}

// openShared has tasks use it, each in a worker of its own.
func openShared(ctx context.Context, count int, tasks ...*procpool.Func[int, int]) (subject, error) {
	users := make([]use, len(tasks))
	for i, task := range tasks {
		users[i] = func(ctx context.Context, ex procpool.Executor, count int) error {
			_, err := task.Call(ctx, ex, count)
			return err
		}
	}
	return openProgram(ctx, count, users...)
}

// openProgram has the program use it.
func openProgram(ctx context.Context, count int, users ...use) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &sharedRun{pool: p, count: count, users: users}, nil
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
	errs := make([]error, len(r.users))
	var wg sync.WaitGroup
	for i, u := range r.users {
		wg.Go(func() { errs[i] = u(ctx, r.pool, count) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
