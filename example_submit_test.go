package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var Square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// Linger waits for the context of its call to end.
var Linger = procpool.Define("linger", func(ctx context.Context, _ string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
})

func ExampleFunc_Call() {
	pool := procpooltest.Inline(Square)

	n, err := Square.Call(context.Background(), pool, 7)
	fmt.Println(n, err)
	// Output: 49 <nil>
}

func ExampleFunc_Call_deadline() {
	pool := procpooltest.Inline(Linger)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := Linger.Call(ctx, pool, "too long")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	fmt.Println(err)
	// Output:
	// true
	// procpool: call of task "linger" given up: context deadline exceeded
}

func ExampleFunc_Submit() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square)

	a := Square.Submit(ctx, pool, 3)
	b := Square.Submit(ctx, pool, 4)
	x, err := a.Result(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	y, err := b.Result(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(x + y)
	// Output: 25
}

func ExampleNoWait() {
	pool := procpooltest.Inline(Square)

	// In a pool whose queue is full this fails at once, where Submit would
	// otherwise wait for room.
	_, err := Square.Call(context.Background(), pool, 3, procpool.NoWait())
	if errors.Is(err, procpool.ErrQueueFull) {
		fmt.Println("come back later")
	}
	fmt.Println(err)
	// Output: <nil>
}
