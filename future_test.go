package procpool_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
)

// outcomes are the ways in which a future is resolved, with what its error must
// match.
var outcomes = []struct {
	name   string
	finish func(*procpool.Future[int], *procpool.Call)
	want   int
	is     error
}{
	{"result", func(_ *procpool.Future[int], c *procpool.Call) { c.Finish(encoded(16), nil) }, 16, nil},
	{"error", func(_ *procpool.Future[int], c *procpool.Call) { c.Finish(nil, errBoom) }, 0, errBoom},
	{"cancel", func(f *procpool.Future[int], _ *procpool.Call) { f.Cancel() }, 0, context.Canceled},
}

func TestFutureCallbackSeesTheOutcomeOnce(t *testing.T) { // T001
	t.Parallel()
	for _, o := range outcomes {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(1)
			f := square.Submit(t.Context(), s, 4)
			runs := 0
			f.OnDone(func() {
				runs++
				got, err := f.Result(t.Context())
				if f.State() != procpool.Done || got != o.want || !errors.Is(err, o.is) {
					t.Errorf("%s: inside the callback: %v, %d, %v", o.name, f.State(), got, err)
				}
			})
			o.finish(f, s.start())
			f.Cancel()
			synctest.Wait()
			if runs != 1 {
				t.Errorf("%s: the callback ran %d times", o.name, runs)
			}
		})
	}
}

func TestFutureCallbacksRunInOrderWhateverOneDoes(t *testing.T) { // T002
	log := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 4)
		var order []int
		f.OnDone(func() { order = append(order, 1); panic("a callback's panic") })
		f.OnDone(func() { order = append(order, 2); runtime.Goexit() })
		f.OnDone(func() { order = append(order, 3); panic(errBoom) })
		f.OnDone(func() { order = append(order, 4) })
		s.start().Finish(encoded(16), nil)
		synctest.Wait()
		if !slices.Equal(order, []int{1, 2, 3, 4}) {
			t.Errorf("the callbacks that ran are %v", order)
		}
		if got, err := f.Result(t.Context()); got != 16 || err != nil {
			t.Errorf("the result is %d, %v", got, err)
		}
	})
	if text := log.String(); strings.Count(text, "OnDone panicked") != 2 || !strings.Contains(text, "a callback's panic") || !strings.Contains(text, "future_test.go") {
		t.Errorf("the log has no word of the panics or no stack: %s", text)
	}
}

func TestFutureCallbackOfADoneFutureRunsAtOnce(t *testing.T) { // T003
	t.Parallel()
	for _, o := range outcomes {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 4)
		o.finish(f, s.start())
		ran := false // not synchronized: it must be this goroutine
		f.OnDone(func() { ran = true })
		if !ran {
			t.Errorf("%s: the callback did not run before OnDone returned", o.name)
		}
	}
}

func TestFutureCallbackOfADoneFutureMayPanic(t *testing.T) { // T004
	log := captureLog(t)
	s := newStage(1)
	f := square.Submit(t.Context(), s, 4)
	s.start().Finish(encoded(16), nil)
	f.OnDone(func() { panic("nobody should see this but the log") })
	if !strings.Contains(log.String(), "nobody should see this but the log") {
		t.Errorf("the log says %q", log)
	}
	if got, err := f.Result(t.Context()); got != 16 || err != nil {
		t.Errorf("the result is %d, %v", got, err)
	}
}

