package procpool_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// text is a stage that runs here: it writes a number, and fails with 13.
func text(opts ...procpool.StageOption) *procpool.Pipeline[int, string] {
	return procpool.StageFunc("text", func(_ context.Context, n int) (string, error) {
		if n == 13 {
			return "", errBoom
		}
		return strconv.Itoa(n), nil
	}, opts...)
}

func TestPipelineOfHandlesAndFunctions(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(upward, square)
	p := procpool.Join(procpool.Join(procpool.Stage(upward), procpool.Stage(square)), text())
	for range 2 { // a pipeline may be run again
		got, errs := drain(p.Run(t.Context(), ex, slices.Values([]int{2, 0, 4})))
		if errs != nil || !slices.Equal(got, []string{"0", "1", "0", "1", "4", "9"}) {
			t.Errorf("got %q, %v", got, errs)
		}
	}
	var all sync.WaitGroup
	for range 4 { // also at the same time
		all.Go(func() {
			got, errs := drain(p.Run(t.Context(), ex, slices.Values([]int{1000})))
			if errs != nil || len(got) != 1000 || got[999] != "998001" {
				t.Errorf("got %d values, %v", len(got), errs)
			}
		})
	}
	all.Wait()
	if got, errs := drain(p.Run(t.Context(), ex, slices.Values([]int(nil)))); got != nil || errs != nil {
		t.Errorf("of no input: %v, %v", got, errs)
	}
}

func TestPipelineErrorsTellWhere(t *testing.T) {
	t.Parallel()
	picky := procpool.Define("picky", func(_ context.Context, n int) (int, error) {
		if n == 2 {
			return 0, errNotFound
		}
		return n, nil
	}, procpool.Errors(map[string]error{"not_found": errNotFound}))
	p := procpool.Join(procpool.Stage(picky), text())
	got, errs := drain(p.Run(t.Context(), procpooltest.Inline(picky), slices.Values([]int{1, 2, 12, 13, 14})))
	if !slices.Equal(got, []string{"1", "12", "14"}) || len(errs) != 2 {
		t.Fatalf("got %q, %v", got, errs)
	}
	first, _ := errors.AsType[*procpool.StageError](errs[0])
	if first == nil || first.Stage != 0 || first.Name != "picky" || first.Input != 1 || !errors.Is(errs[0], errNotFound) {
		t.Errorf("%#v", errs[0])
	}
	second, _ := errors.AsType[*procpool.StageError](errs[1])
	if second == nil || second.Stage != 1 || second.Name != "text" || second.Input != 3 || !errors.Is(second.Err, errBoom) {
		t.Errorf("%#v", errs[1])
	}
	if want := `procpool: stage "picky" failed with input 1: procpool: task "picky" failed: not found`; errs[0].Error() != want {
		t.Errorf("it reads %q, want %q", errs[0], want)
	}
	got, errs = drain(p.StopAtError().Run(t.Context(), procpooltest.Inline(picky), slices.Values([]int{1, 2, 12, 13, 14})))
	if !slices.Equal(got, []string{"1"}) || len(errs) != 1 || !errors.Is(errs[0], errNotFound) {
		t.Errorf("with StopAtError: %q, %v", got, errs)
	}
	// Joined with another it stops, too.
	whole := procpool.Join(procpool.StageFunc("same", func(_ context.Context, n int) (int, error) { return n, nil }), p.StopAtError())
	if got, errs = drain(whole.Run(t.Context(), procpooltest.Inline(picky), slices.Values([]int{2, 1, 1}))); got != nil || len(errs) != 1 {
		t.Errorf("with StopAtError in a part: %q, %v", got, errs)
	}
}

