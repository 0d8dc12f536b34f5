package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var errNotFound = errors.New("not found")

// failing fails in the way its argument says.
var failing = procpool.Define("failing", func(ctx context.Context, how string) (any, error) {
	switch how {
	case "error":
		return nil, errBoom
	case "sentinel":
		return nil, fmt.Errorf("looking: %w", errNotFound)
	case "context":
		return nil, fmt.Errorf("inner: %w", context.DeadlineExceeded)
	case "refusal of another pool":
		return nil, procpool.ErrClosed
	case "panic":
		panic(errBoom)
	case "goexit":
		runtime.Goexit()
	case "result":
		return func() {}, nil
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "wait and panic":
		<-ctx.Done()
		panic(ctx.Err())
	}
	return how, nil
}, procpool.Errors(map[string]error{"not_found": errNotFound}))

// sentinels are all that an error can be asked for with errors.Is.
var sentinels = map[string]error{
	"ErrClosed":        procpool.ErrClosed,
	"ErrQueueFull":     procpool.ErrQueueFull,
	"ErrUnknownTask":   procpool.ErrUnknownTask,
	"ErrTooLarge":      procpool.ErrTooLarge,
	"ErrPoison":        procpool.ErrPoison,
	"ErrCrashed":       procpool.ErrCrashed,
	"ErrNotDone":       procpool.ErrNotDone,
	"Canceled":         context.Canceled,
	"DeadlineExceeded": context.DeadlineExceeded,
	"the task's":       errBoom,
	"a named one":      errNotFound,
}

