package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/shared"
)

// harvest is a queue that survives many deaths.
var harvest = shared.DefineQueue[int]("harvest", 20, shared.Deliveries(1000))

var (
	// aloneInside counts under the lock, and fails if somebody else is there too.
	aloneInside = procpool.Define("alone_inside", func(ctx context.Context, dir string) (n int, err error) {
		held, err := guard.Lock(ctx, procpool.ExecutorFrom(ctx))
		if err != nil {
			return 0, err
		}
		defer held.Unlock()
		inside := filepath.Join(dir, "inside")
		if held.Abandoned() { // the last one may have died before it had tidied up
			if err := os.Remove(inside); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
		}
		f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		if err := f.Close(); err != nil {
			return 0, err
		}
		number := filepath.Join(dir, "number")
		b, err := os.ReadFile(number)
		if err != nil {
			return 0, err
		}
		if n, err = strconv.Atoi(string(b)); err != nil {
			return 0, err
		}
		if err := os.WriteFile(number+".next", []byte(strconv.Itoa(n+1)), 0o600); err != nil {
			return 0, err
		}
		return n + 1, errors.Join(os.Rename(number+".next", number), os.Remove(inside))
	})
	// reaps notes every item that it gets, and then says that it is done.
	reaps = procpool.Define("reaps", func(ctx context.Context, path string) (int, error) {
		n := 0
		for item, err := range harvest.All(ctx, procpool.ExecutorFrom(ctx)) {
			if err != nil {
				return n, err
			}
			if err := note(path, fmt.Sprint(item.Value, " ", item.Delivery)); err != nil {
				return n, err
			}
			if err := item.Done(ctx); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}, procpool.Retries(100), procpool.Backoff(time.Millisecond, time.Millisecond))
)

// killer kills the workers of calls at random, until it is stopped.
func killer(t *testing.T, seed uint64, pids func(rng *rand.Rand) int) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	killed, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(seed, 0))
		for nap(ctx, time.Duration(10+rng.IntN(60))*time.Millisecond) == nil {
			if pid := pids(rng); pid > 0 && sendSignal(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}()
	return func() int {
		cancel()
		<-done
		return killed
	}
}

// However often workers are killed, what a lock guards is touched by one at a time, and
// nothing that was acknowledged is lost.
func TestLockUnderFire(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 3})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "number"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const calls = 500
	var fs [calls]atomic.Pointer[procpool.Future[int]]
	stop := killer(t, seed, func(rng *rand.Rand) int {
		first := rng.IntN(calls)
		for i := range calls {
			if f := fs[(first+i)%calls].Load(); f != nil && f.State() == procpool.Started {
				return f.Info().PID
			}
		}
		return 0
	})
	for i := range calls {
		fs[i].Store(aloneInside.Submit(t.Context(), pool, dir))
	}
	succeeded, crashed := 0, 0
	for i := range calls {
		switch _, err := result(t, fs[i].Load()); {
		case err == nil:
			succeeded++
		case errors.Is(err, procpool.ErrCrashed):
			crashed++
		default:
			t.Error(err)
		}
	}
	killed := stop()
	b, err := os.ReadFile(filepath.Join(dir, "number"))
	n, _ := strconv.Atoi(string(b))
	t.Logf("%d kills, %d calls crashed, %d succeeded, and the number is %d", killed, crashed, succeeded, n)
	if err != nil || n < succeeded || n > succeeded+crashed {
		t.Errorf("%d steps were acknowledged and %d are not known of; the number is %d, %v", succeeded, crashed, n, err)
	}
	held, err := guard.TryLock(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	held.Unlock()
	works(t, pool)
}

// However often consumers are killed, each item is done, and delivered once more at most
// for each of them that died with it.
func TestQueueUnderFire(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 3})
	path := filepath.Join(t.TempDir(), "ledger")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var consumers []*procpool.Future[int]
	for range 3 {
		consumers = append(consumers, reaps.Submit(t.Context(), pool, path))
	}
	stop := killer(t, seed, func(rng *rand.Rand) int {
		if f := consumers[rng.IntN(len(consumers))]; f.State() == procpool.Started {
			return f.Info().PID
		}
		return 0
	})
	const items = 600
	for i := range items {
		if err := harvest.Put(t.Context(), pool, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := harvest.Join(t.Context(), pool); err != nil {
		t.Error(err)
	}
	killed := stop()
	if err := harvest.Close(t.Context(), pool); err != nil {
		t.Error(err)
	}
	for _, f := range consumers {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	info, err := harvest.Info(t.Context(), pool)
	if info != (shared.QueueInfo{Closed: true}) || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	seen := make(map[string][]string)
	for _, line := range lines(t, path) {
		item, delivery, _ := strings.Cut(line, " ")
		seen[item] = append(seen[item], delivery)
	}
	again := 0
	for i := range items {
		deliveries := seen[fmt.Sprint(i)]
		if len(deliveries) == 0 {
			t.Errorf("item %d was lost", i)
		}
		slices.Sort(deliveries)
		if unique := slices.Compact(slices.Clone(deliveries)); len(unique) != len(deliveries) {
			t.Errorf("item %d was delivered with these counts: %q", i, deliveries)
		}
		again += max(len(deliveries)-1, 0)
	}
	t.Logf("%d kills; %d items were delivered again", killed, again)
	if again > killed {
		t.Errorf("%d kills, and %d items were delivered again", killed, again)
	}
	works(t, pool)
}