// An error stops the pulling of inputs before its turn to be yielded has come.
func TestPipelineStopAtErrorPullsNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := procpool.StageFunc("slow", func(_ context.Context, n int) (int, error) {
			if n == 0 {
				<-time.After(time.Hour)
			}
			if n == 3 {
				return 0, errBoom
			}
			return n, nil
		}, procpool.Parallel(2), procpool.Buffer(100))
		var pulled int
		got, errs := drain(slow.StopAtError().Run(t.Context(), nil, count(&pulled)))
		if !slices.Equal(got, []int{0, 1, 2}) || len(errs) != 1 || !errors.Is(errs[0], errBoom) {
			t.Errorf("%v, %v", got, errs)
		}
		if pulled > 7 {
			t.Errorf("%d inputs were pulled though the fourth had failed", pulled)
		}
	})
}

func TestPipelinePullsNoFurtherThanItsRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts []procpool.StageOption
		room int // of the first stage
	}{
		{[]procpool.StageOption{procpool.Parallel(1), procpool.Buffer(0)}, 1},
		{[]procpool.StageOption{procpool.Parallel(3)}, 6},
		{[]procpool.StageOption{procpool.Parallel(3), procpool.Buffer(0)}, 3},
		{[]procpool.StageOption{procpool.Buffer(5), procpool.Parallel(2)}, 7},
		{[]procpool.StageOption{procpool.Buffer(5), procpool.Parallel(2), procpool.Unordered()}, 7},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := procpool.Join(procpool.Stage(square, c.opts...), text(procpool.Buffer(2), procpool.Parallel(1)))
			var pulled int
			seq := p.Run(t.Context(), procpooltest.Inline(square), count(&pulled))
			synctest.Wait()
			if pulled != 0 {
				t.Errorf("%d inputs were pulled before anybody reads", pulled)
			}
			read := 0
			for _, err := range seq {
				if err != nil {
					t.Fatal(err)
				}
				read++
				synctest.Wait()
				if want := read + c.room + 3; pulled != want { // the second stage has room for three
					t.Fatalf("room for %d and 3: pulled %d with %d read, want %d", c.room, pulled, read, want)
				}
				if read == 20 {
					break
				}
			}
			before := pulled
			synctest.Wait()
			if pulled != before {
				t.Error("inputs are pulled when the reader has left")
			}
		})
	}
}

// The first of many that takes long holds the others up, and no more of them than
// there is room for; unordered, it does not.
func TestPipelineSlowHead(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			opts := []procpool.StageOption{procpool.Parallel(2), procpool.Buffer(5)}
			if unordered {
				opts = append(opts, procpool.Unordered())
			}
			head := procpool.Define("head", func(ctx context.Context, n int) (int, error) {
				if n == 0 {
					select {
					case <-time.After(time.Hour):
					case <-ctx.Done():
					}
				}
				return n, nil
			})
			began := time.Now()
			var pulled int
			for n, err := range procpool.Stage(head, opts...).Run(t.Context(), procpooltest.Inline(head), count(&pulled)) {
				took := time.Since(began)
				if err != nil || !unordered && (n != 0 || took != time.Hour) || unordered && (n == 0 || took != 0) {
					t.Errorf("unordered %v: the first is %d, %v after %v", unordered, n, err, took)
				}
				synctest.Wait()
				if pulled > 1+7 {
					t.Errorf("unordered %v: %d were pulled", unordered, pulled)
				}
				break
			}
		})
	}
}

func TestPipelineReaderLeaves(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]procpool.StageOption{nil, {procpool.Unordered()}} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan string, 100)
			lasting := procpool.DefineStream("lasting", func(ctx context.Context, _ int, emit func(int) error) error {
				defer func() { ended <- "stream" }()
				for {
					if err := emit(1); err != nil {
						return err
					}
				}
			})
			calm := procpool.Define("calm", func(ctx context.Context, n int) (int, error) {
				defer func() { ended <- "call" }()
				if n == 1 {
					return n, nil
				}
				<-ctx.Done()
				return 0, ctx.Err()
			})
			deaf := procpool.StageFunc("deaf", func(_ context.Context, n int) (int, error) {
				<-time.After(time.Minute) // whatever its context says
				ended <- "function"
				return n, nil
			}, opts...)
			p := procpool.Join(procpool.Join(procpool.Stage(lasting, opts...), procpool.Stage(calm, opts...)), deaf)
			var pulled int
			for _, err := range p.Run(t.Context(), procpooltest.Inline(lasting, calm), count(&pulled)) {
				if err != nil {
					t.Error(err)
				}
				break
			}
			// What runs here has ended when Run returns.
			functions := 0
			for range len(ended) {
				if <-ended == "function" {
					functions++
				}
			}
			if functions < 2 {
				t.Errorf("%d functions have ended", functions)
			}
			synctest.Wait()
			for range len(ended) {
				if <-ended == "function" {
					t.Error("a function has outlived Run")
				}
			}
		})
	}
}

