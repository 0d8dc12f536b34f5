// Ledger is examples/lockstep with workers in Python: five processes add one to the
// number in a file, 2,000 times each, under one lock, and one is killed half way, while
// it holds the lock and the file is half written. The program reads the state that the
// tasks work with by handles of the same names.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

const (
	processes  = 5
	increments = 2000
)

// The same as in worker.py.
var (
	Count        = procpool.Remote[job, int]("count")
	Acknowledged = shared.DefineCounter("acknowledged")
	Mended       = shared.DefineCounter("mended")
)

type job struct {
	File       string `cbor:"file"`
	Increments int    `cbor:"increments"`
	Dies       int    `cbor:"dies"`
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "number")
	if err := os.WriteFile(file, []byte("0"), 0o600); err != nil {
		return err
	}

	ready := make(chan struct{}, 2*processes)
	pool, err := executor.New(ctx, executor.Config{
		Command: executor.Python("examples/ledger/worker.py"),
		Tasks:   []procpool.Task{Count},
		Workers: processes,
		OnEvent: func(e executor.Event) {
			if e.Kind == executor.WorkerReady {
				ready <- struct{}{}
			}
		},
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	for range processes {
		<-ready
	}
	fmt.Printf("%d Python processes make %d increments each, of one number in a file, under one lock\n", processes, increments)

	calls := make([]*procpool.Future[int], processes)
	for i := range calls {
		in := job{File: file, Increments: increments}
		if i == 2 {
			in.Dies = increments / 2
		}
		calls[i] = Count.Submit(ctx, pool, in)
	}
	for i, call := range calls {
		n, err := call.Result(ctx)
		if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
			fmt.Printf("process %d died in increment %d, with the lock: %s\n", i+1, increments/2, crash.Reason)
		} else if err != nil {
			return err
		} else {
			fmt.Printf("process %d made %d\n", i+1, n)
		}
	}
	return audit(ctx, pool, file)
}

// audit compares what the file holds with what was acknowledged.
func audit(ctx context.Context, pool *executor.Pool, file string) error {
	mended, err := Mended.Value(ctx, pool)
	if err != nil {
		return err
	}
	acknowledged, err := Acknowledged.Value(ctx, pool)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return err
	}
	fmt.Printf("the next with the lock was told, and mended the file: %d time\n", mended)
	fmt.Printf("%d increments were acknowledged, and the file holds %d\n", acknowledged, n)
	return nil
}
