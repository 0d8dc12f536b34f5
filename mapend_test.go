package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// yielded is what a Map yielded.
type yielded struct {
	values []int
	errs   []error
}

func collect(seq iter.Seq2[int, error]) (y yielded) {
	for v, err := range seq {
		if err != nil {
			y.errs = append(y.errs, err)
			continue
		}
		y.values = append(y.values, v)
	}
	return y
}

// collectUnordered is collect for MapUnordered; an error that ends the iteration
// belongs to no input.
func collectUnordered(t *testing.T, seq iter.Seq[procpool.Item[int, int]]) (y yielded) {
	t.Helper()
	for it := range seq {
		if it.Err != nil {
			y.errs = append(y.errs, it.Err)
			continue
		}
		if it.Out != it.In*it.In {
			t.Errorf("%+v", it)
		}
		y.values = append(y.values, it.Out)
	}
	return y
}

func TestMapEndsWithItsContext(t *testing.T) { // T028
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		for name, run := range map[string]func(context.Context) yielded{
			"Map": func(ctx context.Context) yielded { return collect(square.Map(ctx, s, slices.Values(upTo(6)))) },
			"MapUnordered": func(ctx context.Context) yielded {
				return collectUnordered(t, square.MapUnordered(ctx, s, slices.Values(upTo(6))))
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done := make(chan yielded)
			go func() { done <- run(ctx) }()
			synctest.Wait()
			// Three are done in time, the others never.
			for answered := 0; answered < 3; {
				c := <-s.calls
				c.Seal()
				for i, in := range items(c) {
					if answered == 3 {
						break
					}
					answerItem(c, i, in, square)
					answered++
				}
			}
			y := <-done
			if !slices.Equal(y.values, squares(3)) {
				t.Errorf("%s: the results in time are %v", name, y.values)
			}
			if len(y.errs) != 1 || !errors.Is(y.errs[0], context.DeadlineExceeded) {
				t.Errorf("%s: the end of the context was yielded as %v", name, y.errs)
			}
			for len(s.calls) > 0 {
				<-s.calls
			}
		}
	})
}

func TestMapWithAnEndedContext(t *testing.T) {
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		cancel(enough)
		pulled := 0
		for name, y := range map[string]yielded{
			"Map":          collect(square.Map(ctx, s, count(&pulled))),
			"MapUnordered": collectUnordered(t, square.MapUnordered(ctx, s, count(&pulled))),
		} {
			if len(y.values) != 0 || len(y.errs) != 1 || !errors.Is(y.errs[0], context.Canceled) || !errors.Is(y.errs[0], enough) {
				t.Errorf("%s yielded %v", name, y)
			}
		}
		if pulled > 0 || len(s.calls) > 0 {
			t.Errorf("%d inputs were pulled, %d calls made", pulled, len(s.calls))
		}
	})
}

// A task's own timeout is that item's failure, not the end of the map.
func TestMapTasksOwnTimeoutIsNoEnd(t *testing.T) { // T027
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		late := procpool.Define("late", func(context.Context, int) (int, error) { return 0, context.DeadlineExceeded })
		s.serve(t, 1, func(c *procpool.Call) { answer(c, late) })
		y := collect(late.Map(t.Context(), s, slices.Values(upTo(5))))
		if len(y.errs) != 5 {
			t.Errorf("%d items failed, want all 5", len(y.errs))
		}
		for _, err := range y.errs {
			var te *procpool.TaskError
			if !errors.As(err, &te) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("yielded %#v", err)
			}
		}
	})
}

// What would meet every further item too is yielded once and ends the map; what
// concerns one item is not.
func TestMapEndsWithARefusal(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		err  error
		ends bool
	}{
		{procpool.ErrClosed, true},
		{fmt.Errorf("at the moment: %w", procpool.ErrQueueFull), true},
		{procpool.ErrUnknownTask, true},
		{&procpool.StartError{Reason: "no such file"}, true},
		{procpool.ErrTooLarge, false},
		{&procpool.CodecError{Op: "decode the argument", Err: errBoom}, false},
		{&procpool.CrashError{Reason: "signal: killed"}, false},
		{&procpool.TaskError{Message: "procpool: the pool is closed"}, false},
		{&procpool.PanicError{Value: "x"}, false},
	} {
		eachWay(t, func(s *stage) {
			t := s.t
			n := 0
			s.refuse = func(c *procpool.Call) error {
				n += c.Seal()
				if n > 2 {
					return r.err
				}
				answer(c, square)
				return nil
			}
			for name, run := range map[string]func() yielded{
				"Map": func() yielded { return collect(square.Map(t.Context(), s, slices.Values(upTo(10)))) },
				"MapUnordered": func() yielded {
					return collectUnordered(t, square.MapUnordered(t.Context(), s, slices.Values(upTo(10))))
				},
			} {
				n = 0
				y := run()
				want := 8
				if r.ends {
					want = 1
				}
				if !slices.Equal(y.values, squares(2)) || len(y.errs) != want {
					t.Errorf("%s, %v: %v and %d errors, want %d", name, r.err, y.values, len(y.errs), want)
				}
				for _, err := range y.errs {
					if !errors.Is(err, r.err) {
						t.Errorf("%s: yielded %v, want %v", name, err, r.err)
					}
				}
			}
		})
	}
}