func TestPipelineContextEnds(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]procpool.StageOption{"ordered": nil, "unordered": {procpool.Unordered()}} {
		synctest.Test(t, func(t *testing.T) {
			rest := procpool.Define("rest", func(ctx context.Context, n int) (int, error) {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				return n, ctx.Err()
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(3500*time.Millisecond, func() { cancel(errBoom) })
			p := procpool.Join(procpool.Stage(rest, append(opts, procpool.Parallel(1))...), text(opts...))
			var pulled int
			got, errs := drain(p.Run(ctx, procpooltest.Inline(rest), count(&pulled)))
			if !slices.Equal(got, []string{"0", "1", "2"}) || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], errBoom) {
				t.Errorf("%s: %q, %v", name, got, errs)
			}
			got, errs = drain(p.Run(ctx, never{t}, count(&pulled)))
			if len(got) != 0 || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
				t.Errorf("%s: with a context that has ended: %q, %v", name, got, errs)
			}
			deadline, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer stop()
			got, errs = drain(p.Run(deadline, procpooltest.Inline(rest), count(&pulled)))
			if !slices.Equal(got, []string{"0"}) || len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) {
				t.Errorf("%s: deadline: %q, %v", name, got, errs)
			}
			if _, ok := errors.AsType[*procpool.StageError](errs[0]); ok {
				t.Errorf("%s: the deadline is told as an error of one input: %v", name, errs[0])
			}
			// It is told at once, though Run can return only when the pull does.
			short, stop2 := context.WithTimeout(t.Context(), time.Second)
			defer stop2()
			began := time.Now()
			for _, err := range text(opts...).Run(short, nil, func(yield func(int) bool) {
				if yield(1) {
					<-time.After(time.Hour)
				}
			}) {
				if took := time.Since(began); err != nil && took != time.Second {
					t.Errorf("%s: %v after %v", name, err, took)
				}
			}
			if took := time.Since(began); took != time.Hour {
				t.Errorf("%s: Run returns after %v", name, took)
			}
		})
	}
}

func TestPipelineRefused(t *testing.T) {
	t.Parallel()
	for want, ex := range map[error]procpool.Executor{
		procpool.ErrUnknownTask: procpooltest.Inline(),
		procpool.ErrClosed:      &stage{refuse: func(*procpool.Call) error { return procpool.ErrClosed }},
	} {
		for _, opts := range [][]procpool.StageOption{nil, {procpool.Unordered()}} {
			var pulled int
			got, errs := drain(procpool.Join(procpool.Stage(square, opts...), text(opts...)).Run(t.Context(), ex, count(&pulled)))
			se, _ := errors.AsType[*procpool.StageError](errors.Join(errs...))
			if len(got) != 0 || len(errs) != 1 || !errors.Is(errs[0], want) || se == nil || se.Name != "square" {
				t.Errorf("%v: %v, %v", want, got, errs)
			}
		}
	}
	// The same from a function of this program says nothing of other inputs.
	mine := procpool.StageFunc("mine", func(_ context.Context, n int) (int, error) { return n, procpool.ErrClosed })
	if got, errs := drain(mine.Run(t.Context(), nil, slices.Values(upTo(3)))); len(got) != 0 || len(errs) != 3 {
		t.Errorf("%v, %v", got, errs)
	}
}

func TestPipelineStagesOnExecutorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := procpool.Join(procpool.Stage(upward, procpool.On(procpooltest.Inline(upward))), procpool.Stage(square))
	got, errs := drain(p.Run(t.Context(), procpooltest.Inline(square), slices.Values([]int{3})))
	if errs != nil || !slices.Equal(got, []int{0, 1, 4}) {
		t.Errorf("%v, %v", got, errs)
	}
	mustPanic(t, `stage 1 ("square") has no executor`, func() { p.Run(t.Context(), nil, slices.Values([]int{3})) })
	own := procpool.Stage(square, procpool.On(procpooltest.Inline(square)))
	if got, errs := drain(own.Run(t.Context(), nil, slices.Values([]int{3}))); errs != nil || !slices.Equal(got, []int{9}) {
		t.Errorf("%v, %v", got, errs)
	}
}

func TestPipelinePanics(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(square)
	end := map[string]func(){"panic": func() { panic("no way") }, "goexit": runtime.Goexit}
	for how, end := range end {
		for _, opts := range [][]procpool.StageOption{nil, {procpool.Unordered()}} {
			input := func(yield func(int) bool) {
				for n := range 3 {
					if !yield(n) {
						break
					}
				}
				end()
			}
			bad := procpool.StageFunc("bad", func(_ context.Context, n int) (int, error) {
				if n == 9 {
					end()
				}
				return n, nil
			}, opts...)
			key := procpool.Stage(square.KeyBy(func(n int) string {
				if n == 3 {
					end()
				}
				return ""
			}), opts...)
			calls, good := procpool.Stage(square, opts...), text(opts...)
			for what, run := range map[string]struct {
				p  *procpool.Pipeline[int, string]
				in func(func(int) bool)
			}{
				"input":    {procpool.Join(calls, good), input},
				"function": {procpool.Join(calls, procpool.Join(bad, good)), slices.Values(upTo(10))},
				"key":      {procpool.Join(procpool.Join(procpool.Join(bad, key), bad), good), slices.Values(upTo(6))},
			} {
				for _, leave := range []bool{false, true} {
					var got []string
					ended, p := runToItsEnd(func() {
						for v, err := range run.p.Run(t.Context(), ex, run.in) {
							if err != nil {
								t.Errorf("%s of %s: %v", how, what, err)
							}
							got = append(got, v)
							if leave && what == "input" {
								break // the end comes all the same
							}
						}
					})
					if ended != how || how == "panic" && p != "no way" {
						t.Errorf("%s of %s (leave %v): the reader ended by %s, %v", how, what, leave, ended, p)
					}
					if slices.Sort(got); !leave && !slices.Equal(got, []string{"0", "1", "4"}) && opts == nil {
						t.Errorf("%s of %s: got %q before", how, what, got)
					}
				}
			}
		}
	}
}

// runToItsEnd runs fn and tells how it ended: by return, panic or goexit.
func runToItsEnd(fn func()) (how string, panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if how == "" {
				how = "goexit"
				if panicked = recover(); panicked != nil {
					how = "panic"
				}
			}
		}()
		fn()
		how = "return"
	}()
	<-done
	return how, panicked
}

func TestPipelineOptionsAreChecked(t *testing.T) {
	t.Parallel()
	mustPanic(t, "Parallel(0)", func() { procpool.Parallel(0) })
	mustPanic(t, "Buffer(-1)", func() { procpool.Buffer(-1) })
	mustPanic(t, "On(nil)", func() { procpool.On(nil) })
	mustPanic(t, `StageFunc("x"): the function is nil`, func() { procpool.StageFunc[int, int]("x", nil) })
	// The largest bounds are bounds all the same, and cost little.
	p := text(procpool.Parallel(1<<40), procpool.Buffer(1<<40))
	if got, errs := drain(p.Run(t.Context(), nil, slices.Values(upTo(3)))); errs != nil || strings.Join(got, "") != "012" {
		t.Errorf("%q, %v", got, errs)
	}
}
