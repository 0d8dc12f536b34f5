package sched_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.5 (T015): the queue takes exactly QueueSize calls and QueueBytes bytes;
// an empty one takes any.
func TestQueueBounds(t *testing.T) {
	for name, test := range map[string]struct {
		size  int
		bytes int64
		calls []int // bytes of each
		taken int   // how many of them get in
	}{
		"by number":             {3, 1000, []int{1, 1, 1, 1}, 3},
		"by bytes":              {100, 10, []int{4, 4, 2, 1}, 3},
		"the last does not fit": {100, 10, []int{4, 4, 3}, 2},
		"empty takes any":       {100, 10, []int{11, 1}, 1},
		"no arguments":          {2, 10, []int{0, 0, 0}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, func(c *sched.Config) { c.QueueSize, c.QueueBytes = test.size, test.bytes })
				var fs []*procpool.Future[[]byte]
				for _, n := range test.calls {
					fs = append(fs, h.call(t.Context(), strings.Repeat("x", n), procpool.NoWait()))
				}
				wantOpen(t, fs[:test.taken]...)
				for _, f := range fs[test.taken:] {
					wantError(t, f, procpool.ErrQueueFull)
				}
				if st := h.Stats(); st.Queued != test.taken || int(st.Refused) != len(fs)-test.taken || int(st.Submitted) != len(fs) {
					t.Errorf("%+v", st)
				}
				h.grow()
				wantOpen(t, h.call(t.Context(), "", procpool.NoWait()))
			})
		})
	}
}

// blocked is a Submit in a goroutine of its own.
func (h *host) blocked(ctx context.Context, text string) <-chan *procpool.Future[[]byte] {
	done := make(chan *procpool.Future[[]byte], 1)
	go func() { done <- h.call(ctx, text) }()
	synctest.Wait()
	return done
}

func waits(done <-chan *procpool.Future[[]byte]) bool {
	synctest.Wait()
	return len(done) == 0
}

// Rule 6.5: a submitter blocks while the queue is full, and those who block are
// let in in turn, each as soon as there is room for it.
func TestSubmittersWaitInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.QueueSize, c.QueueBytes = 2, 100 })
		l := h.grow()
		h.submit("run", "q1", "q2")
		w1 := h.blocked(t.Context(), "w1")
		w2 := h.blocked(t.Context(), "w2")
		w3 := h.blocked(t.Context(), "w3")
		if !waits(w1) || !waits(w2) || !waits(w3) {
			t.Fatal("a submitter got past a full queue")
		}
		l.answer(time.Second, "run")
		if waits(w1) || !waits(w2) {
			t.Error("room for one let in another, or more")
		}
		// NoWait does not overtake those who wait.
		wantError(t, h.call(t.Context(), "late", procpool.NoWait()), procpool.ErrQueueFull)
		for _, text := range []string{"q1", "q2", "w1", "w2", "w3"} {
			l.answer(time.Second, text)
		}
		for i, done := range []<-chan *procpool.Future[[]byte]{w1, w2, w3} {
			wantResult(t, <-done, fmt.Sprintf("w%d", i+1))
		}
		l.wantSent("run", "q1", "q2", "w1", "w2", "w3")
	})
}

// Rule 6.5: a large call that waits for room is not overtaken for ever by small
// ones.
func TestLargeSubmitterIsNotStarved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.QueueBytes = 10 })
		l := h.grow()
		h.submit("run", "q1xx", "q2xx")
		large := h.blocked(t.Context(), strings.Repeat("L", 9))
		small := h.blocked(t.Context(), "s")
		l.answer(time.Second, "run")
		if !waits(large) || !waits(small) {
			t.Error("somebody got in although the first in line does not fit")
		}
		l.answer(time.Second, "q1xx")
		if waits(large) {
			t.Error("the queue is empty and the large call still waits")
		}
		if waits(small) {
			t.Error("the small call waits although there is room behind the large one")
		}
		h.check()
	})
}

// Rule 6.5: a submitter blocks no longer than its context lasts; the next in line
// takes its place.
func TestBlockedSubmitterGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.QueueSize = 1 })
		l := h.grow()
		h.submit("run", "q")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w1 := h.blocked(ctx, "w1")
		w2 := h.blocked(t.Context(), "w2")
		pass(time.Second)
		if waits(w1) || !waits(w2) {
			t.Fatal("the wrong one gave up")
		}
		wantError(t, <-w1, context.DeadlineExceeded)
		l.answer(time.Second, "run")
		l.answer(time.Second, "q")
		l.answer(time.Second, "w2")
		wantResult(t, <-w2, "w2")
		if st := h.Stats(); st.Cancelled != 1 || st.Refused != 0 || st.Submitted != 4 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.5: giving up at the very moment of being let in passes the room on.
