package sched_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.3: a call that may be run again is so after its worker's death, after a wait;
// used up, its error matches ErrPoison.
func TestRunAgainAfterCrashes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.call(context.Background(), "a", procpool.Idempotent(), procpool.Backoff(100*time.Millisecond, time.Second))
		for range 2 {
			l.begin("a")
			l.die()
			l = h.start()
			wantOpen(t, f)
			l.wantSent()
			if st := h.Stats(); st.Delayed != 1 || st.Queued != 0 {
				t.Errorf("%+v", st)
			}
			pass(50*time.Millisecond - 1)
			l.wantSent() // the wait is made shorter by at most a half
			pass(150*time.Millisecond + 1)
			l.wantSent("a")
		}
		l.begin("a")
		l.die()
		if ce := crashOf(t, f); ce.Attempt != 3 {
			t.Errorf("%+v", ce)
		}
		wantError(t, f, procpool.ErrPoison)
		info := f.Info()
		if info.Attempts != 3 || len(info.Failed) != 2 || info.Failed[0].Worker == info.Failed[1].Worker {
			t.Errorf("%+v", info)
		}
		for _, a := range info.Failed {
			if !errors.Is(a.Err, procpool.ErrCrashed) || errors.Is(a.Err, procpool.ErrPoison) {
				t.Errorf("an attempt failed with %v", a.Err)
			}
		}
		if st := h.Stats(); st.Retried != 2 || st.Failed != 1 || st.Crashes != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// An item of a pack is run again by itself; the rest of the pack is unharmed.
func TestItemRunsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := mapOf(h, work.With(procpool.Retries(1), procpool.Backoff(time.Second, time.Second)), texts("i", 5))
		l := h.grow()
		l.answer(time.Microsecond, "i0")
		l.begin("i1")
		l.die()
		l = h.start()
		l.wantSent("i2", "i3", "i4")
		l.answerAll(time.Microsecond)
		pass(time.Second)
		l.wantSent("i2", "i3", "i4", "i1")
		l.answerAll(time.Microsecond)
		if out, errs := m.results(); !slices.Equal(out, texts("i", 5)) || len(errs) != 0 {
			t.Errorf("results %q, errors %v", out, errs)
		}
	})
}

// While a call waits for its next attempt it can be cancelled, its context can end, and
// the pool can be drained or killed.
func TestEndWhileDelayed(t *testing.T) {
	delayed := func(t *testing.T, ctx context.Context) (*host, *procpool.Future[[]byte]) {
		t.Helper()
		h := newHost(t, nil)
		l := h.grow()
		f := h.call(ctx, "a", procpool.Retries(1), procpool.Backoff(time.Second, time.Second))
		l.begin("a")
		l.die()
		wantOpen(t, f)
		return h, f
	}
	t.Run("Cancel", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			h, f := delayed(t, context.Background())
			f.Cancel()
			h.check()
			l := h.start()
			pass(time.Hour)
			l.wantSent()
			if st := h.Stats(); st.Cancelled != 1 || st.Delayed != 0 {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h, f := delayed(t, ctx)
			cancel()
			wantError(t, f, context.Canceled)
			h.check()
			if st := h.Stats(); st.Cancelled != 1 || st.Delayed != 0 {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("Drain", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			h, f := delayed(t, context.Background())
			drained := h.Drain()
			l := h.start()
			pass(time.Second)
			select {
			case <-drained:
				t.Error("drained before the call has ended")
			default:
			}
			l.answer(time.Millisecond, "a")
			<-drained
			wantResult(t, f, "a")
		})
	})
	t.Run("Kill", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			h, f := delayed(t, context.Background())
			if _, running, queued := h.Kill(); running != 0 || queued != 1 {
				t.Errorf("%d ran, %d waited", running, queued)
			}
			wantError(t, f, procpool.ErrClosed)
		})
	})
}

// What the caller's code decides is waited for: by Drain, and by the call's next
// attempt; a cancel meanwhile counts.
func TestDecisionTakesTime(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		t.Run(map[bool]string{false: "again", true: "cancelled"}[cancelled], func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				l := h.grow()
				decide := make(chan struct{})
				f := h.call(context.Background(), "a", procpool.Retries(1), procpool.Backoff(0, 0),
					procpool.RetryOn(procpool.TaskFailure, func(error) bool { <-decide; return true }))
				l.reply(sched.Reply{Seq: l.seq("a"), Kind: sched.Failed, Err: &procpool.TaskError{Message: "no"}})
				l.answered = 1
				wantOpen(t, f)
				drained := h.Drain()
				if cancelled {
					f.Cancel()
				}
				synctest.Wait()
				select {
				case <-drained:
					t.Error("drained before it was decided")
				default:
				}
				close(decide)
				if cancelled {
					<-drained
					l.wantSent("a")
					return
				}
				l.wantSent("a", "a")
				l.answer(time.Millisecond, "a")
				<-drained
				wantResult(t, f, "a")
			})
		})
	}
}

// When a call waits for its next attempt and no worker can be started, it is refused.
func TestBreakerRefusesDelayed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		f := h.call(context.Background(), "a", procpool.Retries(1), procpool.Backoff(time.Hour, time.Hour))
		l.begin("a")
		l.die()
		for range sched.Patience {
			h.fail(errStart)
			pass(sched.LongestDelay)
		}
		pass(time.Hour)
		wantError(t, f, errStart)
	})
}
