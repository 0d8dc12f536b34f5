package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func ExamplePriority() {
	ctx := context.Background()
	pool := procpooltest.Inline(Square)
	urgent := Square.With(procpool.Priority(10))

	report := Square.Submit(ctx, pool, 3, procpool.Priority(-10)) // when there is nothing else to do
	click := urgent.Submit(ctx, pool, 4)                          // before all that waits
	fmt.Println(procpool.All(ctx, report, click))
	// Output: [9 16] <nil>
}
