package procpooltest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var errBusy = errors.New("busy")

// flaky fails in the way asked for until the attempt asked for.
var flaky = procpool.Define("flaky", func(ctx context.Context, in struct {
	How  string
	Good int
},
) (int, error) {
	attempt := procpool.AttemptFrom(ctx)
	if attempt >= in.Good {
		return attempt, nil
	}
	switch in.How {
	case "panic":
		panic("not yet")
	case "goexit":
		runtime.Goexit()
	case "linger":
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("attempt %d: %w", attempt, errBusy)
}, procpool.Errors(map[string]error{"busy": errBusy}))

type flakyIn = struct {
	How  string
	Good int
}

func TestInlineRunsAgain(t *testing.T) {
	t.Parallel()
	busy := func(err error) bool { return errors.Is(err, errBusy) }
	for name, c := range map[string]struct {
		in       flakyIn
		opts     []procpool.Option
		attempts int
		fails    bool
	}{
		"no option":              {flakyIn{"error", 2}, nil, 1, true},
		"idempotent only":        {flakyIn{"error", 2}, []procpool.Option{procpool.Idempotent()}, 1, true},
		"reason only":            {flakyIn{"error", 2}, []procpool.Option{procpool.RetryOn(procpool.TaskFailure, nil)}, 1, true},
		"error":                  {flakyIn{"error", 3}, []procpool.Option{procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, nil)}, 3, false},
		"panic":                  {flakyIn{"panic", 3}, []procpool.Option{procpool.Retries(2), procpool.RetryOn(procpool.TaskFailure, nil)}, 3, false},
		"goexit":                 {flakyIn{"goexit", 3}, []procpool.Option{procpool.Retries(2), procpool.RetryOn(procpool.TaskFailure, nil)}, 3, false},
		"used up":                {flakyIn{"error", 9}, []procpool.Option{procpool.Retries(4), procpool.RetryOn(procpool.TaskFailure, nil)}, 5, true},
		"a predicate agrees":     {flakyIn{"error", 2}, []procpool.Option{procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, busy)}, 2, false},
		"a predicate disagrees":  {flakyIn{"panic", 2}, []procpool.Option{procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, busy)}, 1, true},
		"timeout":                {flakyIn{"linger", 3}, []procpool.Option{procpool.Timeout(time.Second), procpool.Idempotent(), procpool.RetryOn(procpool.TimeoutFailure, nil)}, 3, false},
		"timeout is no reason":   {flakyIn{"linger", 3}, []procpool.Option{procpool.Timeout(time.Second), procpool.Idempotent()}, 1, true},
		"failure within timeout": {flakyIn{"error", 2}, []procpool.Option{procpool.Timeout(time.Second), procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, nil)}, 2, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := flaky.Submit(t.Context(), procpooltest.Inline(flaky), c.in, c.opts...)
			got, err := f.Result(t.Context())
			info := f.Info()
			if (err != nil) != c.fails || err == nil && got != c.attempts || info.Attempts != c.attempts || len(info.Failed) != c.attempts-1 {
				t.Errorf("%s: %d, %v, %+v", name, got, err, info)
			}
			for _, a := range info.Failed {
				if a.Err == nil || c.in.How == "error" && !errors.Is(a.Err, errBusy) || c.in.How == "linger" && a.Run != time.Second {
					t.Errorf("%s: failed attempt %+v", name, a)
				}
			}
			synctest.Wait()
		})
	}
}

func TestInlineTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := procpool.Define("deaf", func(context.Context, int) (int, error) {
			<-time.After(time.Minute) // whatever its context says
			return 1, nil
		}, procpool.Timeout(time.Second))
		ex := procpooltest.Inline(deaf)
		began := time.Now()
		f := deaf.Submit(t.Context(), ex, 0)
		_, err := f.Result(t.Context())
		var te *procpool.TimeoutError
		if !errors.As(err, &te) || te.Task != "deaf" || te.Limit != time.Second || te.Attempt != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%#v", err)
		}
		if took := time.Since(began); took != time.Second || f.Info().Run != 0 {
			t.Errorf("it took %v, %+v", took, f.Info())
		}
		// It is run again when it has returned, not before, and late results
		// count for nothing.
		began = time.Now()
		f = deaf.Submit(t.Context(), ex, 0, procpool.Retries(1), procpool.RetryOn(procpool.TimeoutFailure, nil), procpool.Backoff(0, 0))
		_, err = f.Result(t.Context())
		if took := time.Since(began); !errors.As(err, &te) || te.Attempt != 2 || took != time.Minute+time.Second {
			t.Errorf("%v after %v", err, took)
		}
		<-time.After(time.Hour) // until the last attempt has returned
	})
}

// The Timeout counts neither the wait for a place nor the former attempts.
func TestInlineTimeoutCountsTheRunOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nap := procpool.Define("nap", func(ctx context.Context, n int) (int, error) {
			select {
			case <-time.After(time.Second):
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, procpool.Timeout(1500*time.Millisecond))
		ex := procpooltest.Inline(nap)
		var futures []*procpool.Future[int]
		for i := range 32 {
			futures = append(futures, nap.Submit(t.Context(), ex, i))
		}
		if _, err := procpool.All(t.Context(), futures...); err != nil {
			t.Error(err)
		}
		if info := futures[31].Info(); info.Wait != 3*time.Second || info.Run != time.Second {
			t.Errorf("%+v", info)
		}
	})
}

