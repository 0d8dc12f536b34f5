package procpool_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func TestStreamEmitBySeveralGoroutines(t *testing.T) {
	t.Parallel()
	many := procpool.DefineStream("many", func(_ context.Context, n int, emit func(int) error) error {
		var (
			all    sync.WaitGroup
			failed error
			once   sync.Once
		)
		for g := range 8 {
			all.Go(func() {
				for i := range n {
					if err := emit(g*n + i); err != nil {
						once.Do(func() { failed = err })
						return
					}
				}
			})
		}
		all.Wait()
		return failed
	}, procpool.Window(3))
	got, errs := drain(many.All(t.Context(), procpooltest.Inline(many), 100))
	slices.Sort(got)
	if errs != nil || !slices.Equal(got, upTo(800)) {
		t.Errorf("got %d values, %v", len(got), errs)
	}
}

// A goroutine that outlives its task can't write into another call.
func TestStreamEmitAfterTheEnd(t *testing.T) {
	t.Parallel()
	returned, late := make(chan struct{}), make(chan error, 1)
	stray := procpool.DefineStream("stray", func(_ context.Context, how string, emit func(int) error) error {
		go func() {
			<-returned
			late <- emit(2)
		}()
		if err := emit(1); err != nil {
			return err
		}
		if how == "panic" {
			panic(how)
		}
		return nil
	})
	for _, how := range []string{"return", "panic"} {
		got, _ := drain(stray.All(t.Context(), procpooltest.Inline(stray), how))
		returned <- struct{}{}
		if err := <-late; len(got) != 1 || err == nil || !strings.Contains(err.Error(), `"stray" has returned`) {
			t.Errorf("%s: got %v, emit says %v", how, got, err)
		}
	}
}

func TestStreamRunsAgainBeforeItsFirstValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		shaky := procpool.DefineStream("shaky", func(ctx context.Context, fails int, emit func(int) error) error {
			attempts++
			if n := procpool.AttemptFrom(ctx); n != attempts {
				t.Errorf("attempt %d is told that it is %d", attempts, n)
			}
			if fails >= 0 && attempts <= fails {
				return errBoom
			}
			if err := emit(attempts); err != nil {
				return err
			}
			if fails < 0 {
				return errBoom
			}
			return emit(-1)
		}, procpool.RetryOn(procpool.TaskFailure, nil))
		ex := procpooltest.Inline(shaky)
		for _, c := range []struct {
			fails, attempts int
			opts            []procpool.Option
			ok              bool
		}{
			{fails: 0, attempts: 1, ok: true},
			{fails: 1, attempts: 1}, // nobody has allowed it
			{fails: 2, attempts: 3, opts: []procpool.Option{procpool.Retries(2)}, ok: true},
			{fails: 3, attempts: 3, opts: []procpool.Option{procpool.Retries(2)}},
			{fails: -1, attempts: 1, opts: []procpool.Option{procpool.Retries(2)}}, // a value has passed
		} {
			attempts = 0
			got, errs := drain(shaky.All(t.Context(), ex, c.fails, c.opts...))
			if attempts != c.attempts || (errs == nil) != c.ok || c.ok && !slices.Equal(got, []int{c.attempts, -1}) || c.fails < 0 && len(got) != 1 {
				t.Errorf("%+v: %d attempts, got %v, %v", c, attempts, got, errs)
			}
		}
	})
}

// What an attempt sends once it was decided that another is to follow reaches nobody,
// and is no reason against that other.
func TestStreamAttemptThatLingers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lingering := procpool.DefineStream("lingering", func(ctx context.Context, _ int, emit func(int) error) error {
			attempt := procpool.AttemptFrom(ctx)
			if attempt == 1 {
				<-time.After(time.Minute) // whatever its context says
			}
			for range 10 {
				if err := emit(attempt); err != nil {
					return err
				}
			}
			return nil
		}, procpool.Timeout(time.Second), procpool.Retries(1), procpool.RetryOn(procpool.TimeoutFailure, nil))
		got, errs := drain(lingering.All(t.Context(), procpooltest.Inline(lingering), 0))
		if errs != nil || !slices.Equal(got, slices.Repeat([]int{2}, 10)) {
			t.Errorf("got %v, %v", got, errs)
		}
	})
}

