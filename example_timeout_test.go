package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func ExampleTimeout() {
	pool := procpooltest.Inline(Linger)

	// However long the call has to wait for a worker, it may run so long.
	_, err := Linger.Call(context.Background(), pool, "too long", procpool.Timeout(10*time.Millisecond))
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// procpool: task "linger" ran longer than its Timeout of 10ms
	// true
}

func ExampleTimeoutError() {
	pool := procpooltest.Inline(Linger)

	_, err := Linger.Call(context.Background(), pool, "too long", procpool.Timeout(10*time.Millisecond),
		procpool.Retries(2), procpool.RetryOn(procpool.TimeoutFailure, nil), procpool.Backoff(0, 0))
	if te, ok := errors.AsType[*procpool.TimeoutError](err); ok {
		fmt.Println(te.Task, te.Limit, "at attempt", te.Attempt)
	}
	// Output: linger 10ms at attempt 3
}
