package sched_test

import (
	"errors"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// relieving is nesting for workers that may be relieved.
func relieving(extra int) func(*sched.Config) {
	return func(cfg *sched.Config) {
		nesting(cfg)
		cfg.Extra, cfg.IdleTimeout = extra, time.Minute
	}
}

// Rule 6.12: where a worker has no lane to lend, another is started in its place. It
// stays for the next nested call, and leaves when none comes.
func TestStuckWorkerIsRelieved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, relieving(1))
		first := h.grow()
		fs := h.submit("p", "q")
		first.begin("p")
		n := first.nest("p", "n")
		n.wantOpen()
		second := h.start()
		second.wantSent("n")
		second.answer(long, "n")
		n.wantResult("n")
		second.wantSent("n", "q") // the first worker runs p
		first.answer(long, "p")
		second.answer(long, "q")
		wantResult(t, fs[0], "p")
		wantResult(t, fs[1], "q")

		pass(time.Minute / 2)
		h.submit("r")
		user, other := first, second
		if len(first.got()) < 2 {
			user, other = second, first
		}
		user.begin("r")
		again := user.nest("r", "n")
		if h.pending() > 0 {
			t.Error("a third worker was launched, where the second idled")
		}
		other.answer(long, "n")
		again.wantResult("n")
		user.answer(long, "r")
		h.check()
		if st := h.Stats(); st.Workers != 2 {
			t.Errorf("%d workers, want both", st.Workers)
		}
		pass(2 * time.Minute)
		h.check()
		if stops := first.saw().stops + second.saw().stops; stops != 1 {
			t.Errorf("after two minutes without nested calls %d workers were asked to leave, want 1", stops)
		}
	})
}

// No more than Extra workers are relieved: the call that would have the last one wait
// is refused.
func TestRelievedWorkersAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, relieving(1))
		first := h.grow()
		h.submit("p")
		first.begin("p")
		n := first.nest("p", "n")
		second := h.start()
		second.begin("n")
		second.nestAt("n", "deeper", 2, nil).wantRefused(procpool.ErrNestingLimit, "Config.MaxDedicated")
		second.answer(long, "n")
		n.wantResult("n")
		first.answer(long, "p")
	})
}

// Rule 6.7: if no worker can be started in the place of one that is stuck, the nested
// call is refused, and the one that has made it goes on.
func TestStuckWorkerThatCantBeRelieved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, relieving(1))
		first := h.grow()
		fs := h.submit("p")
		first.begin("p")
		n := first.nest("p", "n")
		for range sched.Patience {
			n.wantOpen()
			h.fail(errStart)
			pass(sched.LongestDelay)
		}
		if was := n.fate(); was.ended != 1 || !errors.Is(was.err, errStart) {
			t.Errorf("ended %d times with %v", was.ended, was.err)
		}
		first.answer(long, "p")
		wantResult(t, fs[0], "p")
		fs = h.submit("q")
		first.answer(long, "q")
		wantResult(t, fs[0], "q")
	})
}

// A worker that dies while it is stuck is replaced, and what it waited for is given up
// by nobody but its caller.
func TestStuckWorkerDies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, relieving(2))
		first := h.grow()
		h.submit("p")
		first.begin("p")
		n := first.nest("p", "n")
		second := h.start()
		second.begin("n")
		first.die()
		h.check()
		n.wantOpen()
		second.answer(long, "n")
		n.wantResult("n")
		if h.pending() > 0 {
			h.start()
		}
		pass(2 * time.Minute)
		h.check()
	})
}
