package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// A pool with all defaults runs this program again, once for each CPU. A program
// calls workerproc.Init first thing in main; these examples' TestMain calls
// procpooltest.Main, which does.
func ExampleNew() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	fmt.Println(square.Call(ctx, pool, 7))
	// Output: 49 <nil>
}

// A worker may be any program that speaks the worker contract.
func ExampleProgram() {
	_, err := executor.New(context.Background(), executor.Config{Command: executor.Program("no-such-worker", "--fast")})
	var start *procpool.StartError
	fmt.Println(errors.As(err, &start), start.Reason)
	// Output: true the program was not found
}

// Shutdown lets the calls that the pool has come to their end.
func ExamplePool_Shutdown() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	future := square.Submit(ctx, pool, 8)
	if err := pool.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(future.Result(ctx))
	_, err = square.Call(ctx, pool, 9)
	fmt.Println(err)
	// Output:
	// 64 <nil>
	// procpool: the pool is closed
}

// Close ends the pool at once, whatever runs.
func ExamplePool_Close() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	future := spin.Submit(ctx, pool, 0)
	pool.Close()
	_, err = future.Result(ctx)
	fmt.Println(err)
	// Output: procpool: the pool is closed
}

// Stats counts what the pool has done so far.
func ExamplePool_Stats() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	for i := range 10 {
		if _, err := square.Call(ctx, pool, i); err != nil {
			log.Fatal(err)
		}
	}
	s := pool.Stats()
	fmt.Println(s.Workers, s.Submitted, s.Succeeded, s.Queued)
	// Output: 1 10 10 0
}

// A call that ends its process fails with a *procpool.CrashError. The pool goes
// on.
func ExampleConfig_crash() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1, Output: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	_, err = die.Call(ctx, pool, "exit 3")
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		fmt.Println(crash.Task, crash.ExitCode, crash.Reason)
	}
	fmt.Println(square.Call(ctx, pool, 5))
	// Output:
	// die 3 exit status 3
	// 25 <nil>
}

// With a memory limit a call that takes too much dies alone, and the error says of
// what.
func ExampleConfig_memoryLimit() {
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1, MemoryLimit: 2 << 30, Output: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	_, err = allocate.Call(ctx, pool, 3<<30)
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		fmt.Println("out of memory:", crash.OOM != procpool.OOMNo)
	}
	// Output: out of memory: true
}

// A context's deadline ends the call at once; a task that does not heed it is
// killed after the grace.
func ExampleConfig_cancelGrace() {
	pool, err := executor.New(context.Background(), executor.Config{Workers: 1, CancelGrace: 10 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = spin.Call(ctx, pool, 0)
	fmt.Println(err)
	fmt.Println(square.Call(context.Background(), pool, 6))
	// Output:
	// procpool: call of task "spin" given up: context deadline exceeded
	// 36 <nil>
}

// OnEvent hears of every worker's start and end.
func ExampleConfig_onEvent() {
	ctx := context.Background()
	var ready atomic.Int32
	pool, err := executor.New(ctx, executor.Config{Workers: 2, OnEvent: func(e executor.Event) {
		if e.Kind == executor.WorkerReady {
			ready.Add(1)
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(square.Call(ctx, pool, 3))
	pool.Close() // the events so far have been heard when it returns
	fmt.Println(ready.Load() >= 1)
	// Output:
	// 9 <nil>
	// true
}
