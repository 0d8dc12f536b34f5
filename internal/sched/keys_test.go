package sched_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// keyed is work with the part of the argument before a colon as its key.
var keyed = work.KeyBy(func(in []byte) string {
	key, _, _ := strings.Cut(string(in), ":")
	return key
})

func (h *host) submitKeyed(texts ...string) (fs []*procpool.Future[[]byte]) {
	for _, text := range texts {
		fs = append(fs, keyed.Submit(context.Background(), h, []byte(text)))
	}
	return fs
}

// Calls with one key run in one worker, one after the other, in order, though others
// idle: also those that waited before the key had a worker.
func TestKeysKeepTheirWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.submitKeyed("k:1", "k:2", "j:1", "k:3")
		l, other := h.grow(), h.grow()
		l.wantSent("k:1")
		other.wantSent("j:1")
		other.answer(time.Second, "j:1")
		h.submitKeyed("k:4", "j:2")
		for i := 1; i < 4; i++ {
			l.answer(time.Second, fmt.Sprintf("k:%d", i))
		}
		l.wantSent("k:1", "k:2", "k:3", "k:4")
		other.wantSent("j:1", "j:2")
	})
}

// A key's worker that dies or leaves gives it up; what waited runs elsewhere, in order
// and before what came later.
func TestKeysOutliveTheirWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l, other := h.grow(), h.grow()
		fs := h.submitKeyed("k:1", "k:2", "k:3")
		if len(l.got()) == 0 {
			l, other = other, l
		}
		h.submitKeyed("j:1", "i:1")
		l.begin("k:1")
		l.die()
		wantError(t, fs[0], procpool.ErrCrashed)
		other.answer(time.Second, "j:1")
		other.answer(time.Second, "k:2")
		other.answer(time.Second, "k:3")
		other.wantSent("j:1", "k:2", "k:3", "i:1")
	})
}

// A call in a worker's own line can be cancelled.
func TestCancelOfKeyed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		fs := h.submitKeyed("k:1", "k:2", "k:3")
		fs[1].Cancel()
		h.check()
		l.answer(time.Second, "k:1")
		l.answer(time.Second, "k:3")
		l.wantSent("k:1", "k:3")
	})
}

// In a worker of several lanes, too, calls with one key run one after the other; when
// none does, the next takes a lane that idles.
func TestKeysOfLanes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		lanes := h.growLanes(2)
		h.submitKeyed("k:1", "k:2")
		l := busy(t, "k:1", lanes...)
		l.wantSent("k:1")
		l.answer(time.Second, "k:1")
		l = busy(t, "k:2", lanes...)
		l.answer(time.Second, "k:2")
		h.submit("x") // on the lane that was used last
		busy(t, "x", lanes...)
		h.submitKeyed("k:3")
		if busy(t, "k:3", lanes...) == busy(t, "x", lanes...) {
			t.Error("it waits for its lane while another idles")
		}
	})
}

// A worker's keys are bounded; one whose calls run or wait is not forgotten.
func TestKeysAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 100*time.Millisecond)
		lanes := h.growLanes(2)
		h.submitKeyed("kept:1")
		busy(t, "kept:1", lanes...).begin("kept:1")
		for i := range sched.MaxKeys + 100 {
			text := fmt.Sprintf("%d:", i)
			f := h.submitKeyed(text)[0]
			for _, l := range lanes {
				if n := len(l.items); n > 0 && l.items[n-1].text == text {
					l.answered = l.items[n-1].seq
					h.Replies(l.number, []sched.Reply{{Lane: uint32(l.index), Seq: l.answered, Data: []byte(text), Run: 100 * time.Millisecond}})
				}
			}
			wantResult(t, f, text)
		}
		h.check()
		if n := h.Keys(); n != sched.MaxKeys {
			t.Errorf("%d keys are remembered, want %d", n, sched.MaxKeys)
		}
		other := h.grow()
		h.submitKeyed("kept:2", "0:")
		other.wantSent("0:") // forgotten, and free to go elsewhere
	})
}

// Rule 6.5 and priorities: the higher first whenever it came, in order within one.
func TestPriorities(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(cfg *sched.Config) { cfg.QueueSize = 5 })
		for _, c := range []struct {
			text     string
			priority int
		}{{"low", -1}, {"a", 0}, {"high1", 7}, {"b", 0}, {"high2", 7}} {
			h.call(context.Background(), c.text, procpool.Priority(c.priority))
		}
		refused := h.call(context.Background(), "no", procpool.Priority(100), procpool.NoWait())
		wantError(t, refused, procpool.ErrQueueFull)
		l := h.grow()
		for range 5 {
			l.answerAll(time.Second)
		}
		l.wantSent("high1", "high2", "a", "b", "low")
	})
}

// A call of a higher priority takes the place of those that were sent ahead, but not
// of the one that is about to start; one of the same or a lower priority does not.
func TestPriorityOvertakesWhatWasSentAhead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		h.submit("x", "a", "b", "c", "d")
		l.answer(10*time.Microsecond, "x") // the others are sent together
		l.begin("a")
		h.call(context.Background(), "low", procpool.Priority(-1))
		h.call(context.Background(), "same")
		if n := l.saw().fences; n != 0 {
			t.Errorf("%d fences for calls that are no more urgent", n)
		}
		h.call(context.Background(), "high", procpool.Priority(1))
		l.answerAll(10 * time.Microsecond) // b, c and d meet the fence
		l.answerAll(10 * time.Microsecond)
		l.answerAll(10 * time.Microsecond)
		l.wantSent("x", "a", "b", "c", "d", "high", "b", "c", "d", "same", "low")
	})
}
