package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var errBusy = errors.New("busy")

// Fetch succeeds at the third attempt.
var Fetch = procpool.Define("fetch", func(ctx context.Context, url string) (string, error) {
	if n := procpool.AttemptFrom(ctx); n < 3 {
		return "", fmt.Errorf("attempt %d: %w", n, errBusy)
	}
	return "contents of " + url, nil
}, procpool.Errors(map[string]error{"busy": errBusy}))

// In a pool this also runs the call again when its worker dies. So that it does
// after an error of the task, too, RetryOn says.
func ExampleIdempotent() {
	pool := procpooltest.Inline(Fetch)

	fmt.Println(Fetch.Call(context.Background(), pool, "a.example",
		procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, nil)))
	// Output: contents of a.example <nil>
}

func ExampleRetries() {
	ctx := context.Background()
	pool := procpooltest.Inline(Fetch)
	patient := Fetch.With(procpool.Retries(5), procpool.RetryOn(procpool.TaskFailure, nil))

	f := patient.Submit(ctx, pool, "a.example")
	fmt.Println(f.Result(ctx))
	for i, attempt := range f.Info().Failed {
		fmt.Println(i+1, attempt.Err)
	}
	// Output:
	// contents of a.example <nil>
	// 1 procpool: task "fetch" failed: attempt 1: busy
	// 2 procpool: task "fetch" failed: attempt 2: busy
}

func ExampleRetryOn() {
	pool := procpooltest.Inline(Fetch)
	busy := func(err error) bool { return errors.Is(err, errBusy) }

	fmt.Println(Fetch.Call(context.Background(), pool, "a.example",
		procpool.Retries(2), procpool.RetryOn(procpool.TaskFailure, busy)))
	// Output: contents of a.example <nil>
}

func ExampleBackoff() {
	pool := procpooltest.Inline(Fetch)

	fmt.Println(Fetch.Call(context.Background(), pool, "a.example",
		procpool.Retries(2), procpool.RetryOn(procpool.TaskFailure, nil),
		procpool.Backoff(time.Millisecond, 10*time.Millisecond)))
	// Output: contents of a.example <nil>
}

func ExampleAttemptFrom() {
	count := procpool.Define("count", func(ctx context.Context, enough int) (int, error) {
		n := procpool.AttemptFrom(ctx)
		if n < enough {
			return 0, errBusy
		}
		return n, nil
	}, procpool.Retries(9), procpool.RetryOn(procpool.TaskFailure, nil), procpool.Backoff(0, 0))
	pool := procpooltest.Inline(count)

	fmt.Println(count.Call(context.Background(), pool, 4))
	// Output: 4 <nil>
}
