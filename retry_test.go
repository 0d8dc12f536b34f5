package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// staged submits a call with the options and returns it, in the hands of a stage.
func staged(ctx context.Context, opts ...procpool.Option) (*procpool.Call, *procpool.Future[int]) {
	s := newStage(1)
	f := square.Submit(ctx, s, 3, opts...)
	return s.start(), f
}

var (
	crash    = &procpool.CrashError{Task: "square", PID: 7, Reason: "signal: killed"}
	oom      = &procpool.CrashError{Task: "square", PID: 7, Reason: "signal: killed", OOM: procpool.OOMYes}
	likely   = &procpool.CrashError{Task: "square", PID: 7, Reason: "exit status 2", OOM: procpool.OOMLikely}
	timeout  = &procpool.TimeoutError{Task: "square", Limit: time.Second, Attempt: 1}
	failed   = &procpool.TaskError{Task: "square", Message: "boom", Code: "boom"}
	panicked = procpool.NewPanicError("square", "boom", nil)
)

// same reports whether two errors are one.
func same(a, b error) bool { return a == b } //nolint:errorlint // that is the question

// Which failures are a reason, by the options that were given.
func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	on := procpool.RetryOn
	never := func(error) bool { return false }
	for name, c := range map[string]struct {
		opts []procpool.Option
		want string // one letter each for crash, oom, likely, timeout, failed, panicked, and what is no reason
	}{
		"nothing":            {nil, "-------"},
		"reasons alone":      {[]procpool.Option{on(procpool.CrashFailure, nil), on(procpool.TaskFailure, nil)}, "-------"},
		"backoff alone":      {[]procpool.Option{procpool.Backoff(1, 2)}, "-------"},
		"idempotent":         {[]procpool.Option{procpool.Idempotent()}, "com----"},
		"retries":            {[]procpool.Option{procpool.Retries(1)}, "com----"},
		"none":               {[]procpool.Option{procpool.Retries(0)}, "-------"},
		"none after all":     {[]procpool.Option{procpool.Idempotent(), procpool.Retries(0)}, "-------"},
		"some after none":    {[]procpool.Option{procpool.Retries(0), procpool.Idempotent()}, "com----"},
		"timeouts, too":      {[]procpool.Option{on(procpool.TimeoutFailure, nil), procpool.Idempotent()}, "comt---"},
		"task failures, too": {[]procpool.Option{procpool.Idempotent(), on(procpool.TaskFailure, nil)}, "com-fp-"},
		"all":                {[]procpool.Option{procpool.Idempotent(), on(procpool.TaskFailure, nil), on(procpool.TimeoutFailure, nil)}, "comtfp-"},
		"no crashes":         {[]procpool.Option{procpool.Idempotent(), on(procpool.CrashFailure, never)}, "-om----"},
		"no OOM":             {[]procpool.Option{procpool.Idempotent(), on(procpool.OOMFailure, never)}, "c------"},
		"errors, no panics":  {[]procpool.Option{procpool.Idempotent(), on(procpool.TaskFailure, is[*procpool.TaskError])}, "com-f--"},
		"a predicate panics": {[]procpool.Option{procpool.Idempotent(), on(procpool.CrashFailure, func(error) bool { panic("no") })}, "-om----"},
		"the last counts":    {[]procpool.Option{procpool.Idempotent(), on(procpool.CrashFailure, never), on(procpool.CrashFailure, nil)}, "com----"},
	} {
		call, f := staged(t.Context(), c.opts...)
		got := []byte(c.want)
		for i, err := range []error{crash, oom, likely, timeout, failed, panicked, procpool.ErrClosed} {
			wait, again, final := call.Retry(1, err)
			if again != (final == nil) || !again && (wait != 0 || !errors.Is(final, err) && final.Error() != err.Error()) {
				t.Errorf("%s: after %v: %v, %v, %v", name, err, wait, again, final)
			}
			if got[i] = '-'; again {
				got[i] = "comtfp!"[i]
			}
		}
		if string(got) != c.want {
			t.Errorf("%s: run again after %s, want %s", name, got, c.want)
		}
		if may := call.MayRetry(); !may && c.want != "-------" {
			t.Errorf("%s: MayRetry = %v", name, may)
		}
		for _, err := range []error{&procpool.CodecError{}, procpool.ErrUnknownTask, &procpool.StartError{}, procpool.CancelError(t.Context(), call)} {
			if _, again, _ := call.Retry(1, err); again {
				t.Errorf("%s: run again after %v", name, err)
			}
		}
		f.Cancel()
	}
}

