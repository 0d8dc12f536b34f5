package sched_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

var errStart = errors.New("can't start")

// Rule 6.7: the wait between attempts doubles up to a limit, less up to a half by
// chance.
func TestDelays(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		fraction float64
		want     []time.Duration
	}{
		"the longest":  {0, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms}},
		"the middle":   {0.5, []time.Duration{75 * ms, 150 * ms, 300 * ms, 600 * ms, 1200 * ms, 2400 * ms, 4800 * ms, 7500 * ms, 7500 * ms}},
		"the shortest": {1, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sched.NewRestarts(test.fraction)
			var got []time.Duration
			for number := range len(test.want) {
				got = append(got, r.Failed(number+1, number+1, errStart))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			r.Proved()
			if d := r.Failed(100, 100, errStart); d != test.want[0] {
				t.Errorf("after a success the first delay is %v", d)
			}
		})
	}
}

// Rule 6.7: callers are refused after five rounds of failures, not five workers of
// one round, until a worker proves itself.
func TestBreaker(t *testing.T) {
	t.Parallel()
	type step struct {
		number, newest int
		refuses        bool
	}
	for name, steps := range map[string][]step{
		"one worker":         {{1, 1, false}, {2, 2, false}, {3, 3, false}, {4, 4, false}, {5, 5, true}, {6, 6, true}},
		"one round of eight": {{1, 8, false}, {2, 8, false}, {3, 8, false}, {4, 8, false}, {5, 8, false}, {6, 8, false}, {7, 8, false}, {8, 8, false}},
		"rounds of two":      {{2, 2, false}, {1, 2, false}, {3, 4, false}, {4, 4, false}, {6, 6, false}, {5, 6, false}, {8, 8, false}, {7, 8, false}, {9, 10, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sched.NewRestarts(0)
			for i, s := range steps {
				r.Failed(s.number, s.newest, errStart)
				if err := r.Refusal(); (err != nil) != s.refuses {
					t.Errorf("step %d: refusal %v, want %v", i, err, s.refuses)
				}
			}
			r.Proved()
			if r.Refusal() != nil {
				t.Error("refuses although a worker proved itself")
			}
		})
	}
}

// Rule 6.7 (T111): while no worker starts calls wait at first, then they are
// refused with the reason; one start and they are taken again.
func TestNoWorkerStarts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.QueueSize = 1 })
		f := h.submit("a")[0]
		w := h.blocked(t.Context(), "b")
		h.Grow(1)
		begin := time.Now()
		for range sched.Patience {
			wantOpen(t, f)
			for h.pending() == 0 {
				pass(10 * time.Millisecond)
			}
			h.fail(errStart)
		}
		if d := time.Since(begin); d < 750*time.Millisecond || d > 1600*time.Millisecond {
			t.Errorf("%d attempts took %v", sched.Patience, d)
		}
		wantError(t, f, errStart)
		wantError(t, <-w, errStart)
		wantError(t, h.submit("c")[0], errStart)
		if st := h.Stats(); st.Refused != 3 || st.StartFailures != sched.Patience {
			t.Errorf("%+v", st)
		}
		pass(sched.LongestDelay)
		l := h.start()
		f = h.submit("d")[0]
		l.answer(time.Microsecond, "d")
		wantResult(t, f, "d")
		if n := h.Failures(); n != 0 {
			t.Errorf("%d failures are still counted after a call", n)
		}
	})
}

// Rule 6.7 (T059): once patience has ended, one worker at a time is tried, so that
// a program that can't start costs little; when it starts the others follow.
func TestProbe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		const workers = 8
		h.Grow(workers)
		attempts := 0
		for range sched.Patience {
			pass(sched.LongestDelay)
			n := h.pending()
			if n != workers {
				t.Errorf("%d workers tried in a round, want %d", n, workers)
			}
			for range n {
				h.fail(errStart)
				attempts++
			}
		}
		for range 10 {
			pass(sched.LongestDelay)
			if n := h.pending(); n != 1 {
				t.Fatalf("%d workers tried although none can start", n)
			}
			h.fail(errStart)
		}
		pass(sched.LongestDelay)
		first := h.start()
		if n := h.pending(); n != 0 {
			t.Errorf("%d workers follow one that has not shown that it can work", n)
		}
		f := h.submit("a")[0]
		first.answer(time.Microsecond, "a")
		wantResult(t, f, "a")
		if n := h.pending(); n != workers-1 {
			t.Errorf("%d workers follow the first, want %d", n, workers-1)
		}
		for range workers - 1 {
			h.start()
		}
		if st := h.Stats(); st.Workers != workers || st.Starting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.7: a worker that says hello and dies before its first call starts has
// failed to start, as often as it does so; the calls are refused with what it
// printed.
func TestHelloAndGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Grow(1)
		var f *procpool.Future[[]byte]
		begin := time.Now()
		for i := range sched.Patience {
			for h.pending() == 0 {
				pass(10 * time.Millisecond)
			}
			l := h.start()
			if i == sched.Patience-1 {
				l.exited = true
				f = h.call(t.Context(), "a")
				h.Exited(l.number, sched.Report{PageOK: true, Lanes: make([]sched.LaneReport, 1), Crash: procpool.CrashError{ExitCode: 3, Reason: "exit status 3", Stderr: "no licence"}})
			} else {
				l.die()
			}
		}
		if d := time.Since(begin); d < 750*time.Millisecond {
			t.Errorf("%d attempts took %v", sched.Patience, d)
		}
		_, err := f.Result(t.Context())
		var se *procpool.StartError
		if !errors.As(err, &se) || se.ExitCode != 3 || se.Output != "no licence" || !strings.Contains(se.Reason, "exit status 3") {
			t.Errorf("%v", err)
		}
		pass(sched.LongestDelay)
		l := h.start()
		f = h.call(t.Context(), "b")
		l.answer(time.Microsecond, "b")
		wantResult(t, f, "b")
	})
}

// Rule 6.7: crashes are not punished: each is followed by a new worker at once,
// however many there are.
func TestCrashesAreNotPunished(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Grow(1)
		for range sched.Patience - 1 {
			h.fail(errStart)
			pass(sched.LongestDelay)
		}
		begin := time.Now()
		for range 20 {
			l := h.start()
			f := h.submit("a")[0]
			l.begin("a")
			l.die()
			_ = crashOf(t, f)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the crashes cost %v of waiting", d)
		}
		if st := h.Stats(); st.Crashes != 20 || st.Failed != 20 {
			t.Errorf("%+v", st)
		}
		if n := h.Failures(); n != 0 {
			t.Errorf("%d failed starts are held against workers that run calls", n)
		}
	})
}

// Rule 6.7: a failed start leaves the workers that live alone, and no caller hears
// of it.
func TestFailedStartBesideLiveWorkers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		h.Grow(1)
		fs := h.submit("a", "b")
		for range 2 * sched.Patience {
			h.fail(errStart)
			pass(sched.LongestDelay)
		}
		wantOpen(t, fs...)
		l.answer(time.Microsecond, "a")
		l.answer(time.Microsecond, "b")
		wantResult(t, fs[1], "b")
		h.start()
		if st := h.Stats(); st.Workers != 2 || st.Refused != 0 {
			t.Errorf("%+v", st)
		}
	})
}
