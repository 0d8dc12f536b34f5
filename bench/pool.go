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
	cfg := executor.Config{
		Workers: c.workers, QueueSize: c.queueSize, NoPolling: c.noPolling, Spares: c.spares, MaxCalls: c.maxCalls,
	}
	if c.python != nil {
		cfg.Command = executor.Program(c.python.interpreter, c.python.script("worker.py"))
	}
	if c.alive != nil {
		cfg.OnEvent = func(e executor.Event) {
			switch e.Kind {
			case executor.WorkerReady:
				c.alive.Add(1)
			case executor.WorkerExited, executor.WorkerRetired:
				c.alive.Add(-1)
			}
		}
	}
	p, err := executor.New(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("starting the pool: %w", err)
	}
	return p, nil
}
