package procpool_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// packed runs a Map over n inputs on an executor that takes packs and does
// nothing with them, and hands test the packs and what the Map yields.
func packed(t *testing.T, n int, test func(s *stage, out <-chan yielded)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(100)
		s.packs = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		out := make(chan yielded, 1)
		task := square.With(procpool.Window(max(n, 1)), procpool.Metadata(map[string]string{"k": "v"}))
		go func() { out <- collect(task.Map(ctx, s, slices.Values(upTo(n)))) }()
		synctest.Wait()
		test(s, out)
		for len(s.calls) > 0 {
			answer(s.start(), square)
		}
	})
}

func TestPackGrowsWhileItWaits(t *testing.T) { // T135
	t.Parallel()
	packed(t, 300, func(s *stage, out <-chan yielded) {
		first, second := s.start(), s.start()
		if got := []int{first.Seal(), second.Seal(), len(s.calls)}; !slices.Equal(got, []int{256, 44, 0}) {
			t.Errorf("packs of %v items", got)
		}
		payload := first.Payload()
		for i, size := range first.ItemSizes() {
			if got := number(t, payload[:size]); got != i {
				t.Fatalf("item %d is %d", i, got)
			}
			payload = payload[size:]
		}
		if len(payload) != 0 || first.Items() != 256 {
			t.Errorf("%d bytes are in no item, Items = %d", len(payload), first.Items())
		}
		answer(second, square)
		answer(first, square)
		if y := <-out; !slices.Equal(y.values, squares(300)) {
			t.Errorf("%v", y)
		}
	})
}

func TestPackGrowsNoMoreOnceSealed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(100)
		s.packs = true
		inputs := make(chan int)
		out := make(chan yielded, 1)
		go func() {
			out <- collect(square.Map(t.Context(), s, func(yield func(int) bool) {
				for n := range inputs {
					if !yield(n) {
						return
					}
				}
			}))
		}()
		var sizes []int
		for _, n := range []int{1, 3, 2} {
			for range n {
				inputs <- 7
			}
			synctest.Wait()
			c := s.start()
			sizes = append(sizes, c.Seal())
			defer answer(c, square)
		}
		close(inputs)
		if !slices.Equal(sizes, []int{1, 3, 2}) || len(s.calls) != 0 {
			t.Errorf("packs of %v items and %d more", sizes, len(s.calls))
		}
	})
}

func TestPackIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(100)
		s.packs = true
		lengths := []int{10 << 10, 10 << 10, 10 << 10, 10 << 10, 100 << 10, 1, 0, 32 << 10, 5}
		in := make([][]byte, len(lengths))
		for i, n := range lengths {
			in[i] = bytes.Repeat([]byte{byte(i)}, n)
		}
		echo := procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw))
		var got [][]byte
		over := make(chan struct{})
		go func() {
			defer close(over)
			for b, err := range echo.Map(t.Context(), s, slices.Values(in)) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, b)
			}
		}()
		synctest.Wait()
		var packs []int
		for len(s.calls) > 0 {
			c := s.start()
			packs = append(packs, c.Seal())
			if c.Items() > 1 && len(c.Payload()) > 32<<10 {
				t.Errorf("a pack of %d items has %d bytes", c.Items(), len(c.Payload()))
			}
			answer(c, echo)
		}
		<-over
		if want := []int{3, 1, 1, 2, 1, 1}; !slices.Equal(packs, want) {
			t.Errorf("packs of %v items, want %v", packs, want)
		}
		if !slices.EqualFunc(got, in, bytes.Equal) {
			t.Error("what came back is not what was sent")
		}
	})
}

func TestPackSplit(t *testing.T) {
	t.Parallel()
	for n := 1; n < 5; n++ {
		packed(t, 5, func(s *stage, out <-chan yielded) {
			c := s.start()
			c.Seal()
			c.Slot.Seq, c.Slot.Stamp, c.Slot.Attempts, c.Slot.Victims = 17, 18, 2, 3
			c.FinishItem(n-1, encoded(byte((n-1)*(n-1))), nil)
			rest := c.Split(n)
			if c.Items() != n || rest.Items() != 5-n {
				t.Errorf("split at %d: %d and %d items", n, c.Items(), rest.Items())
			}
			for i, in := range append(items(c), items(rest)...) {
				if number(t, in) != i {
					t.Errorf("split at %d: item %d is %d", n, i, number(t, in))
				}
			}
			if want := (procpool.Slot{Stamp: 18, Attempts: 2, Victims: 3}); rest.Slot != want {
				t.Errorf("the rest's slot is %+v, want %+v", rest.Slot, want)
			}
			deadline, ok := c.Deadline()
			if d, okRest := rest.Deadline(); !ok || !okRest || !d.Equal(deadline) {
				t.Errorf("deadlines %v and %v", deadline, d)
			}
			if rest.Metadata()["k"] != "v" || rest.Task() != "square" || rest.Codec() != "cbor" || !rest.Local() || rest.NoWait() {
				t.Error("the rest has lost what it is")
			}
			if c.Finished() != (n == 1) || rest.Finished() {
				t.Errorf("split at %d: finished %v and %v", n, c.Finished(), rest.Finished())
			}
			answer(rest, square)
			answer(c, square)
			if !c.Finished() || !rest.Finished() {
				t.Error("not finished in the end")
			}
			if y := <-out; !slices.Equal(y.values, squares(5)) {
				t.Errorf("split at %d: %v", n, y)
			}
		})
	}
}

