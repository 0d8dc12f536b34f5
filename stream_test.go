package procpool_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// upward is the stream that tests run when it does not matter which: 0 to n-1.
var upward = procpool.DefineStream("upward", func(_ context.Context, n int, emit func(int) error) error {
	for i := range n {
		if err := emit(i); err != nil {
			return err
		}
	}
	return nil
})

// drain reads a stream to its end.
func drain[T any](seq func(func(T, error) bool)) (values []T, errs []error) {
	for v, err := range seq {
		if err != nil {
			errs = append(errs, err)
		} else {
			values = append(values, v)
		}
	}
	return values, errs
}

func TestStreamYieldsValuesInOrder(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(upward)
	for _, n := range []int{0, 1, 2, 1023, 1024, 1025, 10_000} {
		for _, opts := range [][]procpool.Option{nil, {procpool.Window(1)}, {procpool.WithCodec(procpool.JSON)}} {
			if n > 1024 && opts != nil {
				continue
			}
			got, errs := drain(upward.All(t.Context(), ex, n, opts...))
			if len(errs) > 0 || !slices.Equal(got, upTo(n)) {
				t.Errorf("%d values: got %d, %v", n, len(got), errs)
			}
		}
	}
}

func TestStreamEachUseIsACall(t *testing.T) {
	t.Parallel()
	seq := upward.All(t.Context(), procpooltest.Inline(upward), 3)
	for range 2 {
		if got, errs := drain(seq); !slices.Equal(got, upTo(3)) || errs != nil {
			t.Errorf("got %v, %v", got, errs)
		}
	}
}

func TestStreamRawValuesAreTheReaders(t *testing.T) {
	t.Parallel()
	raw := procpool.DefineStream("raw", func(_ context.Context, in []byte, emit func([]byte) error) error {
		for range 3 {
			if err := emit(in); err != nil {
				return err
			}
			in[0]++ // emit has encoded it
		}
		return emit(nil)
	}, procpool.WithCodec(procpool.Raw))
	got, errs := drain(raw.All(t.Context(), procpooltest.Inline(raw), []byte("a")))
	if errs != nil || string(bytes.Join(got, []byte(","))) != "a,b,c," {
		t.Errorf("got %q, %v", got, errs)
	}
}

func TestStreamErrorsComeLast(t *testing.T) {
	t.Parallel()
	fail := procpool.DefineStream("fail", func(_ context.Context, how string, emit func(int) error) error {
		for i := range 3 {
			if err := emit(i); err != nil {
				return err
			}
		}
		switch how {
		case "panic":
			panic("no way")
		case "goexit":
			runtime.Goexit()
		case "named":
			return errNotFound
		}
		return errBoom
	}, procpool.Errors(map[string]error{"not_found": errNotFound}))
	ex := procpooltest.Inline(fail)
	for how, check := range map[string]func(error) bool{
		"error": func(err error) bool {
			te, ok := errors.AsType[*procpool.TaskError](err)
			return ok && te.Task == "fail" && te.Message == "boom"
		},
		"named": func(err error) bool { return errors.Is(err, errNotFound) },
		"panic": func(err error) bool {
			pe, ok := errors.AsType[*procpool.PanicError](err)
			return ok && pe.Value == "no way" && strings.Contains(pe.Stack, "stream_test.go")
		},
		"goexit": func(err error) bool {
			pe, ok := errors.AsType[*procpool.PanicError](err)
			return ok && pe.Goexit
		},
	} {
		got, errs := drain(fail.All(t.Context(), ex, how))
		if !slices.Equal(got, upTo(3)) || len(errs) != 1 || !check(errs[0]) {
			t.Errorf("%s: %v, %v", how, got, errs)
		}
	}
}

func TestStreamBreakGivesTheCallUp(t *testing.T) {
	t.Parallel()
	left, refused := make(chan error, 1), make(chan error, 1)
	endless := procpool.DefineStream("endless", func(ctx context.Context, _ int, emit func(int) error) error {
		for n := 0; ; n++ {
			if err := emit(n); err != nil {
				refused <- err
				<-ctx.Done()
				left <- ctx.Err()
				return err
			}
		}
	})
	ex := procpooltest.Inline(endless)
	leave := map[string]func(){
		"break": func() {
			for v, err := range endless.All(t.Context(), ex, 0) {
				if err != nil {
					t.Error(err)
				}
				if v == 5 {
					break
				}
			}
		},
		"panic": func() {
			defer func() {
				if p := recover(); p != "enough" {
					t.Errorf("the panic of the loop's body is %v", p)
				}
			}()
			for _, err := range endless.All(t.Context(), ex, 0) {
				if err == nil {
					panic("enough")
				}
			}
		},
	}
	for how, leave := range leave {
		leave()
		if err := <-refused; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `"endless" was given up`) {
			t.Errorf("%s: emit says %v", how, err)
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the task's context ends with %v", how, err)
		}
	}
}

