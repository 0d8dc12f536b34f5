package sched_test

import (
	"context"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.4: the time in which a call waits for nested ones does not count, and what it
// runs before and after does, to the nanosecond.
func TestTimeoutDoesNotCountWaiting(t *testing.T) {
	for _, recorder := range []bool{true, false} {
		t.Run(map[bool]string{true: "recorder", false: "no recorder"}[recorder], func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nesting)
				h.Grow(1)
				p := h.startWith(func(l *script) {
					l.lanes(3)
					l.extra, l.recorder = 2, recorder
				})
				f := h.call(context.Background(), "p", procpool.Timeout(time.Second))
				p.begin("p")
				for range 3 {
					pass(300 * time.Millisecond)
					ran := p.freeze()
					n := p.nest("p", "n")
					pass(time.Hour)
					wantOpen(t, f)
					p.more[0].answer(long, "n")
					n.wantResult("n")
					p.goOn(ran)
				}
				pass(100*time.Millisecond - 1)
				wantOpen(t, f)
				pass(1)
				wantTimeout(t, f)
			})
		})
	}
}

// So does the time in which it waits for something else, whether it lends its slot or
// not, and for several things at once.
func TestTimeoutDoesNotCountPauses(t *testing.T) {
	for _, recorder := range []bool{true, false} {
		t.Run(map[bool]string{true: "recorder", false: "no recorder"}[recorder], func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nesting)
				h.Grow(1)
				p := h.startWith(func(l *script) {
					l.lanes(3)
					l.extra, l.recorder = 2, recorder
				})
				f := h.call(context.Background(), "p", procpool.Timeout(time.Second))
				p.begin("p")
				for i := range 3 {
					pass(300 * time.Millisecond)
					ran := p.freeze()
					first := h.Pause(p.parent("p"))
					pass(time.Hour)
					second := h.Pause(p.parent("p"))
					if i > 0 {
						over, err := h.Lend(p.parent("p"), "work")
						if err != nil {
							t.Fatal(err)
						}
						pass(time.Hour)
						over()
					}
					first()
					pass(time.Hour)
					wantOpen(t, f)
					second()
					p.goOn(ran)
				}
				pass(100*time.Millisecond - 1)
				wantOpen(t, f)
				pass(1)
				wantTimeout(t, f)
				h.Pause(p.parent("p"))() // it was given up, and still runs
				h.Pause(sched.Parent{Worker: 77})()
			})
		})
	}
}

// freeze has the lane's call wait, and returns how long it has run.
func (l *script) freeze() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	ran := time.Since(l.startedAt)
	l.waiting, l.claim = true, ran
	return ran
}

// goOn has it run again.
func (l *script) goOn(ran time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.claim, l.startedAt = false, 0, time.Now().Add(-ran)
}

// A stream waits for its reader when it likes. It is not looked at all the time, and is
// given up soon when its time is over.
func TestTimeoutOfStream(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		l := h.grow()
		n := h.stream("s", func(r *procpool.Relay) { r.Timeout = time.Second })
		l.begin("s")
		pass(990 * time.Millisecond)
		ran := l.freeze()
		looks := l.looks()
		pass(time.Minute)
		if more := l.looks() - looks; more > int(time.Minute/(5*time.Millisecond))+1 {
			t.Errorf("%d looks in a minute", more)
		}
		l.goOn(ran)
		n.wantOpen()
		pass(10*time.Millisecond - 1)
		n.wantOpen()
		pass(5 * time.Millisecond)
		if n.fate().ended != 1 {
			t.Error("it goes on")
		}
	})
}

// looks returns how often the lane was asked how far it has come.
func (l *script) looks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// A worker that says that a call waits which has made no nested ones gains next to
// nothing by it.
func TestTimeoutWithAHostileWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		l.waiting, l.claim = true, 1
		f := h.call(context.Background(), "a", procpool.Timeout(time.Second))
		l.begin("a")
		pass(time.Second)
		wantOpen(t, f)
		pass(time.Second + 10*time.Millisecond)
		wantTimeout(t, f)
	})
}

// stream makes a call that is none of a function, from outside.
func (h *host) stream(text string, change func(*procpool.Relay)) *inner {
	h.t.Helper()
	n := h.nested(text, func(r *procpool.Relay) {
		r.Kind, r.Window, r.WindowBytes = procpool.KindStream, 1, 1
		if change != nil {
			change(r)
		}
	})
	n.refused = h.EnqueueNested(n.Call, sched.Parent{}, 1)
	h.check()
	return n
}

// Streams and sessions are sent to lanes that hold nothing, and nothing is sent behind
// them, however short they were before.
func TestStreamsHoldTheirSlot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		h.Teach("work", 10*time.Microsecond)
		l := h.grow()
		h.submit("x", "a")
		l.answer(10*time.Microsecond, "x")
		l.wantSent("x", "a")
		h.stream("s", nil)
		l.wantSent("x", "a")
		h.submit("b", "c")
		l.answer(10*time.Microsecond, "a")
		l.wantSent("x", "a", "s")
		pass(time.Hour)
		l.answer(time.Microsecond, "s") // it is not taken for a short one by that
		l.wantSent("x", "a", "s", "b", "c")
		h.stream("s2", nil)
		l.answerAll(10 * time.Microsecond)
		l.wantSent("x", "a", "s", "b", "c", "s2")
		if hot := l.saw().hot; len(hot) == 0 || !hot[0] {
			t.Errorf("hot %v", hot)
		}
	})
}
