package procpooltest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var double = procpool.Define("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })

// blocked returns a task that says that it runs and waits for its context.
func blocked() (task *procpool.Func[int, int], started chan int) {
	started = make(chan int, 100)
	return procpool.Define("blocked", func(ctx context.Context, n int) (int, error) {
		started <- n
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}), started
}

func TestInlineRunsTasks(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(double)
	got, err := double.Call(t.Context(), ex, 21)
	if got != 42 || err != nil {
		t.Errorf("double(21) = %d, %v", got, err)
	}
	// A handle of the same name reaches the task too, as on the wire.
	remote := procpool.Remote[int, float64]("double")
	if got, err := remote.Call(t.Context(), ex, 4); got != 8 || err != nil {
		t.Errorf("the remote double(4) = %v, %v", got, err)
	}
}

func TestInlineValuesCrossThroughTheCodec(t *testing.T) {
	t.Parallel()
	type box struct {
		Items  []int
		hidden int
	}
	grow := procpool.Define("grow", func(_ context.Context, b box) (box, error) {
		b.Items[0] = 100
		b.Items = append(b.Items, b.hidden)
		return b, nil
	})
	mine := box{Items: []int{1, 2}, hidden: 7}
	got, err := grow.Call(t.Context(), procpooltest.Inline(grow), mine)
	if err != nil || !slices.Equal(got.Items, []int{100, 2, 0}) {
		t.Errorf("grow = %v, %v", got, err)
	}
	if mine.Items[0] != 1 {
		t.Error("the task reached its caller's memory")
	}
}

func TestInlineUnknownTask(t *testing.T) {
	t.Parallel()
	here := procpool.Define("here", func(context.Context, int) (int, error) { return 0, nil })
	ex := procpooltest.Inline(double)

	_, err := here.Call(t.Context(), ex, 1)
	if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), "procpooltest.Inline") {
		t.Errorf("a task of this program that was not passed: %v", err)
	}
	_, err = procpool.Remote[int, int]("duoble").Call(t.Context(), ex, 1)
	if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), `did you mean "double"?`) {
		t.Errorf("a slip of the pen: %v", err)
	}
}

func TestInlinePanicsAndGoexitCostTheCall(t *testing.T) {
	t.Parallel()
	end := procpool.Define("end", func(_ context.Context, how string) (int, error) {
		switch how {
		case "panic":
			panic("no way")
		case "goexit":
			runtime.Goexit()
		}
		return 1, nil
	})
	ex := procpooltest.Inline(end)

	var pe *procpool.PanicError
	_, err := end.Call(t.Context(), ex, "panic")
	if !errors.As(err, &pe) || pe.Value != "no way" || pe.Goexit || !strings.Contains(pe.Stack, "inline_test.go") {
		t.Errorf("panic: %#v", err)
	}
	_, err = end.Call(t.Context(), ex, "goexit")
	if !errors.As(err, &pe) || !pe.Goexit {
		t.Errorf("Goexit: %#v", err)
	}
	if got, err := end.Call(t.Context(), ex, ""); got != 1 || err != nil {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}

type callerKey struct{}

func TestInlineTaskSeesMetadataAndDeadlineOnly(t *testing.T) {
	t.Parallel()
	look := procpool.Define("look", func(ctx context.Context, _ int) ([]string, error) {
		_, deadline := ctx.Deadline()
		m := procpool.MetadataFrom(ctx)
		seen := []string{fmt.Sprint(m), fmt.Sprint(deadline), fmt.Sprint(ctx.Value(callerKey{}))}
		m["tenant"] = "changed"
		return seen, nil
	}, procpool.Metadata(map[string]string{"tenant": "a"}))

	ctx := context.WithValue(t.Context(), callerKey{}, "the caller's own")
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	ex := procpooltest.Inline(look)
	for range 2 {
		got, err := look.Call(ctx, ex, 0)
		if want := []string{"map[tenant:a]", "true", "<nil>"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("the task saw %q, error %v, want %q", got, err, want)
		}
	}
}

func TestInlineCancelResolvesAtOnceAndReachesTheTask(t *testing.T) {
	t.Parallel()
	because := errors.New("enough")
	for name, giveUp := range map[string]func(*procpool.Future[int], context.CancelCauseFunc){
		"Future.Cancel": func(f *procpool.Future[int], _ context.CancelCauseFunc) { f.Cancel() },
		"context":       func(_ *procpool.Future[int], cancel context.CancelCauseFunc) { cancel(because) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		left := make(chan error, 1)
		started := make(chan struct{})
		slow := procpool.Define("slow", func(ctx context.Context, _ int) (int, error) {
			close(started)
			<-ctx.Done()
			left <- ctx.Err()
			return 1, nil
		})
		f := slow.Submit(ctx, procpooltest.Inline(slow), 0)
		<-started
		if f.State() != procpool.Started {
			t.Errorf("%s: state %v while the task runs", name, f.State())
		}
		giveUp(f, cancel)
		_, err := f.Result(t.Context())
		if !errors.Is(err, context.Canceled) || errors.Is(err, because) != (name == "context") {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the task's context ended with %v", name, err)
		}
	}
}

func TestInlineRunsEightAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		task, started := blocked()
		ex := procpooltest.Inline(task)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		futures := make([]*procpool.Future[int], 20)
		for i := range futures {
			futures[i] = task.Submit(ctx, ex, i)
		}
		synctest.Wait()
		if len(started) != 8 {
			t.Fatalf("%d calls run, want 8", len(started))
		}
		if s := futures[19].State(); s != procpool.Queued {
			t.Errorf("the last call is %v", s)
		}
		// A call that waits and is cancelled never runs.
		futures[8].Cancel()
		futures[0].Cancel()
		synctest.Wait()
		if len(started) != 9 {
			t.Errorf("%d calls have started after one was over, want 9", len(started))
		}
		for len(started) > 1 {
			<-started
		}
		if n := <-started; n != 9 {
			t.Errorf("call %d followed, want 9: 8 was cancelled", n)
		}
	})
}