// A refusal ends the map even if the context ends as well.
func TestMapRefusalAndEndOfContext(t *testing.T) {
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.refuse = func(*procpool.Call) error { return procpool.ErrClosed }
		n := 0
		for _, err := range square.Map(ctx, s, slices.Values(upTo(10))) {
			cancel()
			if err == nil {
				t.Error("a result of a closed executor")
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d errors were yielded", n)
		}
	})
}

func TestMapInputThatPanics(t *testing.T) { // T048
	t.Parallel()
	for _, at := range []int{0, 1, 5} {
		eachWay(t, func(s *stage) {
			t := s.t
			s.serve(t, 2, func(c *procpool.Call) { answer(c, square) })
			in := func(yield func(int) bool) {
				for n := range at {
					if !yield(n) {
						return
					}
				}
				panic(errBoom)
			}
			for name, run := range map[string]func(got *[]int){
				"Map": func(got *[]int) {
					for v, err := range square.Map(t.Context(), s, in) {
						if err != nil {
							t.Error(err)
						}
						*got = append(*got, v)
					}
				},
				"MapUnordered": func(got *[]int) {
					for it := range square.MapUnordered(t.Context(), s, in) {
						*got = append(*got, it.Out)
					}
				},
			} {
				var got []int
				func() {
					defer func() {
						if p := recover(); p != errBoom { //nolint:errorlint // the very value
							t.Errorf("%s: the reader saw the panic %v", name, p)
						}
					}()
					run(&got)
				}()
				slices.Sort(got)
				if !slices.Equal(got, squares(at)) {
					t.Errorf("%s: the results before it are %v", name, got)
				}
			}
		})
	}
}

// As with iter.Pull, what ends the sequence's goroutine ends its reader's.
func TestMapInputThatExits(t *testing.T) { // T048
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		s.serve(t, 1, func(c *procpool.Call) { answer(c, square) })
		var got []int
		returned := false
		over := make(chan struct{})
		go func() {
			defer close(over)
			got = collect(square.Map(t.Context(), s, func(yield func(int) bool) {
				_ = yield(0) && yield(1)
				runtime.Goexit()
			})).values
			returned = true
		}()
		<-over
		if returned {
			t.Errorf("Map ended as if its input had, with %v", got)
		}
	})
}

func TestMapReaderThatPanics(t *testing.T) {
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		s.serve(t, 1, func(c *procpool.Call) { answer(c, square) })
		pulled := 0
		defer func() {
			if p := recover(); p != errBoom { //nolint:errorlint // the very value
				t.Errorf("the panic came out as %v", p)
			}
		}()
		for _, err := range square.Map(t.Context(), s, count(&pulled)) {
			if err != nil {
				t.Error(err)
			}
			panic(errBoom)
		}
	})
}

// Map has one goroutine, which is gone when it returns, though the input pulls
// slowly.
func TestMapReturnsAfterThePendingPull(t *testing.T) {
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		s.serve(t, 1, func(c *procpool.Call) { answer(c, square) })
		release, pulling := make(chan struct{}), false
		in := func(yield func(int) bool) {
			if !yield(1) {
				return
			}
			pulling = true
			<-release
			pulling = false
			yield(2)
		}
		left := make(chan struct{})
		go func() {
			defer close(left)
			for _, err := range square.Map(t.Context(), s, in) {
				if err != nil {
					t.Error(err)
				}
				break
			}
		}()
		synctest.Wait()
		select {
		case <-left:
			t.Error("Map returned while it pulled")
		default:
		}
		close(release)
		<-left
		if pulling {
			t.Error("the pull goes on")
		}
	})
}

func TestMapBlocksWhereSubmitWould(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(3)
		pulled := 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan yielded)
		go func() { done <- collect(square.Map(ctx, s, count(&pulled))) }()
		synctest.Wait()
		if pulled != 4 {
			t.Errorf("%d inputs were pulled into an executor that holds 3", pulled)
		}
		cancel()
		if y := <-done; len(y.errs) != 1 {
			t.Errorf("yielded %v", y)
		}

		// With NoWait the full queue ends it.
		s = newStage(3)
		y := collect(square.With(procpool.NoWait()).Map(t.Context(), s, func(yield func(int) bool) {
			for n := range 10 {
				if !yield(n) {
					return
				}
			}
			for len(s.calls) > 0 {
				answer(<-s.calls, square)
			}
		}))
		if !slices.Equal(y.values, squares(3)) || len(y.errs) != 1 || !errors.Is(y.errs[0], procpool.ErrQueueFull) {
			t.Errorf("with NoWait: %v", y)
		}
	})
}