func TestStreamCodecFailures(t *testing.T) {
	t.Parallel()
	var ignored error
	odd := procpool.DefineStream("odd", func(_ context.Context, how string, emit func(any) error) error {
		for _, v := range []any{1, panicky{}, 2} {
			if err := emit(v); err != nil {
				if how == "ignore" {
					ignored = err
					continue
				}
				return errors.Join(errBoom, err)
			}
		}
		return nil
	})
	ex := procpooltest.Inline(odd)
	codec := func(errs []error, op string) bool {
		if len(errs) != 1 {
			return false
		}
		ce, ok := errors.AsType[*procpool.CodecError](errs[0])
		return ok && ce.Op == op && ce.Task == "odd" && !errors.Is(errs[0], errBoom)
	}

	got, errs := drain(odd.All(t.Context(), ex, "return"))
	if len(got) != 1 || !codec(errs, "encode a value") {
		t.Errorf("a value that can't be encoded: %v, %v", got, errs)
	}
	got, errs = drain(odd.All(t.Context(), ex, "ignore"))
	if ce, ok := errors.AsType[*procpool.CodecError](ignored); len(got) != 2 || errs != nil || !ok || ce.Op != "encode a value" {
		t.Errorf("the task goes on: %v, %v, %v", got, errs, ignored)
	}
	// The reader's types are not the task's.
	strs, errs := drain(procpool.RemoteStream[string, string]("odd").All(t.Context(), ex, ""))
	if len(strs) != 0 || !codec(errs, "decode a value") {
		t.Errorf("a value that can't be decoded: %v, %v", strs, errs)
	}
	got, errs = drain(procpool.RemoteStream[int, any]("odd").All(t.Context(), ex, 7))
	if len(got) != 0 || !codec(errs, "decode the argument") {
		t.Errorf("an argument that the task can't decode: %v, %v", got, errs)
	}
	got, errs = drain(procpool.RemoteStream[panicky, any]("odd").All(t.Context(), never{t}, panicky{}))
	if len(got) != 0 || !codec(errs, "encode the argument") {
		t.Errorf("an argument that can't be encoded: %v, %v", got, errs)
	}
}

// never is an executor that must not be given a call.
type never struct{ t *testing.T }

func (n never) Enqueue(_ context.Context, c *procpool.Call, _ int) {
	n.t.Errorf("a call of %q was enqueued", c.Task())
	c.Finish(nil, errBoom)
}

func TestStreamIsNoFurtherThanItsWindow(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 2, 7, 1024} {
		synctest.Test(t, func(t *testing.T) {
			emitted := 0
			steady := procpool.DefineStream("steady", func(_ context.Context, _ int, emit func(int) error) error {
				for {
					if err := emit(emitted); err != nil {
						return err
					}
					emitted++
				}
			}, procpool.Window(window))
			read := 0
			for _, err := range steady.All(t.Context(), procpooltest.Inline(steady), 0) {
				if err != nil {
					t.Fatal(err)
				}
				read++
				synctest.Wait()
				if ahead := emitted - read; ahead > window || ahead < window/2 {
					t.Fatalf("window %d: the task is %d values ahead of its reader", window, ahead)
				}
				if read == 3*window {
					break
				}
			}
			synctest.Wait()
		})
	}
}

func TestStreamIsNoFurtherThanItsBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 300 << 10
		emitted := 0
		large := procpool.DefineStream("large", func(_ context.Context, _ int, emit func([]byte) error) error {
			for {
				if err := emit(make([]byte, size)); err != nil {
					return err
				}
				emitted++
			}
		})
		read := 0
		for v, err := range large.All(t.Context(), procpooltest.Inline(large), 0) {
			if err != nil || len(v) != size {
				t.Fatal(len(v), err)
			}
			read++
			synctest.Wait()
			if ahead := emitted - read; ahead > 4 { // 1 MiB, and what lies across its end
				t.Fatalf("the task is %d values of 300 KiB ahead of its reader", ahead)
			}
			if read == 20 {
				break
			}
		}
		synctest.Wait()
	})
}

func TestStreamContextEnds(t *testing.T) {
	t.Parallel()
	pause := procpool.DefineStream("pause", func(ctx context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	})
	ex := procpooltest.Inline(pause)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errBoom) })
		got, errs := drain(pause.All(ctx, ex, 3))
		if len(got) != 3 || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], errBoom) {
			t.Errorf("cancelled: %v, %v", got, errs)
		}
		got, errs = drain(pause.All(ctx, never{t}, 3))
		if len(got) != 0 || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], errBoom) {
			t.Errorf("cancelled before: %v, %v", got, errs)
		}
		deadline, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		got, errs = drain(pause.All(deadline, ex, 3))
		if len(got) != 3 || len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) {
			t.Errorf("deadline: %v, %v", got, errs)
		}
		// What has come and was not read is dropped.
		busy, quit := context.WithCancel(t.Context())
		var seen []int
		for v, err := range pause.All(busy, ex, 3) {
			if err == nil {
				seen = append(seen, v)
				synctest.Wait()
				quit()
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		quit()
		if !slices.Equal(seen, []int{0}) {
			t.Errorf("read %v though the context had ended", seen)
		}
		if _, ok := errors.AsType[*procpool.TaskError](errs[0]); ok {
			t.Errorf("the deadline is told as an error of the task's: %v", errs[0])
		}
	})
}

func TestStreamRefused(t *testing.T) {
	t.Parallel()
	for want, ex := range map[error]procpool.Executor{
		procpool.ErrUnknownTask: procpooltest.Inline(),
		procpool.ErrClosed:      &stage{refuse: func(*procpool.Call) error { return procpool.ErrClosed }},
		procpool.ErrQueueFull:   newStage(0),
	} {
		got, errs := drain(upward.All(t.Context(), ex, 3, procpool.NoWait()))
		if len(got) != 0 || len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("%v: %v, %v", want, got, errs)
		}
	}
}
