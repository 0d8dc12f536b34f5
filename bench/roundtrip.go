package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/procpool/procpool"
)

// caller makes one call at a time through the whole API.
type caller struct {
	pool
	count int
}

func openCaller(ctx context.Context, count int, noPolling bool) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers, noPolling: noPolling})
	if err != nil {
		return nil, err
	}
	return &caller{pool: p, count: count}, nil
}

// Round measures the latencies, the host's allocations and the CPU time.
func (c *caller) Round(ctx context.Context) (figures, error) {
	return timeOneByOne(c.count, startCPUOfChildren, func() error {
		_, err := same.Call(ctx, c.pool, 7)
		return err
	})
}

// exchangeRun does the same with a raw socket.
type exchangeRun struct {
	exchanger
	count int
}

// Round measures the latencies and the CPU time.
func (r *exchangeRun) Round(context.Context) (figures, error) {
	meter := func() *cpuMeter { return startCPU(r.workerPIDs()) }
	return timeOneByOne(r.count, meter, r.exchange)
}

// timeOneByOne makes the call count times after a warm-up of a tenth.
func timeOneByOne(count int, meter func() *cpuMeter, call func() error) (figures, error) {
	for range max(count/10, 1) {
		if err := call(); err != nil {
			return nil, err
		}
	}
	took := make([]time.Duration, count)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := meter()
	for i := range took {
		start := time.Now()
		if err := call(); err != nil {
			return nil, fmt.Errorf("call %d: %w", i, err)
		}
		took[i] = time.Since(start)
	}
	got := figures{}
	cpu.perCall(got, "cpu_us", count)
	runtime.ReadMemStats(&after)
	got["allocations"] = float64(after.Mallocs-before.Mallocs) / float64(count)
	got["p50_us"], got["p99_us"] = latencies(took)
	return got, nil
}

// echoRun sends a payload there and back, one at a time.
type echoRun struct {
	count int
	size  int
	echo  func(context.Context) (int, error)
	close func() error
}

func openPoolEcho(ctx context.Context, count, size int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return poolEcho(p, count, size), nil
}

func poolEcho(p pool, count, size int) *echoRun {
	payload := make([]byte, size)
	return &echoRun{count: count, size: size, close: p.Close, echo: func(ctx context.Context) (int, error) {
		back, err := echo.Call(ctx, p, payload)
		return len(back), err
	}}
}

func openSocketEcho(ctx context.Context, count, size int) (subject, error) {
	peer, err := openSocketPeer(ctx, size)
	if err != nil {
		return nil, err
	}
	return &echoRun{count: count, size: size, close: peer.Close, echo: func(context.Context) (int, error) {
		return size, peer.exchange()
	}}, nil
}

// Round counts the bytes of both ways.
func (r *echoRun) Round(ctx context.Context) (figures, error) {
	start := time.Now()
	for i := range r.count + 1 {
		if i == 1 {
			start = time.Now() // the first warms up buffers
		}
		n, err := r.echo(ctx)
		if err != nil {
			return nil, fmt.Errorf("echo %d: %w", i, err)
		}
		if n != r.size {
			return nil, fmt.Errorf("%d bytes came back as %d", r.size, n)
		}
	}
	return figures{"gb_per_second": 2 * float64(r.size) * float64(r.count) / time.Since(start).Seconds() / 1e9}, nil
}

// Close ends the other side.
func (r *echoRun) Close() error { return r.close() }

// poll is how often something that has no channel is looked at.
const poll = 200 * time.Microsecond

// waitStarted waits until a worker runs the call.
func waitStarted[T any](ctx context.Context, future *procpool.Future[T]) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for future.State() != procpool.Started {
		select {
		case <-tick.C:
		case <-future.Done():
			_, err := future.Result(ctx)
			return fmt.Errorf("the blocking call ended by itself: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the blocking call is still %s: %w", future.State(), context.Cause(ctx))
		}
	}
	return nil
}

// closeAfter closes the pool and keeps the error that led to it.
func closeAfter(p pool, err error) error {
	return errors.Join(err, p.Close())
}
