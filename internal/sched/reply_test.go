package sched_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rules 6.1 and 6.8: an answer that makes no sense is dropped, and its worker is
// killed and fed nothing more.
func TestNonsenseReplies(t *testing.T) {
	const (
		a = iota + 1
		b
		c
		d
	)
	for name, batch := range map[string][]sched.Reply{
		"number 0":                  {{Seq: 0}},
		"never given out":           {{Seq: 77}},
		"answered before":           {{Seq: a}},
		"skips a call":              {{Seq: c}},
		"twice in a batch":          {{Seq: b}, {Seq: b}},
		"declined without a fence":  {{Seq: b, Kind: sched.Declined}},
		"declined again":            {{Seq: a, Kind: sched.Declined}},
		"huge":                      {{Seq: 1 << 63}},
		"backwards":                 {{Seq: c}, {Seq: b}},
		"skips and is declined":     {{Seq: c, Kind: sched.Declined}},
		"a failure out of the blue": {{Seq: d + 1, Kind: sched.Failed, Err: errors.New("x")}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Teach("work", 10*time.Microsecond)
				fs := h.submit("a", "b", "c", "d")
				l := h.grow()
				l.answer(10*time.Microsecond, "a")
				l.begin("b")
				l.nonsense(batch...)
				if st := h.Stats(); st.Senseless == 0 || st.Killed != 1 {
					t.Errorf("%+v", st)
				}
				if l.saw().kills != 1 {
					t.Error("the worker was not killed")
				}
				late := h.submit("e")
				l.wantSent("a", "b", "c", "d")
				l.die()
				other := h.start()
				other.answerAll(time.Microsecond)
				other.answerAll(time.Microsecond)
				wantResult(t, fs[0], "a")
				wantResult(t, fs[2], "c")
				wantResult(t, fs[3], "d")
				wantResult(t, late[0], "e")
				synctest.Wait()
				if s := fs[1].State(); s != procpool.Done {
					t.Errorf("the running call is %v", s)
				}
			})
		})
	}
}

// Rules 6.1 and 6.2: a result of a call that was taken back means that the worker
// ran what it must not have.
func TestResultOfWhatWasTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		l.begin("a")
		fs[1].Cancel()
		other := h.grow()
		other.answer(time.Microsecond, "c")
		l.answer(time.Microsecond, "a")
		l.decline("b")
		l.nonsense(sched.Reply{Seq: 3, Data: []byte("again")})
		wantResult(t, fs[2], "c")
	})
}

// Rule 6.2: behind a pack's item only the fence keeps the others from running, so
// an item alone can't be declined.
func TestDeclinedPackItem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		l := h.grow()
		f := h.submit("a")[0]
		m := h.mapOver(texts("x", 4))
		l.begin("a")
		f.Cancel() // after which the worker may decline a last call, for once
		l.answer(time.Microsecond, "a")
		l.answer(time.Microsecond, "x0")
		l.nonsense(sched.Reply{Seq: 3, Kind: sched.Declined})
		l.die()
		other := h.start()
		other.answerAll(time.Microsecond)
		<-m.ended
	})
}

// A worker that is gone, or never was, has nothing to say.
func TestReplyAfterExit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		l.die()
		if !h.Replies(l.number, []sched.Reply{{Seq: 1}}) || !h.Replies(4711, []sched.Reply{{Seq: 1}}) {
			t.Error("an answer of nobody's makes no sense to somebody")
		}
		h.Exited(l.number, sched.Report{})
		h.Exited(4711, sched.Report{})
		h.check()
	})
}

// A task's failure is the call's error, whatever comes before and after it.
func TestFailedReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		cause := &procpool.TaskError{Task: "work", Message: "no"}
		l.mu.Lock()
		l.started, l.finished = 3, 3
		l.mu.Unlock()
		l.reply(
			sched.Reply{Seq: 1, Data: []byte("a")},
			sched.Reply{Seq: 2, Kind: sched.Failed, Err: cause},
			sched.Reply{Seq: 3, Data: []byte("c"), Run: 7 * time.Microsecond},
		)
		wantResult(t, fs[0], "a")
		wantError(t, fs[1], cause)
		wantResult(t, fs[2], "c")
		info := fs[2].Info()
		if info.Worker != l.number || info.PID != l.PID() || info.Attempts != 1 || info.Run != 7*time.Microsecond || info.State != procpool.Done {
			t.Errorf("%+v", info)
		}
		if st := h.Stats(); st.Succeeded != 2 || st.Failed != 1 || st.Crashes != 0 {
			t.Errorf("%+v", st)
		}
	})
}