// How often, and what is left when that is used up.
func TestRetriesAreUsedUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts []procpool.Option
		n    int
	}{
		"idempotent":                   {[]procpool.Option{procpool.Idempotent()}, 2},
		"retries":                      {[]procpool.Option{procpool.Retries(5)}, 5},
		"idempotent changes no number": {[]procpool.Option{procpool.Retries(1), procpool.Idempotent()}, 1},
		"retries change it":            {[]procpool.Option{procpool.Idempotent(), procpool.Retries(100)}, 100},
	} {
		call, f := staged(t.Context(), append(c.opts, procpool.RetryOn(procpool.TimeoutFailure, nil))...)
		for failures := range c.n {
			if _, again, final := call.Retry(failures+1, crash); !again || final != nil {
				t.Errorf("%s: after %d failures: %v, %v", name, failures+1, again, final)
			}
		}
		_, again, final := call.Retry(c.n+1, crash)
		var ce *procpool.CrashError
		if again || !errors.Is(final, procpool.ErrPoison) || !errors.As(final, &ce) || ce != crash {
			t.Errorf("%s: used up: %v, %v", name, again, final)
		}
		want := fmt.Sprintf(`procpool: task "square" is given up after %d attempts: procpool: worker 7 died running "square": signal: killed`, c.n+1)
		if final.Error() != want {
			t.Errorf("%s: got  %v\nwant %s", name, final, want)
		}
		if _, again, final = call.Retry(c.n+1, timeout); again || !same(final, timeout) {
			t.Errorf("%s: used up by a timeout: %v, %v", name, again, final)
		}
		f.Cancel()
	}
	// A crash that a predicate refuses is no poison.
	call, f := staged(t.Context(), procpool.Idempotent(), procpool.RetryOn(procpool.CrashFailure, func(error) bool { return false }))
	defer f.Cancel()
	if _, _, final := call.Retry(9, crash); errors.Is(final, procpool.ErrPoison) {
		t.Error(final)
	}
}

// A predicate gets what the caller would get: the sentinel too.
func TestRetryPredicateSeesTheCallersError(t *testing.T) {
	t.Parallel()
	var asked []error
	call, f := staged(t.Context(), procpool.Retries(1), procpool.Errors(map[string]error{"boom": errBoom}),
		procpool.RetryOn(procpool.TaskFailure, func(err error) bool {
			asked = append(asked, err)
			return errors.Is(err, errBoom)
		}))
	if _, again, _ := call.Retry(1, failed); !again {
		t.Error("not run again")
	}
	if _, again, final := call.Retry(1, &procpool.TaskError{Message: "another"}); again || errors.Is(final, errBoom) {
		t.Errorf("run again: %v, %v", again, final)
	}
	if len(asked) != 2 || !errors.Is(asked[0], errBoom) || errors.Is(failed, errBoom) {
		t.Errorf("it was asked about %v", asked)
	}
	call.NoteFailed(procpool.Attempt{Worker: 1, PID: 2, Run: 3, Err: failed})
	call.NoteFailed(procpool.Attempt{Err: crash})
	_, _, final := call.Retry(2, failed)
	call.Finish(nil, final)
	if _, err := f.Result(t.Context()); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	info := f.Info()
	if len(info.Failed) != 2 || info.Failed[0].Worker != 1 || info.Failed[0].PID != 2 || info.Failed[0].Run != 3 ||
		!errors.Is(info.Failed[0].Err, errBoom) || !same(info.Failed[1].Err, crash) {
		t.Errorf("%+v", info)
	}
}

