package procpool_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func TestDefineAndRemoteRefuseBadNames(t *testing.T) {
	t.Parallel()
	fn := func(context.Context, int) (int, error) { return 0, nil }
	for name, want := range map[string]string{
		"":            "a task needs a name",
		"two words":   "no space",
		"tab\t":       "no space",
		"line\n":      "no space",
		"nbsp\u00a0x": "no space",
		"nul\x00":     "control character",
		"del\x7f":     "control character",
		"c1\u0085":    "control character",
		"bad\xff":     "UTF-8",
	} {
		mustPanic(t, want, func() { procpool.Define(name, fn) })
		mustPanic(t, want, func() { procpool.Remote[int, int](name) })
	}
	mustPanic(t, "the function is nil", func() { procpool.Define[int, int]("nothing", nil) })
	for _, name := range []string{"a", "resize_image", "image.v2/resize-fast", "größe", "平方"} {
		if got := procpool.Define(name, fn).Name(); got != name {
			t.Errorf("Name = %q, want %q", got, name)
		}
	}
}

func TestHandlesAreImmutable(t *testing.T) {
	t.Parallel()
	entries := map[string]string{"a": "1"}
	named := map[string]error{"boom": errBoom}
	base := procpool.Define("base", func(ctx context.Context, _ int) (map[string]string, error) {
		if m := procpool.MetadataFrom(ctx); len(m) > 0 {
			return m, nil
		}
		return nil, errBoom
	}, procpool.Metadata(entries), procpool.Errors(named))
	entries["a"], named["boom"] = "changed by its owner", errNotFound

	more := base.With(procpool.Metadata(map[string]string{"b": "2"}))
	other := more.With(procpool.Metadata(map[string]string{"a": "3"}), procpool.WithCodec(procpool.JSON))
	ex := procpooltest.Inline(base)
	for range 2 {
		for _, h := range []struct {
			handle *procpool.Func[int, map[string]string]
			opts   []procpool.Option
			want   map[string]string
		}{
			{base, nil, map[string]string{"a": "1"}},
			{more, nil, map[string]string{"a": "1", "b": "2"}},
			{other, nil, map[string]string{"a": "3", "b": "2"}},
			{other, []procpool.Option{procpool.Metadata(map[string]string{"c": "4"})}, map[string]string{"a": "3", "b": "2", "c": "4"}},
		} {
			got, err := h.handle.Call(t.Context(), ex, 1, h.opts...)
			if err != nil || !maps.Equal(got, h.want) {
				t.Errorf("the task saw %v, %v, want %v", got, err, h.want)
			}
		}
	}
	fails := procpool.Define("base", func(context.Context, int) (map[string]string, error) { return nil, errBoom }, procpool.Errors(map[string]error{"boom": errBoom}))
	if _, err := base.Call(t.Context(), procpooltest.Inline(fails), 1); !errors.Is(err, errBoom) {
		t.Errorf("the sentinel that was given to Define is gone: %v", err)
	}
	// Nor does an option change with what it was made of.
	entries, named = map[string]string{"a": "1"}, map[string]error{"boom": errBoom}
	metadata, sentinels := procpool.Metadata(entries), procpool.Errors(named)
	entries["a"], named["boom"] = "changed by its owner", errNotFound
	if got, err := base.With(metadata).Call(t.Context(), ex, 1); err != nil || got["a"] != "1" {
		t.Errorf("the option's metadata is %v, %v", got, err)
	}
	if _, err := base.Call(t.Context(), procpooltest.Inline(fails), 1, sentinels); !errors.Is(err, errBoom) || errors.Is(err, errNotFound) {
		t.Errorf("the option's sentinel is %v", err)
	}
	if base.With() == base || more.Name() != "base" {
		t.Error("With returns no copy, or one of another name")
	}
}

