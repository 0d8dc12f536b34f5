package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// poolHost is a fresh process that starts a pool and prints how long its first
// result took, in nanoseconds.
func poolHost(ctx context.Context, out io.Writer) error {
	start := time.Now()
	p, err := newPool(ctx, poolConfig{workers: workers})
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
