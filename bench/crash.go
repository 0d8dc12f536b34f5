package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// crashRun kills a busy worker and waits for the error of its call.
type crashRun struct{ pool }

func openCrash(ctx context.Context) (subject, error) {
	// One worker, so that the process which told its id is the one that
	// blocks.
	p, err := newPool(ctx, poolConfig{workers: 1})
	if err != nil {
		return nil, err
	}
	return crashRun{p}, nil
}

// Round is one crash; the call for the process's id waits for the worker that
// replaces the last round's.
func (r crashRun) Round(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	pid, err := workerPID.Call(ctx, r.pool, struct{}{})
	if err != nil {
		return nil, fmt.Errorf("asking for the worker's process id: %w", err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("finding the worker: %w", err)
	}
	defer process.Release()
	blocked := block.Submit(ctx, r.pool, struct{}{})
	if err := waitStarted(ctx, blocked); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := process.Kill(); err != nil {
		return nil, fmt.Errorf("killing the worker: %w", err)
	}
	_, err = blocked.Result(ctx)
	took := time.Since(start)
	if !errors.Is(err, procpool.ErrCrashed) {
		return nil, fmt.Errorf("the killed worker's call ended with another error: %w", err)
	}
	return figures{"ms": milliseconds(took)}, nil
}

// replaceRun kills the only worker of a pool, again and again, and times the next
// call, which waits for the worker's replacement.
type replaceRun struct {
	pool
	count, spares int
	alive         *atomic.Int32
}

func openReplace(ctx context.Context, count, spares int) (subject, error) {
	alive := new(atomic.Int32)
	p, err := newPool(ctx, poolConfig{workers: 1, spares: spares, alive: alive})
	if err != nil {
		return nil, err
	}
	return replaceRun{p, count, spares, alive}, nil
}

// Round is a series of kills.
func (r replaceRun) Round(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	took := make([]time.Duration, r.count)
	for i := range took {
		var err error
		if took[i], err = r.replace(ctx); err != nil {
			return nil, err
		}
	}
	p50, p99 := latencies(took)
	return figures{"p50_ms": p50 / 1000, "p99_ms": p99 / 1000}, nil
}

// replace is one kill, of a worker that runs a call while another call waits.
func (r replaceRun) replace(ctx context.Context) (time.Duration, error) {
	pid, err := workerPID.Call(ctx, r.pool, struct{}{})
	if err != nil {
		return 0, fmt.Errorf("asking for the worker's process id: %w", err)
	}
	if err := r.waitReady(ctx); err != nil {
		return 0, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return 0, fmt.Errorf("finding the worker: %w", err)
	}
	defer process.Release()
	blocked := block.Submit(ctx, r.pool, struct{}{})
	if err := waitStarted(ctx, blocked); err != nil {
		return 0, err
	}
	next := workerPID.Submit(ctx, r.pool, struct{}{})
	start := time.Now()
	if err := process.Kill(); err != nil {
		return 0, fmt.Errorf("killing the worker: %w", err)
	}
	served, err := next.Result(ctx)
	took := time.Since(start)
	switch {
	case err != nil:
		return 0, fmt.Errorf("the call behind the killed one: %w", err)
	case served == pid:
		return 0, fmt.Errorf("process %d served a call after it was killed", pid)
	}
	if _, err := blocked.Result(ctx); !errors.Is(err, procpool.ErrCrashed) {
		return 0, fmt.Errorf("the killed worker's call ended with another error: %w", err)
	}
	return took, nil
}

// waitReady waits until the worker and the spares are ready, as those of a pool are
// that is not killed all the time.
func (r replaceRun) waitReady(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for int(r.alive.Load()) < 1+r.spares {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d workers are ready, %d of them to be spares: %w", r.alive.Load(), r.spares, context.Cause(ctx))
		}
	}
	return nil
}

// poolHost is a fresh process that starts a pool and prints how long its first
// result took, in nanoseconds.
func poolHost(ctx context.Context, c poolConfig, out io.Writer) error {
	start := time.Now()
	p, err := newPool(ctx, c)
	if err != nil {
		return err
	}
	n, err := same.Call(ctx, p, 7)
	took := time.Since(start)
	if err == nil && n != 7 {
		err = fmt.Errorf("7 came back as %d", n)
	}
	if err := closeAfter(p, err); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, took.Nanoseconds()); err != nil {
		return fmt.Errorf("reporting to the benchmark: %w", err)
	}
	return nil
}
