package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
)

// oddly is square that fails for every third input.
var oddly = procpool.Define("oddly", func(_ context.Context, n int) (int, error) {
	if n%3 == 2 {
		return 0, fmt.Errorf("%d: %w", n, errBoom)
	}
	return n * n, nil
}, procpool.Errors(map[string]error{"boom": errBoom}))

// eachWay runs a test with and without packs.
func eachWay(t *testing.T, test func(s *stage)) {
	t.Helper()
	for _, packs := range []bool{false, true} {
		t.Run(fmt.Sprintf("packs=%v", packs), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(10_000)
				s.t, s.packs = t, packs
				test(s)
			})
		})
	}
}

func TestMapKeepsTheOrder(t *testing.T) { // T025
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		s.serve(t, 3, func(c *procpool.Call) { answer(c, square) })
		var got []int
		for v, err := range square.Map(t.Context(), s, slices.Values(upTo(5000))) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if !slices.Equal(got, squares(5000)) {
			t.Errorf("%d results, or not in order", len(got))
		}
	})
}

// An executor may cut packs, finish their items in any order, and more than once.
func TestMapWithAnUntidyExecutor(t *testing.T) { // T025 T026 T035
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		s.serve(t, 4, func(c *procpool.Call) {
			s.scramble(c, oddly, rand.New(rand.NewPCG(seed, c.Slot.Seq)))
		})
		n := 0
		for v, err := range oddly.With(procpool.Window(50)).Map(t.Context(), s, slices.Values(upTo(3000))) {
			if n%3 == 2 {
				if !errors.Is(err, errBoom) {
					t.Fatalf("item %d: %d, %v", n, v, err)
				}
			} else if v != n*n || err != nil {
				t.Fatalf("item %d: %d, %v", n, v, err)
			}
			n++
		}
		if n != 3000 {
			t.Errorf("%d results", n)
		}
	})
}

func TestMapUnorderedTellsInputAndPlace(t *testing.T) { // T136
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		s.serve(t, 4, func(c *procpool.Call) {
			s.scramble(c, oddly, rand.New(rand.NewPCG(seed, c.Slot.Seq)))
		})
		seen := make(map[int]bool)
		inputs := upTo(3000)
		slices.Reverse(inputs)
		for it := range oddly.With(procpool.Window(50)).MapUnordered(t.Context(), s, slices.Values(inputs)) {
			if it.In != inputs[it.Index] || seen[it.Index] {
				t.Fatalf("%+v: seen %v", it, seen[it.Index])
			}
			seen[it.Index] = true
			if bad := it.In%3 == 2; bad != errors.Is(it.Err, errBoom) || !bad && it.Out != it.In*it.In {
				t.Fatalf("%+v", it)
			}
		}
		if len(seen) != 3000 {
			t.Errorf("%d results", len(seen))
		}
	})
}

func TestMapUnorderedYieldsTheFastestFirst(t *testing.T) { // T136
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(10)
		go func() {
			slow := s.start()
			for range 4 {
				answer(s.start(), square)
			}
			synctest.Wait()
			answer(slow, square)
		}()
		var order []int
		for it := range square.MapUnordered(t.Context(), s, slices.Values(upTo(5))) {
			order = append(order, it.Index)
		}
		if !slices.Equal(order, []int{1, 2, 3, 4, 0}) {
			t.Errorf("order %v", order)
		}
	})
}

func TestMapGoesOnAfterAFailedItem(t *testing.T) { // T026 T049 T094
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		s.serve(t, 1, func(c *procpool.Call) { answer(c, oddly) })
		next, stop := iter.Pull2(oddly.Map(t.Context(), s, slices.Values(upTo(4))))
		defer stop()
		for i := range 4 {
			v, err, more := next()
			if !more || (i == 2) != errors.Is(err, errBoom) || i != 2 && v != i*i {
				t.Errorf("item %d: %d, %v, more %v", i, v, err, more)
			}
		}
		for range 2 { // and stays exhausted
			if v, err, more := next(); more {
				t.Errorf("after the end: %d, %v", v, err)
			}
		}
	})
}

// What can't be encoded costs its item, wherever it is.
func TestMapItemThatCannotBeEncoded(t *testing.T) { // T050 T063
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		task := procpool.Define("kind", func(_ context.Context, v any) (string, error) { return fmt.Sprintf("%T", v), nil })
		s.serve(t, 2, func(c *procpool.Call) { answer(c, task) })
		var got []string
		for v, err := range task.Map(t.Context(), s, slices.Values([]any{func() {}, "a", make(chan int), "b", "c", panicky{}})) {
			if ce, ok := errors.AsType[*procpool.CodecError](err); ok {
				v = ce.Op
			} else if err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		bad := "encode the argument"
		if want := []string{bad, "string", bad, "string", "string", bad}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestMapOfNothing(t *testing.T) { // T033 T049
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		for v, err := range square.With(procpool.Window(3)).Map(t.Context(), s, slices.Values([]int(nil))) {
			t.Errorf("Map yielded %d, %v", v, err)
		}
		for it := range square.MapUnordered(t.Context(), s, slices.Values([]int(nil))) {
			t.Errorf("MapUnordered yielded %+v", it)
		}
		if len(s.calls) != 0 {
			t.Errorf("%d calls were made", len(s.calls))
		}
	})
}

