package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func ExampleFuture_Result() {
	pool := procpooltest.Inline(Linger)
	f := Linger.Submit(context.Background(), pool, "for a while")

	// The context of Result bounds the wait, not the call.
	impatient, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := f.Result(impatient)
	fmt.Println(errors.Is(err, procpool.ErrNotDone), f.State() == procpool.Done)

	f.Cancel()
	// Output: true false
}

func ExampleFuture_Cancel() {
	ctx := context.Background()
	pool := procpooltest.Inline(Linger)
	f := Linger.Submit(ctx, pool, "until told otherwise")

	fmt.Println(f.Cancel(), f.State())
	_, err := f.Result(ctx)
	fmt.Println(errors.Is(err, context.Canceled))
	fmt.Println(f.Cancel()) // it has its outcome already
	// Output:
	// true done
	// true
	// false
}

func ExampleFuture_Done() {
	pool := procpooltest.Inline(Square)
	f := Square.Submit(context.Background(), pool, 5)

	select {
	case <-f.Done():
		fmt.Println(f.Result(context.Background()))
	case <-time.After(time.Minute):
		fmt.Println("still busy")
	}
	// Output: 25 <nil>
}

func ExampleFuture_OnDone() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square)
	f := Square.Submit(ctx, pool, 6)

	told := make(chan struct{})
	f.OnDone(func() {
		fmt.Println(f.Result(ctx))
		close(told)
	})
	<-told
	// Output: 36 <nil>
}

func ExampleFuture_Info() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square)
	f := Square.Submit(ctx, pool, 6)
	if _, err := f.Result(ctx); err != nil {
		fmt.Println(err)
	}

	info := f.Info() // in a pool of processes also the worker and its PID
	fmt.Println(info.Task, info.State, info.Attempts, info.Run > 0)
	// Output: square done 1 true
}
