package executor_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// T101, #80: after Close, and again after Close, a call is refused.
func TestSubmitAfterClose(t *testing.T) {
	pool := newPool(t, executor.Config{})
	pool.Close()
	if _, err := square.Call(t.Context(), pool, 1); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
	var errs []error
	for _, err := range square.Map(t.Context(), pool, numbers(100)) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], procpool.ErrClosed) {
		t.Errorf("a Map on a closed pool yields %v", errs)
	}
	pool.Close()
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// T102, T106, #9: Shutdown runs what it has, and refuses the rest.
func TestShutdownDrains(t *testing.T) {
	pool := newPool(t, executor.Config{})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*procpool.Future[int]
	for range 4 {
		futures = append(futures, gate.Submit(t.Context(), pool, path))
	}
	for i := range 50 {
		futures = append(futures, square.Submit(t.Context(), pool, i))
	}
	end := make(chan error, 1)
	go func() { end <- pool.Shutdown(context.Background()) }()
	eventually(t, "new calls are refused", func() bool {
		f := square.Submit(t.Context(), pool, 1, procpool.NoWait())
		if f.State() != procpool.Done {
			futures = append(futures, f) // it came in before the end
			return false
		}
		_, err := result(t, f)
		return errors.Is(err, procpool.ErrClosed)
	})
	open(t, path)
	if err := <-end; err != nil {
		t.Error(err)
	}
	for i, f := range futures {
		if _, err := result(t, f); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// #12, T114: at its deadline Shutdown kills, and says what it gave up.
func TestShutdownDeadline(t *testing.T) {
	pool := newPool(t, executor.Config{})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*procpool.Future[int]
	for range 10 {
		futures = append(futures, deaf.Submit(t.Context(), pool, path))
	}
	eventually(t, "two run", func() bool { return pool.Stats().Busy == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := pool.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	mustContain(t, err, "2 running", "8 queued")
	for _, f := range futures {
		if _, err := result(t, f); !errors.Is(err, procpool.ErrClosed) {
			t.Error(err)
		}
	}
}

// #80, #13: Close at any moment, from many goroutines, with calls in every state.
func TestCloseAtAnyMoment(t *testing.T) {
	for round := range 12 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			pool := newPool(t, executor.Config{QueueSize: 10})
			path := filepath.Join(t.TempDir(), "gate")
			var (
				submitters sync.WaitGroup
				mu         sync.Mutex
				futures    []*procpool.Future[int]
			)
			for n := range 4 {
				submitters.Go(func() {
					for i := range 50 {
						var f *procpool.Future[int]
						if (i+n)%4 == 0 {
							f = deaf.Submit(context.Background(), pool, path)
						} else {
							f = square.Submit(context.Background(), pool, i)
						}
						mu.Lock()
						futures = append(futures, f)
						mu.Unlock()
					}
				})
			}
			eventually(t, "some are under way", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(futures) > round
			})
			var closers sync.WaitGroup
			for range 3 {
				closers.Go(func() { pool.Close() })
			}
			closers.Wait()
			submitters.Wait()
			for _, f := range futures {
				if _, err := result(t, f); err != nil && !errors.Is(err, procpool.ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
}

// #15, #78, rule 6.5: the queue's bound is exact; NoWait is refused beyond it, and
// a submitter that waits is let in by room, by its context and by Close.
func TestQueueBound(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, QueueSize: 3})
	path := filepath.Join(t.TempDir(), "gate")
	running := gate.Submit(t.Context(), pool, path)
	eventually(t, "the call runs", func() bool { return exists(path + ".started") })
	var queued []*procpool.Future[int]
	for i := range 3 {
		queued = append(queued, square.Submit(t.Context(), pool, i, procpool.NoWait()))
	}
	if s := pool.Stats(); s.Queued != 3 {
		t.Errorf("%d queued", s.Queued)
	}
	if _, err := square.Call(t.Context(), pool, 1, procpool.NoWait()); !errors.Is(err, procpool.ErrQueueFull) {
		t.Errorf("beyond the bound: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := square.Call(ctx, pool, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a submitter whose context ends: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := square.Call(context.Background(), pool, 3)
		waiting <- err
	}()
	open(t, path)
	if err := <-waiting; err != nil {
		t.Errorf("a submitter that waited for room: %v", err)
	}
	for _, f := range append(queued, running) {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
}

// QueueBytes bounds the arguments that wait; an empty queue takes any one.
func TestQueueBytes(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, QueueBytes: 100 << 10})
	path := filepath.Join(t.TempDir(), "gate")
	running := gate.Submit(t.Context(), pool, path)
	eventually(t, "the call runs", func() bool { return exists(path + ".started") })
	first := echo.Submit(t.Context(), pool, make([]byte, 150<<10), procpool.NoWait())
	if _, err := echo.Call(t.Context(), pool, make([]byte, 1), procpool.NoWait()); !errors.Is(err, procpool.ErrQueueFull) {
		t.Errorf("%v", err)
	}
	open(t, path)
	if _, err := result(t, first); err != nil {
		t.Error(err)
	}
	if _, err := result(t, running); err != nil {
		t.Error(err)
	}
}

// Futures tell how their calls fare.
func TestInfo(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	path := filepath.Join(t.TempDir(), "gate")
	f := gate.Submit(t.Context(), pool, path)
	behind := square.Submit(t.Context(), pool, 3)
	eventually(t, "the first has started", func() bool { return f.State() == procpool.Started })
	if behind.State() != procpool.Queued || behind.Info().Attempts != 0 {
		t.Errorf("%+v", behind.Info())
	}
	open(t, path)
	p, err := result(t, f)
	if err != nil {
		t.Fatal(err)
	}
	info := f.Info()
	if info.Task != "gate" || info.State != procpool.Done || info.Attempts != 1 || info.Worker != 1 || info.PID != p || info.Run <= 0 {
		t.Errorf("%+v", info)
	}
	if _, err := result(t, behind); err != nil || behind.Info().Wait <= 0 {
		t.Errorf("%+v, %v", behind.Info(), err)
	}
}