// Cancelling stops running work too, which is where we differ from Python.
func TestFutureCancelAndStates(t *testing.T) { // T006 T007
	t.Parallel()
	for name, at := range map[string]struct {
		prepare func(*stage, *procpool.Future[int])
		state   procpool.State
		cancel  bool // what Cancel returns
		told    int  // how many cancellations the executor hears of
		is      error
	}{
		"queued":                 {func(*stage, *procpool.Future[int]) {}, procpool.Queued, true, 1, context.Canceled},
		"started":                {func(s *stage, _ *procpool.Future[int]) { s.start() }, procpool.Started, true, 1, context.Canceled},
		"cancelled":              {func(_ *stage, f *procpool.Future[int]) { f.Cancel() }, procpool.Done, false, 1, context.Canceled},
		"cancelled while it ran": {func(s *stage, f *procpool.Future[int]) { s.start(); f.Cancel() }, procpool.Done, false, 1, context.Canceled},
		"finished":               {func(s *stage, _ *procpool.Future[int]) { s.start().Finish(encoded(16), nil) }, procpool.Done, false, 0, nil},
		"failed":                 {func(s *stage, _ *procpool.Future[int]) { s.start().Finish(nil, errBoom) }, procpool.Done, false, 0, errBoom},
	} {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 4)
		at.prepare(s, f)
		if got := f.State(); got != at.state {
			t.Errorf("%s: state %v, want %v", name, got, at.state)
		}
		if got := f.Cancel(); got != at.cancel {
			t.Errorf("%s: Cancel = %v, want %v", name, got, at.cancel)
		}
		if got := f.State(); got != procpool.Done {
			t.Errorf("%s: state %v after Cancel", name, got)
		}
		if got := len(s.cancelled); got != at.told {
			t.Errorf("%s: the executor heard of %d cancellations, want %d", name, got, at.told)
		}
		select {
		case <-f.Done():
		default:
			t.Errorf("%s: Done is open after Cancel", name)
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, at.is) {
			t.Errorf("%s: the error is %v, want %v", name, err, at.is)
		}
	}
}

func TestFutureResultWithoutPatience(t *testing.T) { // T008
	t.Parallel()
	impatient, cancel := context.WithCancelCause(t.Context())
	inAHurry := errors.New("in a hurry")
	cancel(inAHurry)

	s := newStage(1)
	f := square.Submit(t.Context(), s, 4)
	for range 2 { // queued, then started
		_, err := f.Result(impatient)
		if !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, inAHurry) {
			t.Errorf("a future that is %v: %v", f.State(), err)
		}
		if len(s.calls) > 0 {
			s.start()
		}
	}
	if f.State() != procpool.Started {
		t.Error("waiting in vain ended the call")
	}
	for _, o := range outcomes {
		f := square.Submit(t.Context(), s, 4)
		o.finish(f, s.start())
		if got, err := f.Result(impatient); got != o.want || !errors.Is(err, o.is) {
			t.Errorf("%s: %d, %v", o.name, got, err)
		}
	}
	f.Cancel()
}

func TestFutureOutcomeWakesAllWhoWait(t *testing.T) { // T009 T010
	t.Parallel()
	for _, o := range outcomes {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(1)
			f := square.Submit(t.Context(), s, 4)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var woken sync.WaitGroup
			for i := range 10 {
				woken.Go(func() {
					var (
						got int
						err error
					)
					switch i % 3 {
					case 0:
						got, err = f.Result(context.Background())
					case 1:
						got, err = f.Result(ctx)
					default:
						<-f.Done()
						got, err = f.Result(ctx)
					}
					if got != o.want || !errors.Is(err, o.is) {
						t.Errorf("%s: waiter %d got %d, %v", o.name, i, got, err)
					}
				})
			}
			synctest.Wait()
			o.finish(f, s.start())
			woken.Wait()
		})
	}
}

func TestFutureFirstOutcomeCounts(t *testing.T) { // T011
	t.Parallel()
	for _, o := range outcomes {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 4)
		c := s.start()
		o.finish(f, c)
		if c.Finish(encoded(3), nil) || c.Finish(nil, errors.New("late")) || f.Cancel() {
			t.Errorf("%s: a second outcome was taken", o.name)
		}
		if got, err := f.Result(t.Context()); got != o.want || !errors.Is(err, o.is) {
			t.Errorf("%s: now it is %d, %v", o.name, got, err)
		}
	}
}