// kinds are all that it can be asked for with errors.As.
var kinds = map[string]func(error) bool{
	"*TaskError":    is[*procpool.TaskError],
	"*PanicError":   is[*procpool.PanicError],
	"*CrashError":   is[*procpool.CrashError],
	"*StartError":   is[*procpool.StartError],
	"*CodecError":   is[*procpool.CodecError],
	"*TimeoutError": is[*procpool.TimeoutError],
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// The error contract: what each failure matches, and that it matches nothing else.
func TestErrorContract(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(failing)
	call := func(ctx context.Context, how string) error {
		_, err := failing.Call(ctx, ex, how)
		return err
	}
	refused := func(with error) error {
		return squareError(t, &stage{refuse: func(*procpool.Call) error { return with }})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	because, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errNotFound)
	short, cancelShort := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelShort()
	pending := square.Submit(t.Context(), newStage(1), 1)
	defer pending.Cancel()
	cancelled := square.Submit(t.Context(), newStage(1), 1)
	cancelled.Cancel()
	poison := func(last *procpool.CrashError) error {
		return squareError(t, &stage{refuse: func(c *procpool.Call) error { return procpool.PoisonError(c, 3, last) }})
	}

	for name, e := range map[string]struct {
		err     error
		matches string // the names of what it matches, and nothing else
	}{
		// The task failed.
		"task failed":                          {call(t.Context(), "error"), "*TaskError"},
		"task failed with a named error":       {call(t.Context(), "sentinel"), "*TaskError, a named one"},
		"task returned a context's error":      {call(t.Context(), "context"), "*TaskError"},
		"task returned another pool's refusal": {call(t.Context(), "refusal of another pool"), "*TaskError"},
		"task panicked":                        {call(t.Context(), "panic"), "*PanicError"},
		"task exited":                          {call(t.Context(), "goexit"), "*PanicError"},
		"task returned what can't be encoded":  {call(t.Context(), "result"), "*CodecError"},
		"task was sent what it does not take":  {resultOf(procpool.Remote[int, any]("failing").Call(t.Context(), ex, 1)), "*CodecError"},
		"caller gets what it does not expect":  {resultOf(procpool.Remote[string, int]("failing").Call(t.Context(), ex, "x")), "*CodecError"},
		"caller passes what can't be encoded":  {resultOf(procpool.Remote[any, int]("failing").Call(t.Context(), ex, func() {})), "*CodecError"},
		"worker died":                          {refused(&procpool.CrashError{Reason: "signal: killed"}), "*CrashError, ErrCrashed"},
		"worker died, wrapped":                 {refused(fmt.Errorf("twice: %w", &procpool.CrashError{})), "*CrashError, ErrCrashed"},
		"worker died at every attempt":         {poison(&procpool.CrashError{Reason: "signal: killed"}), "*CrashError, ErrCrashed, ErrPoison"},
		"attempt took too long":                {resultOf(failing.Call(t.Context(), ex, "wait", procpool.Timeout(time.Millisecond))), "*TimeoutError, DeadlineExceeded"},
		"attempt took too long, and it panics": {resultOf(failing.Call(t.Context(), ex, "wait and panic", procpool.Timeout(time.Millisecond))), "*TimeoutError, DeadlineExceeded"},
		"pool is closed":                       {refused(procpool.ErrClosed), "ErrClosed"},
		"queue is full":                        {refused(procpool.ErrQueueFull), "ErrQueueFull"},
		"argument is too large":                {refused(fmt.Errorf("%w: 1 GB", procpool.ErrTooLarge)), "ErrTooLarge"},
		"no worker starts":                     {refused(&procpool.StartError{Err: errBoom}), "*StartError, the task's"},
		"no such task":                         {resultOf(procpool.Remote[int, int]("nobody").Call(t.Context(), ex, 1)), "ErrUnknownTask"},
		"context ended before Submit":          {call(ended, "wait"), "Canceled"},
		"context ended before Submit, a cause": {call(because, "wait"), "Canceled, a named one"},
		"context's time is up":                 {call(short, "wait"), "DeadlineExceeded"},
		"Future.Cancel":                        {resultOf(cancelled.Result(t.Context())), "Canceled"},
		"wait ended":                           {resultOf(pending.Result(ended)), "Canceled, ErrNotDone"},
		"wait ended with a cause":              {procpool.Wait(because, procpool.UntilAll, pending), "ErrNotDone, a named one"},
		"wait for all ended":                   {resultOf(procpool.All(ended, pending)), "Canceled, ErrNotDone"},
		"served handle has no function":        {runError(procpool.Remote[int, int]("elsewhere")), "ErrUnknownTask"},
	} {
		if e.err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		want := strings.Split(e.matches, ", ")
		for what, target := range sentinels {
			checkMatch(t, name, what, errors.Is(e.err, target), want, e.err)
		}
		for what, matches := range kinds {
			checkMatch(t, name, what, matches(e.err), want, e.err)
		}
	}
}

func checkMatch(t *testing.T, name, what string, got bool, want []string, err error) {
	t.Helper()
	expected := false
	for _, w := range want {
		expected = expected || w == what
	}
	if got != expected {
		t.Errorf("%s: matches %s = %v, want %v (%v)", name, what, got, expected, err)
	}
}

func resultOf[T any](_ T, err error) error { return err }

func squareError(t *testing.T, ex procpool.Executor) error {
	t.Helper()
	_, err := square.Call(t.Context(), ex, 1)
	return err
}

func runError(task procpool.Task) error {
	_, err := task.Run(context.Background(), "cbor", encoded(1), nil)
	return err
}

// What a person reads.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`procpool: task "decode" failed: bad header`:                 &procpool.TaskError{Task: "decode", Message: "bad header"},
		`procpool: task "x" failed: KeyError: 'k'`:                   &procpool.TaskError{Task: "x", Type: "KeyError", Message: "'k'", Language: "python"},
		`procpool: task "x" failed: MemoryError`:                     &procpool.TaskError{Task: "x", Type: "MemoryError", Language: "python"},
		`procpool: task "decode" panicked: nil map`:                  &procpool.PanicError{Task: "decode", Value: "nil map"},
		`procpool: task "x" ended its goroutine with runtime.Goexit`: procpool.NewPanicError("x", nil, nil),
		`procpool: task "x" tried to end its process: SystemExit: 4`: &procpool.PanicError{
			Task: "x", Value: "SystemExit: 4", Goexit: true, Language: "python",
		},
		`procpool: worker 28379 died running "decode": signal: segmentation fault`: &procpool.CrashError{Task: "decode", PID: 28379, Reason: "signal: segmentation fault"},
		`procpool: worker 7 died running "decode": signal: killed (out of memory)`: &procpool.CrashError{Task: "decode", PID: 7, Reason: "signal: killed", OOM: procpool.OOMYes},
		`procpool: worker 7 died running "x": exit status 2 (likely out of memory); the function had returned but its result was lost`: &procpool.CrashError{
			Task: "x", PID: 7, Reason: "exit status 2", OOM: procpool.OOMLikely, Finished: true,
		},
		`procpool: can't encode the result of task "x" with codec "cbor": boom`: &procpool.CodecError{Task: "x", Codec: "cbor", Op: "encode the result", Err: errBoom},
		`procpool: can't start a worker with "python3 w.py": it ended before it was ready: exit status 1; it printed:` + "\nno module": &procpool.StartError{
			Command: []string{"python3", "w.py"}, Reason: "it ended before it was ready", Err: errors.New("exit status 1"), Output: "no module\n",
		},
		`procpool: task "x" ran longer than its Timeout of 1.5s`: &procpool.TimeoutError{Task: "x", Limit: 1500 * time.Millisecond, Attempt: 2},
		`procpool: can't start a worker: nothing to run`:         &procpool.StartError{Reason: "nothing to run"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBoom)
	if _, err := square.Call(ctx, newStage(1), 1); err.Error() != `procpool: call of task "square" given up: context canceled (boom)` {
		t.Errorf("got %v", err)
	}
	for o, want := range map[procpool.OOM]string{procpool.OOMNo: "no", procpool.OOMLikely: "likely", procpool.OOMYes: "yes"} {
		if o.String() != want {
			t.Errorf("OOM(%d) = %q, want %q", o, o, want)
		}
	}
}

