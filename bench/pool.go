package main

import (
	"context"
	"fmt"

	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// initWorker never returns in a worker, which is this binary run again.
func initWorker() { workerproc.Init(served()...) }

// newPool starts a pool of this binary's workers.
func newPool(ctx context.Context, c poolConfig) (pool, error) {
	p, err := executor.New(ctx, executor.Config{Workers: c.workers, QueueSize: c.queueSize, NoPolling: c.noPolling})
	if err != nil {
		return nil, fmt.Errorf("starting the pool: %w", err)
	}
	return p, nil
}
