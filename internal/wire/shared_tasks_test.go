//go:build unix

package wire_test

import (
	"context"

	"github.com/procpool/procpool"
)

// What the task below asks of a host that keeps shared state.
var (
	operated = procpool.Operation[int, int]("counter.add")
	letGo    = procpool.Operation[int, int]("mutex.unlock")
)

// operates asks for one thing and awaits the answer, and for another and does not.
var operates = procpool.Define("operates", func(ctx context.Context, n int) (int, error) {
	ex := procpool.ExecutorFrom(ctx)
	got, err := operated.Call(ctx, ex, n)
	letGo.Submit(context.WithoutCancel(ctx), ex, n)
	return got, err
})
