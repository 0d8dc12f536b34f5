package main

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// The tasks that the workers of the measured pools serve.
var (
	// same is the tiny call: a number there and back.
	same = procpool.Define("same", func(_ context.Context, n int) (int, error) { return n, nil })

	// echo sends a payload there and back, without a codec's work.
	echo = procpool.Define("echo", func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil },
		procpool.WithCodec(procpool.Raw))

	// workerPID tells which process to kill.
	workerPID = procpool.Define("worker_pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })

	// work computes for about a millisecond, and then may take its worker with it.
	work = procpool.Define("work", func(_ context.Context, deadly bool) (bool, error) {
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
		if deadly {
			return true, killSelf()
		}
		return false, nil
	})

	// block keeps its worker busy until it is cancelled.
	block = procpool.Define("block", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
)

// served lists them for the workers.
func served() []procpool.Task {
	return []procpool.Task{same, echo, workerPID, work, block, numbers, pong, nestedTrips, locks, puts, gets, putsBatches, getsBatches, holders}
}

func killSelf() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {} // the end is under way
}

// workers is the size of the measured pools, as the targets are stated for it.
const workers = 2

// poolConfig is what differs between the measured pools; all else has its
// default.
type poolConfig struct {
	workers   int
	queueSize int // 0 for the default
	noPolling bool
	spares    int
	maxCalls  int     // 0 for no recycling
	python    *python // whose workers they are; nil for this binary's
	// alive, if it is set, counts the workers that are ready, spares included.
	alive *atomic.Int32
}

// pool is what is measured of executor.Pool.
type pool interface {
	procpool.Executor
	Close() error
}
