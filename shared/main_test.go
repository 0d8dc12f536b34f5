package shared_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// order is what the tests' queues hold.
type order struct {
	Name string
	N    int
}

// What the tests use. Each Inline has state of its own, so they can share the names.
var (
	guard = shared.DefineMutex("guard")
	slots = shared.DefineSemaphore("slots", 3)
	total = shared.DefineCounter("total")
	jobs  = shared.DefineQueue[order]("jobs", 2, shared.Deliveries(2))
)

// inTask returns an executor with a task that calls fn, and what calls it.
func inTask(fn func(ctx context.Context, ex procpool.Executor) error) (procpool.Executor, func(ctx context.Context, opts ...procpool.Option) *procpool.Future[int]) {
	task := procpool.Define("task", func(ctx context.Context, _ int) (int, error) {
		return 0, fn(ctx, procpool.ExecutorFrom(ctx))
	}, procpool.Errors(map[string]error{"closed": shared.ErrQueueClosed, "not_held": shared.ErrNotHeld, "block": shared.ErrWouldBlock}))
	ex := procpooltest.Inline(task)
	return ex, func(ctx context.Context, opts ...procpool.Option) *procpool.Future[int] {
		return task.Submit(ctx, ex, 0, opts...)
	}
}

// must fails the test if err is not what it is to be, nil being no error.
func must(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}
