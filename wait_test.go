package procpool_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// four returns futures of square for 0 to 3, and their calls in the executor.
func four(t *testing.T) (fs []*procpool.Future[int], calls []*procpool.Call) {
	t.Helper()
	s := newStage(4)
	for i := range 4 {
		fs = append(fs, square.Submit(t.Context(), s, i))
		calls = append(calls, s.start())
	}
	return fs, calls
}

func waitables[T any](fs []*procpool.Future[T]) []procpool.Waitable {
	all := make([]procpool.Waitable, len(fs))
	for i, f := range fs {
		all[i] = f
	}
	return all
}

func done(fs []*procpool.Future[int]) (n int) {
	for _, f := range fs {
		if f.State() == procpool.Done {
			n++
		}
	}
	return n
}

// waitUntil runs Wait on a goroutine and returns a function that tells whether it
// has returned, and with what.
func waitUntil(ctx context.Context, until procpool.WaitFor, fs []*procpool.Future[int]) func() (error, bool) {
	ch := make(chan error, 1)
	go func() { ch <- procpool.Wait(ctx, until, waitables(fs)...) }()
	return func() (error, bool) {
		synctest.Wait()
		select {
		case err := <-ch:
			return err, true
		default:
			return nil, false
		}
	}
}

func TestWait(t *testing.T) { // T014 T015 T016
	t.Parallel()
	ok := func(c *procpool.Call) { c.Finish(encoded(1), nil) }
	bad := func(c *procpool.Call) { c.Finish(nil, errBoom) }
	type step struct {
		call   int
		finish func(*procpool.Call)
	}
	for name, w := range map[string]struct {
		until  procpool.WaitFor
		before []step // before Wait is called
		after  []step // one by one, and the last must end the wait
	}{
		"first":                         {procpool.UntilFirst, nil, []step{{2, ok}}},
		"first, which fails":            {procpool.UntilFirst, nil, []step{{2, bad}}},
		"first, some are done":          {procpool.UntilFirst, []step{{1, ok}, {3, ok}}, nil},
		"error":                         {procpool.UntilError, nil, []step{{0, ok}, {3, ok}, {1, bad}}},
		"error, some are done":          {procpool.UntilError, []step{{0, ok}}, []step{{1, ok}, {2, bad}}},
		"error, one has failed":         {procpool.UntilError, []step{{0, ok}, {3, bad}}, nil},
		"error, none comes":             {procpool.UntilError, nil, []step{{0, ok}, {1, ok}, {3, ok}, {2, ok}}},
		"all":                           {procpool.UntilAll, nil, []step{{3, ok}, {2, bad}, {1, ok}, {0, ok}}},
		"all, some are done":            {procpool.UntilAll, []step{{3, ok}, {2, bad}, {0, ok}}, []step{{1, bad}}},
		"all of which all are done":     {procpool.UntilAll, []step{{3, ok}, {2, bad}, {1, ok}, {0, ok}}, nil},
		"the error of a cancelled call": {procpool.UntilError, nil, []step{{0, ok}, {1, func(c *procpool.Call) { c.Finish(nil, context.Canceled) }}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			fs, calls := four(t)
			for _, s := range w.before {
				s.finish(calls[s.call])
			}
			returned := waitUntil(t.Context(), w.until, fs)
			for i, s := range w.after {
				if err, over := returned(); over {
					t.Errorf("%s: it returned %v before step %d", name, err, i)
				}
				s.finish(calls[s.call])
			}
			if err, over := returned(); !over || err != nil {
				t.Errorf("%s: returned %v, with %v", name, over, err)
			}
			if got, want := done(fs), len(w.before)+len(w.after); got != want {
				t.Errorf("%s: %d futures are done, want %d: waiting must not touch them", name, got, want)
			}
			for _, c := range calls {
				c.Finish(nil, errBoom)
			}
		})
	}
}

func TestWaitOfNothing(t *testing.T) {
	t.Parallel()
	for _, until := range []procpool.WaitFor{procpool.UntilAll, procpool.UntilFirst, procpool.UntilError} {
		if err := procpool.Wait(t.Context(), until); err != nil {
			t.Errorf("Wait(%v) = %v", until, err)
		}
	}
	if got, err := procpool.All[int](t.Context()); len(got) != 0 || err != nil {
		t.Errorf("All = %v, %v", got, err)
	}
	for f := range procpool.AsCompleted[int](t.Context()) {
		t.Errorf("AsCompleted yielded %v", f)
	}
}

func TestWaitEndsWithItsContextOnly(t *testing.T) { // T017 T022
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, calls := four(t)
		calls[0].Finish(encoded(0), nil)
		calls[2].Finish(encoded(4), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()

		err := procpool.Wait(ctx, procpool.UntilAll, waitables(append(fs, fs...))...)
		if !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
		if !strings.Contains(err.Error(), "2 (of 4) unfinished futures") {
			t.Errorf("the error does not tell how many: %v", err)
		}
		if waited := time.Since(began); waited != 50*time.Millisecond {
			t.Errorf("it waited %v", waited)
		}
		if done(fs) != 2 {
			t.Error("the end of the wait ended calls")
		}
		if _, err := procpool.All(ctx, fs...); !errors.Is(err, procpool.ErrNotDone) || !strings.Contains(err.Error(), "2 (of 4)") {
			t.Errorf("All = %v", err)
		}
		// What is there already is not a matter of time.
		if err := procpool.Wait(ctx, procpool.UntilFirst, waitables(fs)...); err != nil {
			t.Errorf("Wait(UntilFirst) with a done future = %v", err)
		}
		if got, err := procpool.All(ctx, fs[0], fs[2], fs[0]); err != nil || !slices.Equal(got, []int{0, 4, 0}) {
			t.Errorf("All of done futures = %v, %v", got, err)
		}
		for _, c := range calls {
			c.Finish(nil, errBoom)
		}
	})
}