func TestErrorsAddsUp(t *testing.T) {
	t.Parallel()
	both := errors.Join(errBoom, errNotFound)
	task := procpool.Define("joins", func(_ context.Context, which int) (int, error) {
		return 0, []error{errBoom, errNotFound, both}[which]
	}, procpool.Errors(map[string]error{"z_boom": errBoom}))
	task = task.With(procpool.Errors(map[string]error{"a_not_found": errNotFound}))
	ex := procpooltest.Inline(task)
	for which, code := range []string{"z_boom", "a_not_found", "a_not_found"} {
		var te *procpool.TaskError
		_, err := task.Call(t.Context(), ex, which)
		if !errors.As(err, &te) || te.Code != code || errors.Is(err, errBoom) != (code == "z_boom") {
			t.Errorf("error %d: %#v, want the code %q", which, err, code)
		}
	}
	// Named on the worker's side only, on the caller's side by Submit's option.
	remote := procpool.Remote[int, int]("joins")
	_, err := remote.Call(t.Context(), ex, 0, procpool.Errors(map[string]error{"z_boom": errBoom}))
	if !errors.Is(err, errBoom) {
		t.Errorf("named for one call: %v", err)
	}
	mustPanic(t, "an error with a name", func() { procpool.Errors(map[string]error{"": errBoom}) })
	mustPanic(t, "an error with a name", func() { procpool.Errors(map[string]error{"x": nil}) })
}

func TestSubmitNeverReturnsNil(t *testing.T) { // T024
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newStage(1)
	for name, f := range map[string]*procpool.Future[int]{
		"ended context": square.Submit(ctx, s, 1),
		"bad argument":  procpool.Remote[any, int]("x").Submit(t.Context(), s, panicky{}),
		"refused":       square.Submit(t.Context(), &stage{refuse: func(*procpool.Call) error { return procpool.ErrClosed }}, 1),
	} {
		select {
		case <-f.Done():
		default:
			t.Errorf("%s: not resolved", name)
		}
		if _, err := f.Result(t.Context()); err == nil || f.Cancel() {
			t.Errorf("%s: resolved with %v", name, err)
		}
	}
	if len(s.calls) != 0 {
		t.Error("a call that can't run reached the executor")
	}
}

func TestSubmitHasEncodedTheArgumentWhenItReturns(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	for _, codec := range []procpool.Codec{procpool.CBOR, procpool.JSON, procpool.Raw} {
		for _, n := range []int{3, 24, 25, 1000} {
			in := []byte(strings.Repeat("x", n))
			echo := procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(codec))
			f := echo.Submit(t.Context(), s, in)
			clear(in)
			answer(s.start(), echo)
			got, err := f.Result(t.Context())
			if err != nil || string(got) != strings.Repeat("x", n) {
				t.Errorf("codec %s, %d bytes: %.30q, %v", codec.Name(), n, got, err)
			}
		}
	}
}

func TestCallTellsAnExecutorWhatItIs(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	procpool.Remote[string, int]("far", procpool.WithCodec(procpool.JSON), procpool.NoWait(), procpool.Metadata(map[string]string{"k": "v"})).Submit(ctx, s, "<hi>")
	c := s.start()
	deadline, ok := c.Deadline()
	want, _ := ctx.Deadline()
	if c.Task() != "far" || c.Codec() != "json" || string(c.Payload()) != `"<hi>"` || c.Local() || !c.NoWait() ||
		!maps.Equal(c.Metadata(), map[string]string{"k": "v"}) || !ok || !deadline.Equal(want) {
		t.Errorf("%s %s %q %v %v %v %v", c.Task(), c.Codec(), c.Payload(), c.Local(), c.NoWait(), c.Metadata(), deadline)
	}
	c.Finish(nil, errBoom)

	square.Submit(t.Context(), s, 5)
	c = s.start()
	if _, ok := c.Deadline(); ok || !c.Local() || c.NoWait() || c.Metadata() != nil || c.Codec() != "cbor" {
		t.Error("a plain call has a deadline, metadata or NoWait, or is not local")
	}
	c.Finish(nil, errBoom)
}