// A call whose time is up is not run again, and a task's error is then the
// deadline's.
func TestRetryPastTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call, _ := staged(ctx, procpool.Retries(9), procpool.RetryOn(procpool.TaskFailure, nil), procpool.RetryOn(procpool.TimeoutFailure, nil))
		for _, err := range []error{failed, crash, timeout} {
			if _, again, _ := call.Retry(1, err); !again {
				t.Errorf("in time, after %v: not run again", err)
			}
		}
		<-time.After(time.Second)
		for _, err := range []error{failed, panicked, crash, timeout} {
			_, again, final := call.Retry(1, err)
			if again || errors.Is(err, procpool.ErrCrashed) && !same(final, err) {
				t.Errorf("late, after %v: %v, %v", err, again, final)
			}
			if same(err, failed) && (!errors.Is(final, context.DeadlineExceeded) || is[*procpool.TaskError](final)) {
				t.Errorf("a task's late error: %v", final)
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	most := time.Duration(1<<63 - 1)
	for _, c := range []struct {
		opts []procpool.Option
		want []time.Duration // the longest wait after 1, 2, 3 ... failures
	}{
		{nil, []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1280 * ms, 2560 * ms, 5 * time.Second, 5 * time.Second}},
		{[]procpool.Option{procpool.Backoff(time.Second, 3*time.Second)}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}},
		{[]procpool.Option{procpool.Backoff(time.Second, time.Second)}, []time.Duration{time.Second, time.Second, time.Second}},
		{[]procpool.Option{procpool.Backoff(0, time.Hour)}, []time.Duration{0, 0, 0}},
		{[]procpool.Option{procpool.Backoff(0, 0)}, []time.Duration{0, 0, 0}},
		{[]procpool.Option{procpool.Backoff(most, most)}, []time.Duration{most, most, most}},
	} {
		call, f := staged(t.Context(), append(c.opts, procpool.Retries(100))...)
		for i, want := range c.want {
			low, high := want, time.Duration(0)
			for range 200 {
				wait, again, _ := call.Retry(i+1, crash)
				if !again || wait > want || wait < want/2-1 {
					t.Fatalf("after %d failures: a wait of %v, want %v to %v", i+1, wait, want/2, want)
				}
				low, high = min(low, wait), max(high, wait)
			}
			if want > 0 && (low > want/4*3 || high < want/4*3) {
				t.Errorf("after %d failures it waits %v to %v, which is no half of %v by chance", i+1, low, high, want)
			}
		}
		last := c.want[len(c.want)-1]
		for n := len(c.want); n <= 100; n++ {
			if wait, _, _ := call.Retry(n, crash); wait > last || wait < 0 {
				t.Errorf("after %d failures it waits %v", n, wait)
			}
		}
		f.Cancel()
	}
}

func TestBadRetryOptions(t *testing.T) {
	t.Parallel()
	for want, fn := range map[string]func(){
		"Retries(-1)":        func() { procpool.Retries(-1) },
		"Retries(101)":       func() { procpool.Retries(101) },
		"RetryOn(0)":         func() { procpool.RetryOn(0, nil) },
		"RetryOn(5)":         func() { procpool.RetryOn(procpool.TaskFailure+1, nil) },
		"Backoff(-1ns, 1s)":  func() { procpool.Backoff(-1, time.Second) },
		"Backoff(2s, 1s)":    func() { procpool.Backoff(2*time.Second, time.Second) },
		"Timeout(0s)":        func() { procpool.Timeout(0) },
		"Timeout(-1s)":       func() { procpool.Timeout(-time.Second) },
		"Priority(101)":      func() { procpool.Priority(101) },
		"Priority(-101)":     func() { procpool.Priority(-101) },
		"is between -100 an": func() { procpool.Priority(1 << 40) },
	} {
		mustPanic(t, want, fn)
	}
	procpool.Retries(100)
	procpool.Priority(-100)
	procpool.Priority(100)
	for class, want := range map[procpool.FailureClass]string{
		0: "invalid", procpool.CrashFailure: "crash", procpool.OOMFailure: "out of memory",
		procpool.TimeoutFailure: "timeout", procpool.TaskFailure: "task failure", procpool.TaskFailure + 1: "invalid",
	} {
		if class.String() != want {
			t.Errorf("class %d is %q, want %q", class, class, want)
		}
	}
}

// A handle's policy is its own: changing a copy or one call leaves it alone.
func TestRetryOptionsChangeCopies(t *testing.T) {
	t.Parallel()
	base := square.With(procpool.Retries(3))
	more := base.With(procpool.RetryOn(procpool.TaskFailure, nil), procpool.Retries(7))
	for range 2 {
		for _, c := range []struct {
			handle *procpool.Func[int, int]
			opts   []procpool.Option
			n      int
			fails  bool
		}{
			{square, nil, 0, false},
			{base, nil, 3, false},
			{more, nil, 7, true},
			{base, []procpool.Option{procpool.Retries(0)}, 0, false},
			{base, []procpool.Option{procpool.RetryOn(procpool.TaskFailure, nil)}, 3, true},
		} {
			s := newStage(1)
			f := c.handle.Submit(t.Context(), s, 3, c.opts...)
			call := s.start()
			_, again, _ := call.Retry(max(c.n, 1), crash)
			_, more, _ := call.Retry(c.n+1, crash)
			_, failure, _ := call.Retry(1, failed)
			if again != (c.n > 0) || more || failure != c.fails {
				t.Errorf("%d: %v, %v, %v", c.n, again, more, failure)
			}
			f.Cancel()
		}
	}
}