func TestWaitCountsADuplicateOnce(t *testing.T) { // T013
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 3)
		returned := waitUntil(t.Context(), procpool.UntilAll, []*procpool.Future[int]{f, f, f})
		if _, over := returned(); over {
			t.Error("it did not wait")
		}
		s.start().Finish(encoded(9), nil)
		if err, over := returned(); !over || err != nil {
			t.Errorf("returned %v, with %v", over, err)
		}
	})
}

func TestWaitTakesFuturesOfAnyType(t *testing.T) {
	t.Parallel()
	s := newStage(2)
	a := square.Submit(t.Context(), s, 1)
	b := procpool.Remote[string, []string]("other").Submit(t.Context(), s, "x")
	s.start().Finish(encoded(1), nil)
	s.start().Finish(nil, errBoom)
	if err := procpool.Wait(t.Context(), procpool.UntilAll, a, b); err != nil {
		t.Error(err)
	}
}

func TestAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, calls := four(t)
		for i, c := range slices.Backward(calls) {
			c.Finish(encoded(byte(i*i)), nil)
		}
		got, err := procpool.All(t.Context(), append(fs, fs[1])...)
		if err != nil || !slices.Equal(got, []int{0, 1, 4, 9, 1}) {
			t.Errorf("All = %v, %v", got, err)
		}

		// The first failure ends the wait and nothing else.
		fs, calls = four(t)
		failed := make(chan error)
		go func() {
			got, err := procpool.All(t.Context(), fs...)
			if got != nil {
				t.Errorf("All with failures = %v", got)
			}
			failed <- err
		}()
		synctest.Wait()
		calls[3].Finish(nil, errBoom)
		calls[1].Finish(nil, errors.New("the second to fail"))
		if err := <-failed; !errors.Is(err, errBoom) {
			t.Errorf("All with failures: %v", err)
		}
		if done(fs) != 2 {
			t.Error("All ended the other calls")
		}
		calls[0].Finish([]byte{0xff}, nil)
		calls[2].Finish(encoded(1), nil)

		// A result that does not decode fails like a call.
		var ce *procpool.CodecError
		if got, err := procpool.All(t.Context(), fs[0], fs[2]); !errors.As(err, &ce) || got != nil {
			t.Errorf("All with a broken result = %v, %v", got, err)
		}
	})
}

func TestAsCompletedYieldsInTheOrderOfEnds(t *testing.T) { // T019
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, calls := four(t)
		calls[3].Finish(nil, errBoom)
		calls[1].Finish(encoded(1), nil)
		next := make(chan struct{})
		go func() {
			for _, i := range []int{2, 0} {
				<-next
				calls[i].Finish(encoded(0), nil)
			}
		}()
		var order []int
		for f := range procpool.AsCompleted(t.Context(), fs...) {
			order = append(order, slices.Index(fs, f))
			if len(order) >= 2 && len(order) < 4 {
				next <- struct{}{}
			}
		}
		// Those that were done come first, in the order given.
		if !slices.Equal(order, []int{1, 3, 2, 0}) {
			t.Errorf("order %v", order)
		}
	})
}

func TestAsCompletedYieldsWhatIsDoneThoughTimeIsUp(t *testing.T) { // T019 T020
	t.Parallel()
	fs, calls := four(t)
	calls[0].Finish(encoded(0), nil)
	calls[2].Finish(encoded(4), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for f := range procpool.AsCompleted(ctx, fs...) {
		if f.State() != procpool.Done {
			t.Error("yielded a future that is not done")
		}
		n++
	}
	if n != 2 || ctx.Err() == nil {
		t.Errorf("%d yielded, want the 2 that are done", n)
	}
}

func TestAsCompletedYieldsADuplicateOnce(t *testing.T) { // T021
	t.Parallel()
	s := newStage(1)
	f := square.Submit(t.Context(), s, 3)
	s.start().Finish(encoded(9), nil)
	n := 0
	for range procpool.AsCompleted(t.Context(), f, f, f) {
		n++
	}
	if n != 1 {
		t.Errorf("yielded %d times", n)
	}
}

func TestAsCompletedCanBeLeftAndUsedAgain(t *testing.T) {
	t.Parallel()
	fs, calls := four(t)
	for _, c := range calls {
		c.Finish(encoded(1), nil)
	}
	seq := procpool.AsCompleted(t.Context(), fs...)
	for range seq {
		break
	}
	n := 0
	for range seq {
		n++
	}
	if n != 4 {
		t.Errorf("the second use yielded %d", n)
	}
}

// Asking again and again with a short patience must not pile anything up.
func TestWaitingInVainKeepsNothing(t *testing.T) {
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	fs, calls := four(t)
	rounds := func(n int) {
		for range n {
			_ = procpool.Wait(impatient, procpool.UntilAll, waitables(fs)...)
			_, _ = procpool.All(impatient, fs...)
			for range procpool.AsCompleted(impatient, fs...) {
				t.Error("nothing is done")
			}
			for _, f := range fs {
				_, _ = f.Result(impatient)
				f.Done()
			}
		}
	}
	rounds(100)
	before := heap()
	rounds(5_000)
	// Kept, it would be 100 bytes or more for each of 60,000 waits.
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	for _, c := range calls {
		c.Finish(encoded(1), nil)
	}
	if _, err := procpool.All(t.Context(), fs...); err != nil {
		t.Error(err)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