func TestGivingUpPassesTheRoomOn(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, func(c *sched.Config) { c.QueueSize = 1 })
			l := h.grow()
			h.submit("run", "q")
			ctx, cancel := context.WithCancel(t.Context())
			w1 := h.blocked(ctx, "w1")
			w2 := h.blocked(t.Context(), "w2")
			go cancel()
			go l.h.Replies(l.number, []sched.Reply{{Seq: 1, Data: []byte("run"), Run: time.Second}})
			synctest.Wait()
			h.check()
			l.mu.Lock()
			l.answered = 1
			l.mu.Unlock()
			if waits(w1) {
				t.Fatal("neither let in nor given up")
			}
			if f := <-w1; f.State() != procpool.Done {
				t.Error("its context has ended and the call goes on")
			}
			l.answer(time.Second, "q")
			if waits(w2) {
				t.Error("the room was lost")
			}
		})
	}
}

// Rules 6.1 and 6.5: those who wait for room are refused when the pool closes.
func TestBlockedSubmittersAreRefused(t *testing.T) {
	for name, end := range map[string]func(*host){
		"drain": func(h *host) { h.Drain() },
		"kill":  func(h *host) { h.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, func(c *sched.Config) { c.QueueSize = 1 })
				h.submit("q")
				w1 := h.blocked(t.Context(), "w1")
				w2 := h.blocked(t.Context(), "w2")
				end(h)
				wantError(t, <-w1, procpool.ErrClosed)
				wantError(t, <-w2, procpool.ErrClosed)
			})
		})
	}
}

// A call over MaxPayload and one of an unknown task are refused at once; nothing
// else is lost.
func TestRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.MaxPayload = 5 })
		wantOpen(t, procpool.Remote[[]byte, []byte]("early", procpool.WithCodec(procpool.Raw)).Submit(t.Context(), h, nil))
		h.SetServed([]string{"work", "rest"})
		wantOpen(t, h.call(t.Context(), "12345"))
		f := h.call(t.Context(), "123456")
		wantError(t, f, procpool.ErrTooLarge)
		if _, err := f.Result(t.Context()); !strings.Contains(err.Error(), "takes 6 bytes, the pool's MaxPayload is 5") {
			t.Errorf("%v", err)
		}
		for range 2 {
			wantError(t, procpool.Remote[[]byte, []byte]("worked", procpool.WithCodec(procpool.Raw)).Submit(t.Context(), h, nil), procpool.ErrUnknownTask)
		}
		wantOpen(t, procpool.Remote[[]byte, []byte]("rest", procpool.WithCodec(procpool.Raw)).Submit(t.Context(), h, nil))
		if st := h.Stats(); st.Refused != 3 {
			t.Errorf("%+v", st)
		}
		if n := h.Functions(); n != 3 {
			t.Errorf("%d tasks are remembered: callers could make up names for ever", n)
		}
	})
}

// An item over MaxPayload fails alone, wherever it rides in a pack.
func TestTooLargeInPack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(c *sched.Config) { c.MaxPayload = 5 })
		h.Teach("work", time.Microsecond)
		items := []string{"a", "b", "too large", "c", "larger still", "larger still", "d"}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		m := mapThrough(endsWith{h, ctx}, items)
		synctest.Wait()
		l := h.grow()
		for range len(items) {
			l.answerAll(time.Microsecond)
		}
		<-m.ended
		out, errs := m.results()
		if !slices.Equal(out, []string{"a", "b", "", "c", "", "", "d"}) || len(errs) != 3 {
			t.Errorf("yielded %q, %v", out, errs)
		}
		for i, err := range errs {
			if !errors.Is(err, procpool.ErrTooLarge) {
				t.Errorf("item %d: %v", i, err)
			}
		}
		l.wantSent("a", "b", "c", "d")
		if _, onlyLast := h.Watches(); !onlyLast {
			t.Error("refused items are watched for the end of their context")
		}
		if st := h.Stats(); st.Submitted != 7 || st.Succeeded != 4 || st.Refused != 3 {
			t.Errorf("%+v", st)
		}
	})
}
