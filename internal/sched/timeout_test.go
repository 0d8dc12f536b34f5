package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// wantTimeout checks that the call ran too long.
func wantTimeout(t *testing.T, f *procpool.Future[[]byte]) {
	t.Helper()
	if te := timeoutOf(t, f); te.Attempt != 1 || te.Limit <= 0 {
		t.Errorf("%+v", te)
	}
}

// timeoutOf returns the call's timeout error.
func timeoutOf(t *testing.T, f *procpool.Future[[]byte]) *procpool.TimeoutError {
	t.Helper()
	wantError(t, f, context.DeadlineExceeded)
	_, err := f.Result(context.Background())
	var te *procpool.TimeoutError
	if !errors.As(err, &te) {
		t.Fatalf("error %v, want a TimeoutError", err)
	}
	return te
}

// Rule 6.4: a time limit counts from the start in the worker, to the nanosecond. The
// slot stays taken until the worker answers.
func TestTimeoutCountsRunTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		h.submit("a")
		b := h.call(context.Background(), "b", procpool.Timeout(10*time.Millisecond))
		l.begin("a")
		pass(time.Hour)
		l.answer(10*time.Microsecond, "a")
		pass(time.Hour)
		wantOpen(t, b) // sent, and not started
		l.begin("b")
		pass(10*time.Millisecond - 1)
		wantOpen(t, b)
		pass(1)
		if te := timeoutOf(t, b); te.Limit != 10*time.Millisecond || te.Attempt != 1 {
			t.Errorf("%+v", te)
		}
		h.submit("c")
		if saw := l.saw(); len(saw.cancels) != 1 || saw.kills != 0 {
			t.Errorf("the worker was told %+v", saw)
		}
		l.wantSent("a", "b")
		l.answer(time.Millisecond, "b")
		l.wantSent("a", "b", "c")
		if st := h.Stats(); st.TimedOut != 1 || st.Failed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A call that runs behind one with a longer limit is timed by its own.
func TestTimeoutBehindALongerOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		h.submit("x")
		h.call(context.Background(), "a", procpool.Timeout(time.Hour))
		b := h.call(context.Background(), "b", procpool.Timeout(time.Millisecond))
		l.answer(10*time.Microsecond, "x")
		l.wantSent("x", "a", "b")
		l.begin("a")
		pass(1500 * time.Microsecond)
		l.answer(10*time.Microsecond, "a")
		l.begin("b")
		pass(time.Millisecond - 1)
		wantOpen(t, b)
		pass(1)
		wantTimeout(t, b)
	})
}

// What a worker says of its clock can neither shorten a call's time below what it has
// been there, nor make it endless.
func TestTimeoutWithAHostileClock(t *testing.T) {
	for _, claim := range []time.Duration{1 << 62, -1 << 62, 1} {
		t.Run(claim.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				l := h.grow()
				l.claim = claim
				f := h.call(context.Background(), "a", procpool.Timeout(time.Second))
				l.begin("a")
				pass(time.Second - 1)
				wantOpen(t, f)
				pass(time.Second + 1)
				wantTimeout(t, f)
			})
		})
	}
	t.Run("started nonsense", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			h := newHost(t, nil)
			l := h.grow()
			l.ghost = 77
			f := h.call(context.Background(), "a", procpool.Timeout(time.Second))
			pass(time.Second)
			if l.saw().kills != 1 {
				t.Error("the worker lives")
			}
			l.die() // its page says that nothing had started
			wantOpen(t, f)
		})
	})
}

// Without a recorder the limit counts from the sending.
func TestTimeoutWithoutRecorder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Grow(1)
		h.startWith(func(l *script) { l.recorder = false })
		f := h.call(context.Background(), "a", procpool.Timeout(time.Second))
		pass(time.Second - 1)
		wantOpen(t, f)
		pass(1)
		wantTimeout(t, f)
	})
}

// A result that comes before the time is over wins, and nothing follows.
func TestResultBeforeTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.call(context.Background(), "a", procpool.Timeout(time.Second))
		l.begin("a")
		pass(time.Second - 1)
		l.answer(time.Second-1, "a")
		pass(time.Hour)
		wantResult(t, f, "a")
		if saw := l.saw(); len(saw.cancels)+saw.kills != 0 {
			t.Errorf("the worker was told %+v", saw)
		}
	})
}

// The items of a pack are timed one by one; those behind the late one go elsewhere.
func TestTimeoutInPack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := mapOf(h, work.With(procpool.Timeout(time.Millisecond)), texts("i", 4))
		l := h.grow()
		l.wantSent("i0", "i1", "i2", "i3")
		l.begin("i0")
		pass(time.Millisecond - 1)
		l.answer(time.Microsecond, "i0")
		l.begin("i1")
		pass(time.Millisecond - 1)
		if out, _ := m.results(); len(out) != 1 {
			t.Errorf("%d results before the time is over", len(out))
		}
		pass(1)
		l.answerAll(time.Microsecond)
		l.answerAll(time.Microsecond)
		out, errs := m.results()
		var te *procpool.TimeoutError
		if len(out) != 4 || len(errs) != 1 || !errors.As(errs[1], &te) {
			t.Errorf("results %q, errors %v", out, errs)
		}
	})
}

// Rule 6.3: a call that ran too long and may be run again is so when the old attempt
// has ended, be it answered or killed, and not before.
func TestTimeoutRunsAgain(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "answered", true: "killed"}[killed], func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				l, other := h.grow(), h.grow()
				f := h.call(context.Background(), "a", procpool.Timeout(time.Second), procpool.Retries(1),
					procpool.Backoff(0, 0), procpool.RetryOn(procpool.TimeoutFailure, nil))
				if len(l.got()) == 0 {
					l, other = other, l
				}
				l.begin("a")
				pass(2*time.Second - 1)
				wantOpen(t, f)
				other.wantSent()
				if killed {
					pass(1)
					if l.saw().kills != 1 {
						t.Fatal("it was not killed when its grace was over")
					}
					other.wantSent()
					l.die()
				} else {
					l.reply(sched.Reply{Seq: l.seq("a"), Kind: sched.Failed, Err: &procpool.TaskError{Message: "given up"}})
				}
				again := other
				if len(other.got()) == 0 {
					again = l
				}
				if n := len(l.got()) + len(other.got()); n != 2 {
					t.Fatalf("it was sent %d times", n)
				}
				again.answered = 0
				if !killed && again == l {
					again.answered = 1
				}
				again.answer(time.Millisecond, "a")
				wantResult(t, f, "a")
				info := f.Info()
				var te *procpool.TimeoutError
				if info.Attempts != 2 || len(info.Failed) != 1 || !errors.As(info.Failed[0].Err, &te) {
					t.Errorf("%+v", info)
				}
			})
		})
	}
}

// A caller's cancel ends a call that waits for the end of its late attempt.
func TestCancelOfTimedOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.call(context.Background(), "a", procpool.Timeout(time.Second), procpool.Retries(1), procpool.RetryOn(procpool.TimeoutFailure, nil))
		l.begin("a")
		pass(1500 * time.Millisecond)
		f.Cancel()
		pass(500*time.Millisecond - 1)
		if saw := l.saw(); len(saw.cancels) != 1 || saw.kills != 0 {
			t.Errorf("the worker was told %+v", saw)
		}
		pass(1)
		if l.saw().kills != 1 {
			t.Error("the grace began anew")
		}
		l.die()
		pass(time.Hour)
		wantError(t, f, context.Canceled)
		if st := h.Stats(); st.Cancelled != 1 || st.Retried != 0 {
			t.Errorf("%+v", st)
		}
	})
}
