package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

type relocking struct{ Until, Number string }

// relock locks and unlocks until a file exists, counts a number in another, if there is
// one, under the lock, and returns how often.
var relock = procpool.Define("relock", func(ctx context.Context, in relocking) (n int, err error) {
	for ; !exists(in.Until) && err == nil; n++ {
		err = guard.Do(ctx, procpool.ExecutorFrom(ctx), func(context.Context) error { return in.count() })
	}
	return n, err
}, sharedErrors)

func (in relocking) count() error {
	if in.Number == "" {
		return nil
	}
	_, err := tallyOne(in.Number)
	return err
}

// start starts calls that relock.
func (in relocking) start(t *testing.T, pool procpool.Executor, calls int) (futures []*procpool.Future[int]) {
	t.Helper()
	for range calls {
		futures = append(futures, relock.Submit(t.Context(), pool, in))
	}
	for _, f := range futures {
		eventually(t, "it runs", func() bool { return f.State() == procpool.Started })
	}
	return futures
}

// end has them end, and returns how often they have locked, together.
func (in relocking) end(t *testing.T, futures []*procpool.Future[int]) (sum int) {
	t.Helper()
	if err := os.WriteFile(in.Until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range futures {
		n, err := result(t, f)
		if err != nil || n == 0 {
			t.Errorf("%d, %v", n, err)
		}
		sum += n
	}
	return sum
}

// Calls that keep a lock between an unlock and the next lock exclude each other all the
// same, and let others have it in between; and none of their ends abandons it.
func TestRelockingCalls(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	dir := t.TempDir()
	in := relocking{Until: filepath.Join(dir, "until"), Number: filepath.Join(dir, "number")}
	if err := os.WriteFile(in.Number, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	futures := in.start(t, pool, 2)
	const others = 30
	for range others {
		if err := guard.Do(t.Context(), pool, func(context.Context) error { return in.count() }); err != nil {
			t.Fatal(err)
		}
	}
	sum := others + in.end(t, futures)
	free(t, pool, false)
	if n, err := tallyOne(in.Number); n != sum+1 || err != nil {
		t.Errorf("%d, %v: want %d", n, err, sum+1)
	}
}

// Whoever dies while it relocks leaves the lock to the others, whether it had the lock
// then, kept it, or waited for it.
func TestDeathOfARelockingCall(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 2})
	for range 10 {
		in := relocking{Until: filepath.Join(t.TempDir(), "until")}
		futures := in.start(t, pool, 2)
		if err := sendSignal(futures[0].Info().PID, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if _, err := result(t, futures[0]); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("%v; want it to have crashed", err)
		}
		if err := guard.Do(t.Context(), pool, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		in.end(t, futures[1:])
		free(t, pool, false)
	}
	works(t, pool)
}
