package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/procpool/procpool"
)

// The stream, the session and the task that makes calls of its own pool.
var (
	// numbers yields the numbers below n.
	numbers = procpool.DefineStream("numbers", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return nil
	})

	// pong sends back what it receives.
	pong = procpool.DefineSession("pong", func(_ context.Context, _ struct{}, recv iter.Seq[int], send func(int) error) error {
		for n := range recv {
			if err := send(n); err != nil {
				return err
			}
		}
		return nil
	})

	// nestedTrips makes calls of its own pool, one at a time, and returns how long
	// each took.
	nestedTrips = procpool.Define("nested_trips", func(ctx context.Context, count int) ([]time.Duration, error) {
		took := make([]time.Duration, count)
		ex := procpool.ExecutorFrom(ctx)
		for i := range took {
			start := time.Now()
			if _, err := same.Call(ctx, ex, 7); err != nil {
				return nil, err
			}
			took[i] = time.Since(start)
		}
		return took, nil
	})
)

// streamRun reads one stream to its end.
type streamRun struct {
	pool
	count int
}

func openStream(ctx context.Context, count int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &streamRun{pool: p, count: count}, nil
}

// Round measures how many values come a second.
func (r *streamRun) Round(ctx context.Context) (figures, error) {
	return timeValues(r.count, numbers.All(ctx, r.pool, r.count))
}

// timeValues reads count numbers, which ascend from 0.
func timeValues(count int, values iter.Seq2[int, error]) (figures, error) {
	start, next := time.Now(), 0
	for n, err := range values {
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", next, err)
		}
		if n != next {
			return nil, fmt.Errorf("value %d came as %d", next, n)
		}
		next++
	}
	if next != count {
		return nil, fmt.Errorf("%d values of %d came", next, count)
	}
	return figures{"per_second": float64(count) / time.Since(start).Seconds()}, nil
}

// sessionRun sends a session a value and takes its answer, one at a time.
type sessionRun struct {
	pool
	talk  *procpool.Conversation[int, int]
	count int
}

func openSession(ctx context.Context, count int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &sessionRun{pool: p, talk: pong.Open(context.WithoutCancel(ctx), p, struct{}{}), count: count}, nil
}

// Round measures the latencies.
func (r *sessionRun) Round(ctx context.Context) (figures, error) {
	return timeOneByOne(r.count, startCPUOfChildren, func() error {
		if err := r.talk.Send(ctx, 7); err != nil {
			return err
		}
		_, err := r.talk.Recv(ctx)
		return err
	})
}

// Close ends the session and its pool.
func (r *sessionRun) Close() error {
	r.talk.CloseSend()
	if _, err := r.talk.Recv(context.Background()); err != io.EOF { //nolint:errorlint // Recv returns it bare
		return closeAfter(r.pool, fmt.Errorf("the session did not end well: %w", err))
	}
	return r.pool.Close()
}

// nestedRun makes calls from inside a task.
type nestedRun struct {
	pool
	count int
}

func openNested(ctx context.Context, count int) (subject, error) {
	p, err := openPool(ctx, poolConfig{workers: workers})
	if err != nil {
		return nil, err
	}
	return &nestedRun{pool: p, count: count}, nil
}

// Round measures the latencies, in the task.
func (r *nestedRun) Round(ctx context.Context) (figures, error) {
	if _, err := nestedTrips.Call(ctx, r.pool, max(r.count/10, 1)); err != nil {
		return nil, err
	}
	took, err := nestedTrips.Call(ctx, r.pool, r.count)
	if err != nil {
		return nil, err
	}
	got := figures{}
	got["p50_us"], got["p99_us"] = latencies(took)
	return got, nil
}