// A part of which every item has its outcome is finished from the start.
func TestPackSplitOfFinishedItems(t *testing.T) {
	t.Parallel()
	packed(t, 4, func(s *stage, out <-chan yielded) {
		c := s.start()
		c.Seal()
		for i := 2; i < 4; i++ {
			c.FinishItem(i, encoded(byte(i*i)), nil)
		}
		rest := c.Split(2)
		if c.Finished() || !rest.Finished() || !rest.ItemFinished(1) || rest.FinishItem(0, nil, errBoom) || rest.Finish(nil, errBoom) {
			t.Error("the finished part takes an outcome, or the open part none")
		}
		answer(c, square)
		if y := <-out; !slices.Equal(y.values, squares(4)) {
			t.Errorf("%v", y)
		}
	})
}

func TestPackFinishGivesTheRestTheSameOutcome(t *testing.T) {
	t.Parallel()
	packed(t, 4, func(s *stage, out <-chan yielded) {
		c := s.start()
		c.Seal()
		if !c.FinishItem(1, encoded(1), nil) || c.FinishItem(1, encoded(2), nil) {
			t.Error("an item's first outcome was refused, or its second taken")
		}
		if !c.ItemFinished(1) || c.ItemFinished(0) || c.Finished() {
			t.Error("one item of four is finished, that is not what it says")
		}
		if !c.Finish(nil, errBoom) || c.Finish(nil, errBoom) || c.FinishItem(0, nil, nil) {
			t.Error("the first Finish was refused, or a second outcome taken")
		}
		y := <-out
		if !slices.Equal(y.values, []int{1}) || len(y.errs) != 3 {
			t.Errorf("%v", y)
		}
	})
}

// A plain call is a call of one item.
func TestPackMethodsOfAPlainCall(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	f := square.Submit(t.Context(), s, 3)
	c := s.start()
	if c.Seal() != 1 || c.Items() != 1 || c.ItemSizes() != nil || c.ItemFinished(0) {
		t.Error("it is no call of one item")
	}
	if !c.FinishItem(0, encoded(9), nil) || !c.ItemFinished(0) || c.FinishItem(0, nil, errBoom) {
		t.Error("FinishItem is not Finish")
	}
	if got, err := f.Result(t.Context()); got != 9 || err != nil {
		t.Errorf("the result is %d, %v", got, err)
	}
}

// One error may be given to all items, and each reader may look at it at once.
func TestPackSharedErrorKeepsItsIdentity(t *testing.T) { // T061
	t.Parallel()
	shared := &procpool.TaskError{Code: "boom"}
	for range 50 {
		s := newStage(10)
		s.packs = true
		s.serve(t, 2, func(c *procpool.Call) {
			c.Seal()
			c.Finish(nil, shared)
		})
		n := 0
		for it := range oddly.MapUnordered(t.Context(), s, slices.Values([]int{5, 6, 7})) {
			if !errors.Is(it.Err, errBoom) {
				t.Fatalf("%v", it.Err)
			}
			n++
		}
		if n != 3 {
			t.Fatalf("%d outcomes", n)
		}
	}
	if errors.Is(shared, errBoom) {
		t.Error("the executor's own error was changed")
	}
}

// An executor may refuse a pack that still grows.
func TestPackRefusedUnsealed(t *testing.T) {
	t.Parallel()
	s := newStage(0)
	s.packs = true
	s.refuse = func(*procpool.Call) error { return procpool.ErrTooLarge }
	if y := collect(square.Map(t.Context(), s, slices.Values(upTo(10)))); len(y.errs) != 10 {
		t.Errorf("%d items of 10 were refused", len(y.errs))
	}
}

// Whatever races for a pack's items, each gets one outcome.
func TestPackItemsResolveOnceInARace(t *testing.T) { // T011
	t.Parallel()
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage(1000)
		s.packs = true
		var won atomic.Int64
		var race sync.WaitGroup
		race.Go(func() {
			for c := range s.calls {
				n := c.Seal()
				for g := range 3 {
					race.Go(func() {
						for _, i := range rand.Perm(n) {
							if c.FinishItem(i, encoded(byte(g)), nil) {
								won.Add(1)
							}
						}
					})
				}
			}
		})
		taken := 0
		for it := range square.With(procpool.Window(64)).MapUnordered(ctx, s, slices.Values(upTo(1000))) {
			if it.Err != nil && !errors.Is(it.Err, context.Canceled) {
				t.Fatal(it.Err)
			}
			if taken++; taken == 500 {
				cancel()
			}
		}
		close(s.calls)
		race.Wait()
		cancel()
		if taken < 500 || taken > 1000 || won.Load() < 500 {
			t.Fatalf("%d items were yielded, %d finished", taken, won.Load())
		}
	}
}

// The context may end at any moment, with packs that grow, wait, run and are cut.
func TestPackAndContextRace(t *testing.T) {
	t.Parallel()
	for round := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage(4)
		s.packs = true
		s.serve(t, 2, func(c *procpool.Call) { s.scramble(c, square, rand.New(rand.NewPCG(1, uint64(round)))) })
		n, last := 0, error(nil)
		for v, err := range square.With(procpool.Window(30)).Map(ctx, s, slices.Values(upTo(200))) {
			if err != nil {
				last = err
				continue
			}
			if v != n*n || last != nil {
				t.Fatalf("item %d is %d after %v", n, v, last)
			}
			if n++; n == round {
				go cancel()
			}
		}
		cancel()
		if n < 200 && !errors.Is(last, context.Canceled) {
			t.Fatalf("it ended after %d items with %v", n, last)
		}
	}
}