// A deadline beyond what can be counted in nanoseconds is none, not one that has
// passed.
func TestCallDeadlineFarAway(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	ctx, cancel := context.WithTimeout(t.Context(), math.MaxInt64)
	defer cancel()
	f := square.Submit(ctx, s, 5)
	c := s.start()
	if d, ok := c.Deadline(); ok {
		t.Errorf("deadline %v", d)
	}
	c.Finish(nil, &procpool.TaskError{})
	if _, err := f.Result(t.Context()); errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// When the deadline has passed that is the outcome, whoever says so first.
func TestCallPastItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		// This executor does not watch the context.
		early, late := &silent{}, &silent{}
		f, g := square.Submit(ctx, early, 1), square.Submit(ctx, late, 1)
		early.call.Finish(nil, &procpool.TaskError{Message: "context deadline exceeded"})
		<-ctx.Done()
		late.call.Finish(nil, &procpool.TaskError{Message: "context deadline exceeded"})
		if _, err := f.Result(t.Context()); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a task that failed in time: %v", err)
		}
		if _, err := g.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a task that failed after its deadline: %v", err)
		}
	})
}

// silent is an executor that keeps one call.
type silent struct{ call *procpool.Call }

func (s *silent) Enqueue(_ context.Context, first *procpool.Call, _ int) { s.call = first }

func TestNoWait(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	first := square.Submit(t.Context(), s, 1)
	if _, err := square.Call(t.Context(), s, 2, procpool.NoWait()); !errors.Is(err, procpool.ErrQueueFull) {
		t.Errorf("a full executor: %v", err)
	}
	if first.State() != procpool.Queued {
		t.Errorf("the first call is %v", first.State())
	}
	first.Cancel()
}

func TestSubmitBlocksNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(1)
		square.Submit(t.Context(), s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := square.Call(ctx, s, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		s.start().Finish(nil, errBoom)
	})
}

func TestSubmitFromCallbacks(t *testing.T) { // T042
	t.Parallel()
	s := newStage(10)
	s.serve(t, 2, func(c *procpool.Call) { answer(c, square) })
	const chain = 100
	over := make(chan int, 1)
	var submit func(n int)
	submit = func(n int) {
		f := square.Submit(t.Context(), s, n)
		f.OnDone(func() {
			if n == chain {
				over <- n
				return
			}
			submit(n + 1)
		})
	}
	submit(1)
	if n := <-over; n != chain {
		t.Errorf("the chain ended at %d", n)
	}
}

// Neither the argument nor the caller's context stays with a call once it is no
// longer needed.
func TestSubmitKeepsNoReferenceToTheArgument(t *testing.T) { // T040
	t.Parallel()
	type big struct{ Data [1 << 16]byte }
	s := newStage(1)
	gone := make(chan struct{})
	var f *procpool.Future[int]
	func() {
		in := new(big)
		runtime.AddCleanup(in, func(struct{}) { close(gone) }, struct{}{})
		f = procpool.Remote[*big, int]("x").Submit(t.Context(), s, in)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		runtime.GC()
		select {
		case <-gone:
			f.Cancel()
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the argument is still in memory while its call waits")
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	type size struct{ W, H int }
	fn := func(context.Context, map[string]size) ([]byte, error) { return nil, nil }
	for want, got := range map[string]procpool.TaskInfo{
		"cbor json":     procpool.Define("x", fn).Describe(),
		"json cbor":     procpool.Define("x", fn, procpool.WithCodec(procpool.JSON)).Describe(),
		"raw cbor json": procpool.Define("x", fn, procpool.WithCodec(procpool.Raw)).Describe(),
	} {
		if got.Name != "x" || got.In != "map[string]procpool_test.size" || got.Out != "[]uint8" || !slices.Equal(got.Codecs, strings.Fields(want)) {
			t.Errorf("%+v, want the codecs %s", got, want)
		}
	}
	if procpool.Remote[int, int]("x").Local() || !square.With(procpool.NoWait()).Local() {
		t.Error("a Remote handle is local, or a copy of a local one is not")
	}
}

func TestMetadataFromAContextWithout(t *testing.T) {
	t.Parallel()
	if m := procpool.MetadataFrom(t.Context()); m != nil {
		t.Errorf("metadata %v", m)
	}
	ctx := t.Context()
	if procpool.WithMetadata(ctx, nil) != ctx {
		t.Error("no metadata made a new context")
	}
}
