// Timeout gives up two calls that take too long. One heeds its context and keeps
// its worker; the other ignores it, so its worker is killed and replaced.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

const (
	patience = 100 * time.Millisecond // how long the caller waits
	grace    = time.Second            // how long the worker has to stop then
)

// Polite works for an hour, or until its context ends. Then it tidies up, for
// which the caller does not wait.
var Polite = procpool.Define("polite", func(ctx context.Context, _ int) (int, error) {
	select {
	case <-time.After(time.Hour):
		return 0, nil
	case <-ctx.Done():
		time.Sleep(200 * time.Millisecond)
		return 0, ctx.Err()
	}
})

// Stubborn never looks at its context, and never ends.
var Stubborn = procpool.Define("stubborn", func(_ context.Context, n int) (int, error) {
	for {
		n++
	}
})

// Add is what comes after them.
var Add = procpool.Define("add", func(_ context.Context, n [2]int) (int, error) { return n[0] + n[1], nil })

func main() {
	workerproc.Init(Polite, Stubborn, Add)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 1, CancelGrace: grace})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	add(ctx, pool)
	tooLong(ctx, pool, Polite)
	add(ctx, pool) // in the same worker as before
	tooLong(ctx, pool, Stubborn)
	add(ctx, pool) // in a new one
	fmt.Printf("workers killed: %d\n", pool.Stats().Killed)
}

// tooLong makes a call that has no chance to end in time.
func tooLong(ctx context.Context, pool *executor.Pool, task *procpool.Func[int, int]) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	_, err := task.Call(ctx, pool, 0)
	fmt.Printf("%-9s given up after %v, deadline exceeded: %t\n",
		task.Name()+":", time.Since(begin).Round(10*time.Millisecond), errors.Is(err, context.DeadlineExceeded))
}

// add makes a quick call, which waits until the one worker is free.
func add(ctx context.Context, pool *executor.Pool) {
	begin := time.Now()
	future := Add.Submit(ctx, pool, [2]int{2, 3})
	sum, err := future.Result(ctx)
	if err != nil {
		log.Fatal(err) // exits without Close; the workers end all the same
	}
	fmt.Printf("%-9s 2 + 3 = %d, by worker %d, after %v\n",
		"add:", sum, future.Info().Worker, time.Since(begin).Round(10*time.Millisecond))
}
