package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// quota is an executor that passes a number of calls on to another one, and
// refuses the rest.
type quota struct {
	procpool.Executor
	left atomic.Int64
}

func (q *quota) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		if q.left.Add(-1) >= 0 {
			q.Executor.Enqueue(ctx, c, 1)
		} else {
			c.Finish(nil, fmt.Errorf("the quota is used up: %w", procpool.ErrQueueFull))
		}
		c = next
	}
}

func ExampleExecutor() {
	ctx := context.Background()
	pool := &quota{Executor: procpooltest.Inline(Square)}
	pool.left.Store(1)

	fmt.Println(Square.Call(ctx, pool, 5))
	_, err := Square.Call(ctx, pool, 6)
	fmt.Println(errors.Is(err, procpool.ErrQueueFull), err)
	// Output:
	// 25 <nil>
	// true the quota is used up: procpool: the queue is full
}

// version is a task that is no function: it answers every call with itself,
// whatever the argument, in JSON.
type version string

func (version) Name() string { return "version" }

func (version) Describe() procpool.TaskInfo {
	return procpool.TaskInfo{Name: "version", In: "anything", Out: "string", Codecs: []string{"json"}}
}

func (v version) Run(_ context.Context, _ string, _, out []byte) ([]byte, error) {
	return procpool.JSON.Append(out, string(v))
}

func ExampleTask() {
	ask := procpool.Remote[any, string]("version", procpool.WithCodec(procpool.JSON))

	fmt.Println(ask.Call(context.Background(), procpooltest.Inline(version("v1.2.3")), nil))
	// Output: v1.2.3 <nil>
}