// rude is an error whose every method panics.
type rude struct{}

func (rude) Error() string   { panic("no comment") }
func (rude) Is(error) bool   { panic("no comment") }
func (rude) String() string  { panic("no comment") }
func (rude) Unwrap() []error { panic("no comment") }

func TestErrorThatCannotBeShown(t *testing.T) { // T012 T082 T089
	t.Parallel()
	var nothing *emptyError
	for want, err := range map[string]error{
		"(the Error method of procpool_test.rude panicked: no comment)": rude{},
		"a\uFFFDb": errors.New("a\xffb"),
		"":         nothing,
	} {
		task := procpool.Define("rude", func(context.Context, int) (int, error) { return 0, err },
			procpool.Errors(map[string]error{"boom": errBoom}))
		_, got := task.Call(t.Context(), procpooltest.Inline(task), 1)
		var te *procpool.TaskError
		if !errors.As(got, &te) || te.Message != want || te.Type != fmt.Sprintf("%T", err) || te.Language != "go" || te.Code != "" {
			t.Errorf("%T: %#v", err, got)
		}
	}
	for want, v := range map[string]any{
		"(a procpool_test.rude that can't be shown)": rude{},
		"a\uFFFDb": "a\xffb",
		"boom":     errBoom,
		"{1 [2]}": struct {
			A int
			B []int
		}{1, []int{2}},
		"panic called with nil argument": new(runtime.PanicNilError),
	} {
		if got := procpool.NewPanicError("x", v, []byte("stack")); !strings.HasPrefix(got.Value, want) || got.Goexit || got.Stack != "stack" || got.Language != "go" {
			t.Errorf("%T: %+v", v, got)
		}
	}
}

func TestErrorsCrossTheBoundaryWithTypeAndStack(t *testing.T) { // T039 T044
	t.Parallel()
	ex := procpooltest.Inline(failing)
	var te *procpool.TaskError
	if _, err := failing.Call(t.Context(), ex, "sentinel"); !errors.As(err, &te) ||
		te.Task != "failing" || te.Type != "*fmt.wrapError" || te.Message != "looking: not found" || te.Code != "not_found" {
		t.Errorf("%#v", err)
	}
	var pe *procpool.PanicError
	if _, err := failing.Call(t.Context(), ex, "panic"); !errors.As(err, &pe) || !strings.Contains(pe.Stack, "errors_test.go") || pe.Value != "boom" {
		t.Errorf("%#v", err)
	}
}

func TestUnknownTaskErrors(t *testing.T) {
	t.Parallel()
	many := make([]string, 50)
	for i := range many {
		many[i] = fmt.Sprintf("task%02d", i)
	}
	for _, u := range []struct {
		task   string
		served []string
		want   string
	}{
		{"squre", []string{"square", "cube"}, `procpool: unknown task "squre", did you mean "square"? (served: "cube", "square")`},
		{"resize", []string{"square", "cube"}, `procpool: unknown task "resize" (served: "cube", "square")`},
		{"a", []string{"b"}, `procpool: unknown task "a" (served: "b")`},
		{"cubes", []string{"cube", "tube"}, `procpool: unknown task "cubes", did you mean "cube"? (served: "cube", "tube")`},
		{"x", nil, `procpool: unknown task "x" (no task is served)`},
		{"tasc07", many, `procpool: unknown task "tasc07", did you mean "task07"? (served are "task00", `},
		{"zzz", many, `"task19" and 30 more)`},
	} {
		s := &stage{refuse: func(c *procpool.Call) error { return procpool.UnknownTaskError(c, u.served, "do this") }}
		_, err := procpool.Remote[int, int](u.task).Call(t.Context(), s, 1)
		if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), u.want) {
			t.Errorf("got  %v\nwant %s", err, u.want)
		}
	}
	s := &stage{refuse: func(c *procpool.Call) error {
		return procpool.UnknownTaskError(c, []string{"squares"}, "pass it to workerproc.Init")
	}}
	if _, err := square.Call(t.Context(), s, 1); err.Error() != `procpool: unknown task "square": pass it to workerproc.Init (served: "squares")` {
		t.Errorf("for a task of this program: %v", err)
	}
}