// The same from an executor's side.
func TestRetryCutsOff(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	echo := procpool.RemoteSession[int, int, int]("echo", procpool.Retries(3), procpool.Window(2))
	talk := echo.Open(t.Context(), s, 0)
	defer talk.Close()
	c := s.start()
	d := c.Conduit()
	crash := &procpool.CrashError{Task: "echo"}

	far := new(fakeFar)
	first := d.Attach(far, 0)
	first.Credit(10, 1000)
	if !c.MayRetry() {
		t.Error("a session of which no value has passed may not be run again")
	}
	if _, again, _ := c.Retry(1, crash); !again {
		t.Fatal("it is not run again")
	}
	first.Values([][]byte{encoded(1)})
	first.Credit(10, 1000)
	if !c.MayRetry() {
		t.Error("what a former attempt has sent counts")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := talk.Send(ctx, 1); !errors.Is(err, procpool.ErrNotDone) {
		t.Errorf("a value was sent to a former attempt: %v", err)
	}

	second := d.Attach(far, 0)
	second.Credit(10, 1000)
	if err := talk.Send(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if c.MayRetry() {
		t.Error("it may be run again though a value has passed")
	}
	if _, again, err := c.Retry(2, crash); again || !errors.Is(err, crash) {
		t.Errorf("it is run again though a value has passed: %v, %v", again, err)
	}
	second.Values([][]byte{encoded(7)})
	if v, err := talk.Recv(t.Context()); v != 7 || err != nil {
		t.Errorf("Recv = %d, %v", v, err)
	}
	if _, again, err := c.Retry(4, crash); again || !errors.Is(err, procpool.ErrPoison) {
		t.Errorf("used up: %v, %v", again, err)
	}
}

func TestStreamTimeoutDoesNotCountWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		work := procpool.DefineStream("work", func(ctx context.Context, each time.Duration, emit func(int) error) error {
			for i := range 10 {
				select {
				case <-time.After(each):
				case <-ctx.Done():
					return ctx.Err()
				}
				if err := emit(i); err != nil {
					return err
				}
			}
			return nil
		}, procpool.Window(1), procpool.Timeout(time.Second))
		ex := procpooltest.Inline(work)
		var got []int
		for v, err := range work.All(t.Context(), ex, 99*time.Millisecond) {
			if err != nil {
				t.Fatalf("after %v: %v", got, err)
			}
			got = append(got, v)
			<-time.After(time.Hour) // a reader that takes its time
		}
		if len(got) != 10 {
			t.Errorf("got %v", got)
		}
		got, errs := drain(work.All(t.Context(), ex, 400*time.Millisecond))
		if len(got) != 2 || len(errs) != 1 {
			t.Fatalf("%v, %v", got, errs)
		}
		if te, ok := errors.AsType[*procpool.TimeoutError](errs[0]); !ok || te.Limit != time.Second {
			t.Errorf("%v", errs[0])
		}
		synctest.Wait()
	})
}

func TestTaskIsCalledAsWhatItIs(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(square, upward, echo)
	_, err := procpool.Remote[int, int]("upward").Call(t.Context(), ex, 1)
	if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), `"upward" that is a function: it is a stream`) {
		t.Errorf("a stream called as a function: %v", err)
	}
	_, errs := drain(procpool.RemoteStream[int, int]("square").All(t.Context(), ex, 1))
	if len(errs) != 1 || !errors.Is(errs[0], procpool.ErrUnknownTask) || !strings.Contains(errs[0].Error(), `"square" that is a stream: it is a function`) {
		t.Errorf("a function called as a stream: %v", errs)
	}
	_, errs = drain(procpool.RemoteStream[string, int]("echo").All(t.Context(), ex, ""))
	if len(errs) != 1 || !errors.Is(errs[0], procpool.ErrUnknownTask) {
		t.Errorf("a session called as a stream: %v", errs)
	}
	// Where an executor does not look, the task does.
	for _, task := range []procpool.StreamTask{upward, echo} {
		out, err := task.Run(t.Context(), "cbor", nil, []byte("kept"))
		if string(out) != "kept" || !errors.Is(err, procpool.ErrUnknownTask) {
			t.Errorf("%s.Run = %q, %v", task.Name(), out, err)
		}
	}
	for _, task := range []procpool.StreamTask{procpool.RemoteStream[int, int]("far"), procpool.RemoteSession[int, int, int]("far")} {
		if err := task.RunStream(t.Context(), "cbor", nil, nil); !errors.Is(err, procpool.ErrUnknownTask) {
			t.Errorf("a handle without a function runs: %v", err)
		}
	}
	for _, task := range []procpool.StreamTask{upward, echo} {
		var ce *procpool.CodecError
		if err := task.RunStream(t.Context(), "morse", nil, nil); !errors.As(err, &ce) || ce.Codec != "morse" {
			t.Errorf("%s with a codec that nobody knows: %v", task.Name(), err)
		}
	}
}