func TestInlineNestedCallsDontDeadlock(t *testing.T) {
	t.Parallel()
	var (
		ex  procpool.Executor
		fib *procpool.Func[int, int]
	)
	fib = procpool.Define("fib", func(ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		a, b := fib.Submit(ctx, ex, n-1), fib.Submit(ctx, ex, n-2)
		results, err := procpool.All(ctx, a, b)
		if err != nil {
			return 0, err
		}
		return results[0] + results[1], nil
	})
	ex = procpooltest.Inline(fib)
	futures := make([]*procpool.Future[int], 20)
	for i := range futures {
		futures[i] = fib.Submit(t.Context(), ex, 7)
	}
	results, err := procpool.All(t.Context(), futures...)
	if err != nil || results[19] != 13 {
		t.Errorf("fib(7) = %v, %v", results, err)
	}
}

func TestInlineMap(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(double)
	var got []int
	for v, err := range double.Map(t.Context(), ex, slices.Values([]int{1, 2, 3})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []int{2, 4, 6}) {
		t.Errorf("Map = %v", got)
	}
}

// sloppy breaks the rules that Codec states: its output is not appended, and what
// it decodes refers to the input.
type sloppy struct{ append, alias bool }

func (sloppy) Name() string { return "sloppy" }

func (s sloppy) Append(dst []byte, v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("sloppy takes []byte")
	}
	if !s.append {
		return b, nil
	}
	return append(dst, b...), nil
}

func (s sloppy) Decode(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return errors.New("sloppy yields []byte")
	}
	*p = data
	if !s.alias {
		*p = slices.Clone(data)
	}
	return nil
}

func TestInlineFindsCodecsThatBreakTheRules(t *testing.T) {
	t.Parallel()
	var kept []byte
	echo := procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) {
		kept = b
		return b, nil
	})
	for _, c := range []sloppy{{append: true}, {append: false}, {append: true, alias: true}} {
		task := echo.With(procpool.WithCodec(c))
		got, err := task.Call(t.Context(), procpooltest.Inline(task), []byte("abc"))
		var ce *procpool.CodecError
		switch {
		case !c.append:
			if !errors.As(err, &ce) || ce.Op != "encode the result" {
				t.Errorf("a codec that does not append: %q, %v", got, err)
			}
		case err != nil || string(got) != "abc":
			t.Errorf("%+v: %q, %v", c, got, err)
		case (string(kept) == "abc") == c.alias:
			t.Errorf("%+v: what the task kept of its argument is %q", c, kept)
		}
	}
}

