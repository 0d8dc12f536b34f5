package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func ExampleAll() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square)

	squares, err := procpool.All(ctx,
		Square.Submit(ctx, pool, 1),
		Square.Submit(ctx, pool, 2),
		Square.Submit(ctx, pool, 3),
	)
	fmt.Println(squares, err)
	// Output: [1 4 9] <nil>
}

func ExampleAsCompleted() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square, Linger)

	sum := 0
	for f := range procpool.AsCompleted(ctx, Square.Submit(ctx, pool, 3), Square.Submit(ctx, pool, 4)) {
		n, err := f.Result(ctx)
		if err != nil {
			fmt.Println(err)
		}
		sum += n
	}
	fmt.Println(sum)
	// Output: 25
}

func ExampleWait() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square, Linger)

	// Futures of any types can be waited for together.
	quick := Square.Submit(ctx, pool, 3)
	slow := Linger.Submit(ctx, pool, "without end")
	err := procpool.Wait(ctx, procpool.UntilFirst, quick, slow)
	fmt.Println(err, quick.State())

	slow.Cancel()
	fmt.Println(procpool.Wait(ctx, procpool.UntilAll, quick, slow))
	// Output:
	// <nil> done
	// <nil>
}
