//go:build unix

package wire_test

import (
	"context"
	"errors"

	"github.com/procpool/procpool"
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