func TestInlineErrorsCrossAsData(t *testing.T) {
	t.Parallel()
	known, secret := errors.New("known"), errors.New("secret")
	fail := procpool.Define("fail", func(_ context.Context, which string) (int, error) {
		if which == "known" {
			return 0, fmt.Errorf("wrapped: %w", known)
		}
		return 0, secret
	}, procpool.Errors(map[string]error{"known": known}))
	ex := procpooltest.Inline(fail)

	_, err := fail.Call(t.Context(), ex, "known")
	if !errors.Is(err, known) {
		t.Errorf("a named sentinel: %v", err)
	}
	// A caller who does not name it does not get it, as from another process.
	_, err = procpool.Remote[string, int]("fail").Call(t.Context(), ex, "known")
	var te *procpool.TaskError
	if errors.Is(err, known) || !errors.As(err, &te) || te.Code != "known" {
		t.Errorf("a sentinel that the caller does not name: %#v", err)
	}
	if _, err = fail.Call(t.Context(), ex, "secret"); errors.Is(err, secret) || !errors.As(err, &te) {
		t.Errorf("an error that nobody named: %#v", err)
	}
	// So it is with what a codec found.
	_, err = procpool.Remote[string, int]("double").Call(t.Context(), procpooltest.Inline(double), "x")
	var ce *procpool.CodecError
	if !errors.As(err, &ce) || fmt.Sprintf("%T", ce.Err) != "*errors.errorString" {
		t.Errorf("a codec's error: %#v", err)
	}
}

func TestInlineRefusesBadTasks(t *testing.T) {
	t.Parallel()
	for want, tasks := range map[string][]procpool.Task{
		"a task is nil":      {nil},
		"two tasks have the": {double, double.With(procpool.NoWait())},
		"is a Remote handle": {procpool.Remote[int, int]("elsewhere")},
	} {
		func() {
			defer func() {
				if p, ok := recover().(string); !ok || !strings.Contains(p, want) {
					t.Errorf("panicked with %v, want %q", p, want)
				}
			}()
			procpooltest.Inline(tasks...)
		}()
	}
}

// own is a task that is no Func.
type own struct{ ran *atomic.Int32 }

func (own) Name() string                { return "own" }
func (own) Describe() procpool.TaskInfo { return procpool.TaskInfo{Name: "own"} }
func (o own) Run(_ context.Context, _ string, in, out []byte) ([]byte, error) {
	o.ran.Add(1)
	return append(out, in...), nil
}

func TestInlineTakesAnyTask(t *testing.T) {
	t.Parallel()
	task := own{ran: new(atomic.Int32)}
	got, err := procpool.Remote[map[string]int, map[string]int]("own").Call(t.Context(), procpooltest.Inline(task), map[string]int{"a": 1})
	if err != nil || !maps.Equal(got, map[string]int{"a": 1}) || task.ran.Load() != 1 {
		t.Errorf("own = %v, %v, ran %d times", got, err, task.ran.Load())
	}
}

func TestInlineInfo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rest := procpool.Define("rest", func(ctx context.Context, d time.Duration) (int, error) {
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
			return os.Getpid(), nil
		})
		f := rest.Submit(t.Context(), procpooltest.Inline(rest), time.Second)
		synctest.Wait()
		if info := f.Info(); info.State != procpool.Started || info.Run != 0 || info.Attempts != 1 {
			t.Errorf("while it runs: %+v", info)
		}
		if _, err := f.Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info := f.Info(); info.State != procpool.Done || info.Run != time.Second || info.Task != "rest" {
			t.Errorf("afterwards: %+v", info)
		}
	})
}

// countingContext counts who waits for its end.
type countingContext struct {
	context.Context //nolint:containedctx // it stands for it
	waiting         atomic.Int64
}

// Value hides that the context is one of package context, which would be asked
// itself.
func (*countingContext) Value(any) any { return nil }

func (c *countingContext) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	var once atomic.Bool
	return func() bool {
		if !once.CompareAndSwap(false, true) {
			return false
		}
		c.waiting.Add(-1)
		return true
	}
}

// A context that outlives its calls must not collect them.
func TestInlineLeavesNothingWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		long := &countingContext{Context: ctx}
		ex := procpooltest.Inline(double)
		for i := range 100 {
			if _, err := double.Call(long, ex, i); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := long.waiting.Load(); n != 0 {
			t.Errorf("the context knows %d calls that are over", n)
		}
	})
}