func TestMapWindows(t *testing.T) { // T031 T035
	t.Parallel()
	for _, window := range []int{1, 2, 3, 6, 39, 40, 41, 1000, 1 << 20} {
		eachWay(t, func(s *stage) {
			t := s.t
			s.serve(t, 2, func(c *procpool.Call) { answer(c, square) })
			task := square.With(procpool.Window(window))
			for range 2 { // a sequence can be used again
				n := 0
				for v, err := range task.Map(t.Context(), s, slices.Values(upTo(40))) {
					if v != n*n || err != nil {
						t.Fatalf("window %d: item %d: %d, %v", window, n, v, err)
					}
					n++
				}
				if n != 40 {
					t.Errorf("window %d: %d results", window, n)
				}
			}
		})
	}
}

func TestWindowMustHoldAnInput(t *testing.T) { // T030
	t.Parallel()
	for _, n := range []int{0, -1} {
		mustPanic(t, "a window holds at least one input", func() { procpool.Window(n) })
	}
	// Far too much is as much as there is.
	s := newStage(10)
	s.serve(t, 1, func(c *procpool.Call) { answer(c, square) })
	for v, err := range square.With(procpool.Window(int(^uint(0)>>1))).Map(t.Context(), s, slices.Values([]int{3})) {
		if v != 9 || err != nil {
			t.Error(v, err)
		}
	}
}

// Exactly a window of inputs is pulled, however long the reader and the executor
// take, and one more for each result taken: at once when the reader waits for
// more, and before three quarters of the window are idle when it does not.
func TestMapPullsNoMoreThanItsWindow(t *testing.T) { // T034 T134
	t.Parallel()
	for _, window := range []int{1, 2, 3, 10, 1024} {
		eachWay(t, func(s *stage) {
			t := s.t
			pulled := 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			step := make(chan int)
			go func() {
				defer close(step)
				for v, err := range square.With(procpool.Window(window)).Map(ctx, s, count(&pulled)) {
					if err != nil {
						return
					}
					step <- v
				}
			}()
			synctest.Wait()
			if pulled != window {
				t.Fatalf("window %d: %d inputs were pulled before a result was there", window, pulled)
			}
			var c *procpool.Call
			for taken := 1; taken <= min(3*window, 100); taken++ {
				for c == nil || c.Finished() {
					c = <-s.calls
					c.Seal()
				}
				for i := range items(c) {
					if !c.ItemFinished(i) {
						answerItem(c, i, items(c)[i], square)
						break
					}
				}
				<-step // the reader goes back for the next, which is not there
				synctest.Wait()
				if pulled != taken+window {
					t.Fatalf("window %d: %d inputs were pulled when %d results were taken and the reader waits", window, pulled, taken)
				}
			}
			cancel()
			for range step {
			}
		})
	}
}

func TestMapReaderThatRestsIsNotWaitedFor(t *testing.T) { // T034
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		pulled, taken := 0, 0
		s.serve(t, 2, func(c *procpool.Call) { answer(c, square) })
		for _, err := range square.With(procpool.Window(16)).Map(t.Context(), s, count(&pulled)) {
			if err != nil {
				t.Fatal(err)
			}
			taken++
			synctest.Wait()
			if pulled > taken+16 {
				t.Fatalf("%d inputs were pulled when %d results were taken", pulled, taken)
			}
			if pulled < taken+16-4 {
				t.Fatalf("only %d inputs were pulled when %d results were taken", pulled, taken)
			}
			if taken == 100 {
				break
			}
		}
	})
}

func TestMapOfAnEndlessInput(t *testing.T) { // T032
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		pulled, n := 0, 0
		s.serve(t, 2, func(c *procpool.Call) { answer(c, square) })
		for v, err := range square.Map(t.Context(), s, count(&pulled)) {
			if v != n*n || err != nil {
				t.Fatalf("item %d: %d, %v", n, v, err)
			}
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("%d results", n)
		}
	})
}

func TestMapLeftEarlyCancelsTheRest(t *testing.T) { // T029
	t.Parallel()
	eachWay(t, func(s *stage) {
		t := s.t
		pulled := 0
		var left []*procpool.Call
		for _, err := range square.With(procpool.Window(20)).Map(t.Context(), s, func(yield func(int) bool) {
			count(&pulled)(func(n int) bool {
				ok := yield(n)
				if n == 0 {
					answer(s.start(), square)
				}
				return ok
			})
		}) {
			if err != nil {
				t.Error(err)
			}
			synctest.Wait()
			for len(s.calls) > 0 {
				left = append(left, <-s.calls)
			}
			break
		}
		synctest.Wait()
		if len(left) == 0 {
			t.Fatal("nothing ran ahead")
		}
		for _, c := range left {
			if !c.Finished() {
				t.Errorf("a call with %d items was not cancelled", c.Seal())
			}
		}
	})
}
