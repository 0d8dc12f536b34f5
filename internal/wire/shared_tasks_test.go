//go:build unix

package wire_test

import (
	"context"
	"errors"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/shared"
)

// What the task below asks of a host that keeps shared state.
var (
	operated = procpool.Operation[int, int]("counter.add")
	letGo    = procpool.Operation[int, int]("mutex.unlock", procpool.Unanswered())
)

// operates asks for one thing and awaits the answer, and for another and does not.
var operates = procpool.Define("operates", func(ctx context.Context, n int) (int, error) {
	ex := procpool.ExecutorFrom(ctx)
	got, err := operated.Call(ctx, ex, n)
	if err == nil && letGo.Submit(ctx, ex, n).State() != procpool.Done {
		err = errors.New("it waits for an answer")
	}
	return got, err
})

var relocked = shared.DefineMutex("relocked")

// relocks locks and unlocks so often.
var relocks = procpool.Define("relocks", func(ctx context.Context, n int) (int, error) {
	for range n {
		held, err := relocked.Lock(ctx, procpool.ExecutorFrom(ctx))
		if err != nil {
			return 0, err
		}
		held.Unlock()
	}
	return n, nil
})