func TestStreamAndSessionHandles(t *testing.T) {
	t.Parallel()
	mustPanic(t, "DefineStream(\"x\"): the function is nil", func() { procpool.DefineStream[int, int]("x", nil) })
	mustPanic(t, "DefineSession(\"x\"): the function is nil", func() { procpool.DefineSession[int, int, int]("x", nil) })
	mustPanic(t, "RemoteStream: a task needs a name", func() { procpool.RemoteStream[int, int]("") })
	mustPanic(t, "RemoteSession(\"a b\")", func() { procpool.RemoteSession[int, int, int]("a b") })
	noStream := func(context.Context, int, func(int) error) error { return nil }
	noSession := func(context.Context, int, iter.Seq[int], func(int) error) error { return nil }
	mustPanic(t, "DefineStream: a task needs a name", func() { procpool.DefineStream("", noStream) })
	mustPanic(t, "DefineSession: a task needs a name", func() { procpool.DefineSession("", noSession) })

	info := procpool.DefineStream("s", func(context.Context, string, func([]int) error) error { return nil }).Describe()
	if info.Name != "s" || info.Kind != procpool.KindStream || info.In != "string" || info.Out != "[]int" || info.Receives != "" || !slices.Contains(info.Codecs, "cbor") {
		t.Errorf("stream: %+v", info)
	}
	info = procpool.DefineSession("t", func(context.Context, string, iter.Seq[bool], func([]int) error) error { return nil }, procpool.WithCodec(procpool.JSON)).Describe()
	if info.Name != "t" || info.Kind != procpool.KindSession || info.In != "string" || info.Out != "[]int" || info.Receives != "bool" || info.Codecs[0] != "json" {
		t.Errorf("session: %+v", info)
	}
	if k := square.Describe().Kind; k != procpool.KindFunction {
		t.Errorf("a function is a %v", k)
	}
	if !upward.Local() || procpool.RemoteStream[int, int]("x").Local() || !echo.Local() || procpool.RemoteSession[int, int, int]("x").Local() {
		t.Error("Local is wrong")
	}

	s := newStage(2)
	handle := upward.With(procpool.Priority(7))
	read := make(chan struct{})
	go func() {
		defer close(read)
		drain(handle.With(procpool.Priority(9)).All(t.Context(), s, 1))
	}()
	if c := s.start(); c.Priority() != 9 || c.Kind() != procpool.KindStream || c.Dedicated() || c.Conduit().TakesInput() {
		t.Errorf("the stream's call: priority %d, %v", c.Priority(), c.Kind())
	} else {
		c.Finish(nil, nil)
	}
	<-read
	for _, opts := range [][]procpool.Option{nil, {procpool.Shared()}} {
		talk := echo.With(opts...).Open(t.Context(), s, "")
		if c := s.start(); c.Dedicated() != (opts == nil) || !c.Conduit().TakesInput() || c.Kind() != procpool.KindSession {
			t.Errorf("the session's call: dedicated %v", c.Dedicated())
		}
		if err := talk.Close(); err != nil {
			t.Error(err)
		}
	}
	f := square.Submit(t.Context(), s, 1)
	if c := s.start(); c.Conduit() != nil || c.Dedicated() {
		t.Error("a function's call has a conduit")
	}
	f.Cancel()
}

func TestKindTexts(t *testing.T) {
	t.Parallel()
	for k, want := range map[procpool.Kind]string{
		procpool.KindFunction: "function", procpool.KindStream: "stream", procpool.KindSession: "session", 9: "invalid",
	} {
		if got := k.String(); got != want {
			t.Errorf("Kind(%d) is %q, want %q", k, got, want)
		}
	}
}