func TestFutureResolvesOnceInARace(t *testing.T) { // T011
	t.Parallel()
	for range 200 {
		s := newStage(1)
		f := square.Submit(t.Context(), s, 4)
		c := s.start()
		var (
			wins = make(chan string, 3)
			runs = make(chan struct{}, 3)
			race sync.WaitGroup
		)
		f.OnDone(func() { runs <- struct{}{} })
		for name, finish := range map[string]func() bool{
			"result": func() bool { return c.Finish(encoded(16), nil) },
			"error":  func() bool { return c.Finish(nil, errBoom) },
			"cancel": f.Cancel,
		} {
			race.Go(func() {
				if finish() {
					wins <- name
				}
			})
		}
		var seen [4]error
		for i := range seen {
			race.Go(func() { _, seen[i] = f.Result(context.Background()); f.Info() })
		}
		race.Wait()
		<-runs
		if len(wins) != 1 || len(runs) != 0 {
			t.Fatalf("%d outcomes were taken, %d callbacks ran", len(wins), len(runs)+1)
		}
		for _, err := range seen {
			if !errors.Is(err, seen[0]) {
				t.Fatalf("waiters disagree: %v", seen)
			}
		}
	}
}

// emptyError is an error of which there is nothing to see.
type emptyError struct{}

func (*emptyError) Error() string { return "" }

func TestFutureEmptyErrorsAreErrors(t *testing.T) { // T012
	t.Parallel()
	s := newStage(1)
	for _, empty := range []error{(*emptyError)(nil), &emptyError{}, &procpool.TaskError{}, errors.New("")} {
		f := square.Submit(t.Context(), s, 4)
		s.start().Finish(encoded(16), empty)
		got, err := f.Result(t.Context())
		if err == nil || got != 0 {
			t.Errorf("%#v: the result is %d, %v", empty, got, err)
		}
		if err := procpool.Wait(t.Context(), procpool.UntilError, f, square.Submit(t.Context(), s, 5)); err != nil {
			t.Error(err)
		}
		s.start()
	}
}

// The result is the caller's own memory: each time it is asked for it is decoded
// anew, except raw bytes.
func TestFutureResultsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	list := procpool.Remote[int, []string]("list")
	f := list.Submit(t.Context(), s, 1)
	s.start().Finish([]byte{0x82, 0x61, 'a', 0x61, 'b'}, nil)
	first, err := f.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first[0] = "changed"
	if again, err := f.Result(t.Context()); err != nil || !slices.Equal(again, []string{"a", "b"}) {
		t.Errorf("the second result is %q, %v", again, err)
	}

	raw := procpool.Remote[[]byte, []byte]("raw", procpool.WithCodec(procpool.Raw))
	g := raw.Submit(t.Context(), s, []byte("in"))
	batch := []byte("mine, and another's")
	s.start().Finish(batch[:4], nil)
	b, err := g.Result(t.Context())
	if err != nil || string(b) != "mine" {
		t.Fatalf("raw: %q, %v", b, err)
	}
	_ = append(b, " overwritten"...)
	if string(batch) != "mine, and another's" {
		t.Errorf("appending to a raw result wrote into another reply: %q", batch)
	}
}

func TestFutureInfo(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	f := square.Submit(t.Context(), s, 4)
	if got, want := f.Info(), (procpool.CallInfo{Task: "square"}); !reflect.DeepEqual(got, want) {
		t.Errorf("queued: %+v", got)
	}
	c := s.start()
	if got, want := f.Info(), (procpool.CallInfo{Task: "square", State: procpool.Started, Attempts: 1, Worker: 1, PID: 4711}); !reflect.DeepEqual(got, want) {
		t.Errorf("started: %+v, want %+v", got, want)
	}
	f.Cancel()
	if got := f.Info(); got.State != procpool.Done || got.Run != 0 {
		t.Errorf("cancelled and still running: %+v", got)
	}
	c.NoteRun(5)
	if got := f.Info(); got.Run != 5 {
		t.Errorf("run time after the work has stopped: %v", got.Run)
	}
	refused := square.Submit(t.Context(), &stage{refuse: func(*procpool.Call) error { return procpool.ErrClosed }}, 4)
	if got, want := refused.Info(), (procpool.CallInfo{Task: "square", State: procpool.Done}); !reflect.DeepEqual(got, want) {
		t.Errorf("refused: %+v", got)
	}
	for s, want := range map[procpool.State]string{procpool.Queued: "queued", procpool.Started: "started", procpool.Done: "done", 9: "invalid"} {
		if s.String() != want {
			t.Errorf("State(%d) = %q, want %q", s, s, want)
		}
	}
}
