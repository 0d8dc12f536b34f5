package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
)

// workRun submits calls of a millisecond and collects them. Some may be deadly.
type workRun struct {
	pool
	count int
	// deadly is after how many calls comes one that kills its worker; 0 means
	// none does.
	deadly int
}

func openWork(ctx context.Context, count, deadly int, c poolConfig) (subject, error) {
	c.workers = workers
	p, err := newPool(ctx, c)
	if err != nil {
		return nil, err
	}
	r := &workRun{pool: p, count: count, deadly: deadly}
	if _, err := r.submitAndCollect(ctx, 5*workers); err != nil { // so that every worker is up
		return nil, closeAfter(p, err)
	}
	return r, nil
}

// Round measures the rate. A call that is hurt by another's crash ends it.
func (r *workRun) Round(ctx context.Context) (figures, error) {
	took, err := r.submitAndCollect(ctx, r.count)
	if err != nil {
		return nil, err
	}
	return figures{"per_second": float64(r.count) / took.Seconds()}, nil
}

func (r *workRun) submitAndCollect(ctx context.Context, count int) (time.Duration, error) {
	start := time.Now()
	futures := make([]*procpool.Future[bool], count)
	for i := range futures {
		futures[i] = work.Submit(ctx, r.pool, r.isDeadly(i))
	}
	for i, future := range futures {
		_, err := future.Result(ctx)
		if r.isDeadly(i) != errors.Is(err, procpool.ErrCrashed) || err != nil && !r.isDeadly(i) {
			return 0, fmt.Errorf("call %d of %d, one in %d of which kills its worker, ended with: %w", i, count, r.deadly, err)
		}
	}
	return time.Since(start), nil
}

// isDeadly chooses the middle of each hundred, so that the last call is none.
func (r *workRun) isDeadly(i int) bool { return r.deadly > 0 && i%r.deadly == r.deadly/2 }
