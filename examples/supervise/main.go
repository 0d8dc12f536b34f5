// Supervise shows what a pool does about its workers' deaths when it is told what
// may be done: it runs calls again that may be run again, finds the one that kills
// every worker, stops what takes too long, and replaces all workers while it works.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// words is what a worker keeps for its calls. Each worker loads its own.
var words []string

// Load is the workers' initializer: no call comes before it.
var Load = procpool.Define("load", func(_ context.Context, text string) (struct{}, error) {
	words = strings.Fields(text)
	return struct{}{}, nil
})

// Look finds a word, unless something happens to its worker: two of the words are
// poor inputs.
var Look = procpool.Define("look", func(ctx context.Context, word string) (int, error) {
	switch {
	case word == "unlucky" && procpool.AttemptFrom(ctx) == 1:
		os.Exit(3) // once
	case word == "poison":
		os.Exit(4) // every time
	case word == "endless":
		<-ctx.Done() // a loop that looks at its context now and then
		return 0, ctx.Err()
	}
	return slices.Index(words, word), nil
}, procpool.Idempotent(), procpool.Timeout(500*time.Millisecond))

func main() {
	workerproc.Init(Load, Look)
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{
		Workers:     2,
		Spares:      1, // so that a death costs no start-up time
		Initializer: Load.Bind("an unlucky call that has started is not run twice by chance"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	for _, word := range []string{"started", "unlucky", "poison", "endless", "chance"} {
		future := Look.Submit(ctx, pool, word)
		place, err := future.Result(ctx)
		fmt.Printf("%-8s %s\n", word+":", outcome(place, err, future.Info()))
	}
	lost := restart(ctx, pool)
	stats := pool.Stats()
	fmt.Printf("workers that died: %d; calls run again: %d; calls lost in a rolling restart: %d\n", stats.Crashes, stats.Retried, lost)
}

// outcome says what became of a call.
func outcome(place int, err error, info procpool.CallInfo) string {
	var (
		crash   *procpool.CrashError
		timeout *procpool.TimeoutError
	)
	switch {
	case errors.Is(err, procpool.ErrPoison) && errors.As(err, &crash):
		return fmt.Sprintf("given up: %d workers died of it, the last with %s", info.Attempts, crash.Reason)
	case errors.As(err, &timeout):
		return fmt.Sprintf("stopped: it ran longer than %v", timeout.Limit)
	case err != nil:
		return err.Error()
	}
	if len(info.Failed) > 0 && errors.As(info.Failed[0].Err, &crash) {
		return fmt.Sprintf("word %d, at attempt %d: the first worker died with %s", place, info.Attempts, crash.Reason)
	}
	return fmt.Sprintf("word %d", place)
}

// restart replaces every worker while another goroutine goes on calling, and counts
// its calls that fail.
func restart(ctx context.Context, pool *executor.Pool) (lost int) {
	var calling sync.WaitGroup
	done := make(chan struct{})
	calling.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := Look.Call(ctx, pool, "twice"); err != nil {
				lost++
			}
		}
	})
	if err := pool.Restart(ctx); err != nil {
		log.Println(err)
	}
	close(done)
	calling.Wait()
	return lost
}
