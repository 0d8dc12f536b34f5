package main

import (
	"context"
	"os"

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

	// block keeps its worker busy until it is cancelled.
	block = procpool.Define("block", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
)

// served lists them for the workers.
func served() []procpool.Task { return []procpool.Task{same, echo, workerPID, block} }

// workers is the size of the measured pools, as the targets are stated for it.
const workers = 2

// poolConfig is what differs between the measured pools; all else has its
// default.
type poolConfig struct {
	workers   int
	queueSize int // 0 for the default
	noPolling bool
}

// pool is what is measured of executor.Pool.
type pool interface {
	procpool.Executor
	Close() error
}
