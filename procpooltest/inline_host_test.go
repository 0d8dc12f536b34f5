package procpooltest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// sum adds the numbers below n by calls of itself.
var sum = procpool.Define("sum", func(ctx context.Context, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	below, err := sumHandle.Call(ctx, procpool.ExecutorFrom(ctx), n-1)
	return below + n - 1, err
})

// sumHandle is what sum calls itself by: a variable can't refer to itself.
var sumHandle = procpool.Remote[int, int]("sum")

func TestInlineTasksRecurse(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(sum)
	futures := make([]*procpool.Future[int], 20) // more than run at once
	for i := range futures {
		futures[i] = sum.Submit(t.Context(), ex, 50)
	}
	results, err := procpool.All(t.Context(), futures...)
	if err != nil || results[19] != 50*49/2 {
		t.Errorf("%v, %v", results, err)
	}
	_, err = sum.Call(t.Context(), ex, 101)
	if te, ok := errors.AsType[*procpool.TaskError](err); !ok || !strings.Contains(te.Message, "nested more than 100 deep") {
		t.Errorf("without end: %.200v", err)
	}
}

// A task calls streams and sessions of its own pool as others do.
func TestInlineNestedStreamsAndSessions(t *testing.T) {
	t.Parallel()
	both := procpool.Define("both", func(ctx context.Context, n int) (int, error) {
		ex := procpool.ExecutorFrom(ctx)
		talk := procpool.RemoteSession[int, int, int]("hold_session").Open(ctx, ex, 0)
		defer talk.Close()
		for v, err := range procpool.RemoteStream[int, int]("hold_stream").All(ctx, ex, 0) {
			if err != nil {
				return 0, err
			}
			if err := talk.Send(ctx, v+n); err != nil {
				return 0, err
			}
			break
		}
		return talk.Recv(ctx)
	})
	if v, err := both.Call(t.Context(), procpooltest.Inline(both, holdSession, holdStream), 6); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

// orphan leaves a call behind that goes on for as long as it may.
func orphan(how string) (parent *procpool.Func[int, int], child *procpool.Func[int, int], left chan *procpool.Future[int], ended chan error) {
	left, ended = make(chan *procpool.Future[int], 1), make(chan error, 1)
	started := make(chan struct{})
	child = procpool.Define("child", func(ctx context.Context, _ int) (int, error) {
		close(started)
		<-ctx.Done()
		ended <- ctx.Err()
		return 0, ctx.Err()
	})
	parent = procpool.Define("parent", func(ctx context.Context, n int) (int, error) {
		left <- child.Submit(context.Background(), procpool.ExecutorFrom(ctx), 0)
		<-started
		switch how {
		case "returns":
			return n, nil
		case "panics":
			panic(how)
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	return parent, child, left, ended
}

func TestInlineChildrenEndWithTheirParent(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"returns", "panics", "its caller leaves", "is cancelled"} {
		synctest.Test(t, func(t *testing.T) {
			parent, child, left, ended := orphan(how)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := parent.Submit(ctx, procpooltest.Inline(parent, child), 1)
			c := <-left
			synctest.Wait()
			switch how {
			case "its caller leaves":
				cancel()
			case "is cancelled":
				p.Cancel()
			}
			if _, err := c.Result(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the child: %v", how, err)
			} else if (how == "returns" || how == "panics") && !strings.Contains(err.Error(), "the task has ended") {
				t.Errorf("%s: the child's error does not say why: %v", how, err)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the child's context: %v", how, err)
			}
			<-p.Done()
			synctest.Wait()
		})
	}
}

func TestInlineHostAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inside context.Context
		leak := procpool.Define("leak", func(ctx context.Context, _ int) (int, error) {
			inside = ctx //nolint:fatcontext // it is to be seen what it is good for afterwards
			procpool.Report(ctx, 0.5, "half way")
			return 0, nil
		})
		ex := procpooltest.Inline(leak, double)
		f := leak.Submit(t.Context(), ex, 0)
		if _, err := f.Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		procpool.Report(inside, 1, "too late")
		if p := f.Info().Progress; p.Text != "half way" {
			t.Errorf("progress %+v", p)
		}
		for _, ctx := range []context.Context{inside, context.WithoutCancel(inside), t.Context()} {
			if _, err := double.Call(ctx, procpool.ExecutorFrom(inside), 1); !errors.Is(err, context.Canceled) {
				t.Errorf("a call of a task that has ended: %v", err)
			}
		}
	})
}

func TestInlineTimeoutDoesNotCountNestedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nap := procpool.Define("nap", func(ctx context.Context, d time.Duration) (int, error) {
			select {
			case <-time.After(d):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		boss := procpool.Define("boss", func(ctx context.Context, own time.Duration) (int, error) {
			ex := procpool.ExecutorFrom(ctx)
			a, b := nap.Submit(ctx, ex, time.Hour), nap.Submit(ctx, ex, 2*time.Hour)
			if _, err := procpool.All(ctx, a, b); err != nil {
				return 0, err
			}
			_, err := nap.Submit(ctx, ex, time.Hour).Result(ctx)
			<-time.After(own)
			return 1, err
		}, procpool.Timeout(time.Second))
		ex := procpooltest.Inline(nap, boss)
		f := boss.Submit(t.Context(), ex, 900*time.Millisecond)
		if v, err := f.Result(t.Context()); v != 1 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		if ran := f.Info().Run; ran != 900*time.Millisecond {
			t.Errorf("it ran for %v", ran)
		}
		_, err := boss.Call(t.Context(), ex, 1100*time.Millisecond)
		if _, late := errors.AsType[*procpool.TimeoutError](err); !late {
			t.Errorf("%v", err)
		}
		<-time.After(time.Second)
	})
}

func TestInlineProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step := make(chan string)
		slow := procpool.Define("slow", func(ctx context.Context, _ int) (int, error) {
			n := 0.0
			for text := range step {
				if text == "fail" {
					return 0, errBusy
				}
				n++
				procpool.Report(ctx, n/10, text)
			}
			return 0, nil
		}, procpool.Retries(1), procpool.RetryOn(procpool.TaskFailure, nil))
		f := slow.Submit(t.Context(), procpooltest.Inline(slow), 0)
		if p := f.Info().Progress; p != (procpool.Progress{}) {
			t.Errorf("before the first report: %+v", p)
		}
		for i, text := range []string{"one", "two"} {
			step <- text
			synctest.Wait()
			if p := f.Info().Progress; p.Text != text || p.Fraction != float64(i+1)/10 || p.Time.IsZero() {
				t.Errorf("progress %+v", p)
			}
		}
		step <- "fail"
		synctest.Wait()
		if p := f.Info().Progress; p != (procpool.Progress{}) {
			t.Errorf("of an attempt that failed: %+v", p)
		}
		step <- "again"
		close(step)
		if _, err := f.Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := f.Info().Progress; p.Text != "again" {
			t.Errorf("afterwards: %+v", p)
		}
	})
}

func TestInlineLogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	log := new(bytes.Buffer)
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	talk := procpool.Define("talk", func(ctx context.Context, n int) (int, error) {
		procpool.Logger(ctx).Info("hello", "n", n)
		if procpool.AttemptFrom(ctx) == 1 {
			return 0, errBusy
		}
		return n, nil
	}, procpool.Retries(1), procpool.RetryOn(procpool.TaskFailure, nil), procpool.Backoff(0, 0))
	f := talk.Submit(t.Context(), procpooltest.Inline(talk), 7)
	if _, err := f.Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, line := range lines {
		want := fmt.Sprintf("msg=hello task=talk call=%d attempt=%d n=7", f.Info().Call, i+1)
		if !strings.Contains(line, want) {
			t.Errorf("logged %q, want %q", line, want)
		}
	}
	if len(lines) != 2 {
		t.Errorf("logged %q", lines)
	}
}

func TestInlineNumbersCalls(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(double)
	var numbers []int64
	for i := range 3 {
		f := double.Submit(t.Context(), ex, i)
		<-f.Done()
		numbers = append(numbers, f.Info().Call)
	}
	if !slices.Equal(numbers, []int64{1, 2, 3}) {
		t.Errorf("the calls are %v", numbers)
	}
}