func TestInlineGivenUpBetweenAttempts(t *testing.T) {
	t.Parallel()
	opts := []procpool.Option{procpool.Retries(9), procpool.RetryOn(procpool.TaskFailure, nil), procpool.Backoff(time.Minute, time.Hour)}
	because := errors.New("enough")
	for name, end := range map[string]func(*procpool.Future[int], context.CancelCauseFunc){
		"Future.Cancel": func(f *procpool.Future[int], _ context.CancelCauseFunc) { f.Cancel() },
		"context":       func(_ *procpool.Future[int], cancel context.CancelCauseFunc) { cancel(because) },
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			f := flaky.Submit(ctx, procpooltest.Inline(flaky), flakyIn{"error", 99}, opts...)
			synctest.Wait()
			if info := f.Info(); info.State != procpool.Queued || info.Attempts != 1 || len(info.Failed) != 1 {
				t.Errorf("%s: between two attempts: %+v", name, info)
			}
			end(f, cancel)
			if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if n := f.Info().Attempts; n != 1 {
				t.Errorf("%s: %d attempts", name, n)
			}
			cancel(nil)
		})
	}
	// The end of the deadline comes before the second attempt.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := flaky.Submit(ctx, procpooltest.Inline(flaky), flakyIn{"error", 99}, opts...)
		_, err := f.Result(t.Context())
		synctest.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || f.Info().Attempts != 1 {
			t.Errorf("%v, %+v", err, f.Info())
		}
	})
}

// A call that waits for its next attempt takes nobody's place.
func TestInlineWaitingForAnAttemptTakesNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := procpooltest.Inline(flaky, double)
		var futures []*procpool.Future[int]
		for range 8 {
			futures = append(futures, flaky.Submit(t.Context(), ex, flakyIn{"error", 2},
				procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, nil), procpool.Backoff(time.Hour, time.Hour)))
		}
		synctest.Wait()
		began := time.Now()
		if _, err := double.Call(t.Context(), ex, 1); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := procpool.All(t.Context(), futures...); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Hour/2 || took > time.Hour {
			t.Errorf("they waited %v", took)
		}
	})
}

// journal is a task that notes when its calls begin and end.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func TestInlinePriority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		task := procpool.Define("task", func(_ context.Context, d time.Duration) (int, error) {
			<-time.After(d)
			return 0, nil
		})
		noted := procpool.Define("noted", func(_ context.Context, name string) (int, error) {
			j.note("%s", name)
			<-time.After(time.Hour)
			return 0, nil
		})
		ex := procpooltest.Inline(task, noted)
		var futures []*procpool.Future[int]
		for i := range 8 { // the places become free one after the other
			futures = append(futures, task.Submit(t.Context(), ex, time.Duration(i+1)*time.Second, procpool.Priority(-100)))
		}
		for i, p := range []int{0, -1, 5, 0, 100, 5, -100, 0} {
			futures = append(futures, noted.Submit(t.Context(), ex, fmt.Sprintf("%d: %d", i, p), procpool.Priority(p)))
		}
		if _, err := procpool.All(t.Context(), futures...); err != nil {
			t.Fatal(err)
		}
		want := []string{"4: 100", "2: 5", "5: 5", "0: 0", "3: 0", "7: 0", "1: -1", "6: -100"}
		if !slices.Equal(j.entries, want) {
			t.Errorf("ran %q, want %q", j.entries, want)
		}
	})
}

func TestInlineKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journals := map[string]*journal{"a": {}, "b": {}, "": {}}
		task := procpool.Define("task", func(ctx context.Context, in [2]string) (int, error) {
			j := journals[in[0]]
			j.note("begin %s", in[1])
			<-time.After(time.Second)
			j.note("end %s", in[1])
			if in[1] == "1" && procpool.AttemptFrom(ctx) == 1 {
				return 0, errBusy
			}
			return 0, nil
		}).KeyBy(func(in [2]string) string { return in[0] })
		again := task.With(procpool.Idempotent(), procpool.RetryOn(procpool.TaskFailure, nil))
		ex := procpooltest.Inline(task)
		var futures []*procpool.Future[int]
		began := time.Now()
		for i := range 3 {
			for _, key := range []string{"a", "b", ""} {
				h := again
				if i == 0 {
					h = task // the order holds across handles
				}
				futures = append(futures, h.Submit(t.Context(), ex, [2]string{key, fmt.Sprint(i)}))
			}
		}
		futures[3+1].Cancel() // the second of b, which waits for its key
		_ = procpool.Wait(t.Context(), procpool.UntilAll, futures[0], futures[1], futures[2], futures[3], futures[5], futures[6], futures[7], futures[8])
		synctest.Wait()
		if took := time.Since(began); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("it took %v", took) // a: four attempts one after the other
		}
		if got, want := journals["a"].entries, []string{"begin 0", "end 0", "begin 1", "end 1", "begin 1", "end 1", "begin 2", "end 2"}; !slices.Equal(got, want) {
			t.Errorf("a: %q", got)
		}
		if got, want := journals["b"].entries, []string{"begin 0", "end 0", "begin 2", "end 2"}; !slices.Equal(got, want) {
			t.Errorf("b: %q", got)
		}
		if got := journals[""].entries[:3]; !slices.Equal([]string{got[0][:5], got[1][:5], got[2][:5]}, []string{"begin", "begin", "begin"}) {
			t.Errorf("without a key: %q", got)
		}
	})
}

// A running task's own call does not wait for the key that its parent holds.
func TestInlineNestedKeyDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			ex   procpool.Executor
			task *procpool.Func[int, int]
		)
		task = procpool.Define("task", func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 1, nil
			}
			return task.Call(ctx, ex, n-1)
		}).KeyBy(func(int) string { return "the one" })
		ex = procpooltest.Inline(task)
		if got, err := task.Call(t.Context(), ex, 3); got != 1 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	})
}
