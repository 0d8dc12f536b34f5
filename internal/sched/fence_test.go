package sched_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.2: what one worker was sent ahead is withdrawn when another idles, and
// runs there; the first declines what it was robbed of, and is fed again.
func TestIdleWorkerTakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 50*time.Microsecond)
		fs := h.submit("a", "b", "c", "d")
		first := h.grow()
		first.wantSent("a", "b", "c", "d")
		first.begin("a")
		second := h.grow()
		if got := second.got(); len(got) == 0 || got[0] != "b" {
			t.Fatalf("the second worker was sent %q, want it to begin with b", got)
		}
		if st := h.Stats(); st.Requeued != 3 {
			t.Errorf("%+v", st)
		}
		for _, f := range fs[1:] {
			if s := f.State(); s != procpool.Queued {
				t.Errorf("state %v of a call that nobody has started", s)
			}
		}
		second.answerAll(50 * time.Microsecond)
		first.answer(50*time.Microsecond, "a", "b", "c", "d")
		for range 3 {
			first.answerAll(50 * time.Microsecond)
			second.answerAll(50 * time.Microsecond)
		}
		for i, text := range []string{"a", "b", "c", "d"} {
			wantResult(t, fs[i], text)
		}
		if saw := first.saw(); saw.fence != noFence || saw.fences != 1 || saw.unfences != 1 {
			t.Errorf("%+v", saw)
		}
	})
}

// Rule 6.2: the head is not taken from a worker that is about to start it.
func TestHeadStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 100*time.Microsecond)
		h.submit("a", "b")
		first := h.grow()
		first.wantSent("a", "b")
		second := h.grow()
		second.wantSent("b")
		if !first.begin("a") {
			t.Error("the head can't start")
		}
	})
}

// Rule 6.2: what waits behind a call that takes much longer than expected goes
// elsewhere, or waits in the queue for whoever is free first.
func TestOverrun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		busy := h.grow()
		busy2 := h.grow()
		h.submit("x", "y")
		busy2.wantSent("x")
		busy.wantSent("y")
		fs := h.submit("a", "b", "c")
		busy2.begin("x")
		busy2.answer(10*time.Microsecond, "x")
		busy2.wantSent("x", "a", "b", "c")
		busy2.begin("a")
		pass(3 * sched.OverrunTick)
		if st := h.Stats(); st.Queued != 2 || st.Running != 2 {
			t.Errorf("%+v, want what waited behind the slow call in the queue", st)
		}
		busy.begin("y")
		busy.answer(10*time.Microsecond, "y")
		busy.wantSent("y", "b", "c")
		busy.answer(10*time.Microsecond, "b", "c")
		wantResult(t, fs[2], "c")
		busy2.answer(time.Millisecond, "a", "b", "c")
		wantResult(t, fs[0], "a")
		h.check()
	})
}

// Rule 6.2: a worker that keeps up is left alone by the look for overruns.
func TestNoOverrun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		h.submit(texts("a", 20)...)
		l := h.grow()
		for _, text := range texts("a", 20) {
			l.begin(text)
			pass(sched.OverrunTick - 1)
			l.answer(10*time.Microsecond, text)
		}
		if saw := l.saw(); saw.fences > 0 {
			t.Errorf("fenced %d times", saw.fences)
		}
	})
}

// Rule 6.2: a second fence does not let run what the first one took back, even
// while the worker is about to decline it and has noted its start already.
func TestSecondFence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		fs := h.submit("a", "b", "c")
		l := h.grow()
		l.begin("a")
		fs[1].Cancel() // takes back c too
		other := h.grow()
		other.wantSent("c")
		// Now "a" ends, and the worker goes through what is fenced off: it notes
		// c as started and is about to look at the fence.
		l.mu.Lock()
		l.finished, l.ghost = 1, l.items[2].seq
		l.mu.Unlock()
		fs[0].Cancel() // fences lower
		h.check()
		if l.saw().fence == noFence {
			t.Fatal("the fence was lifted while a call that was taken back is about to start")
		}
		l.mu.Lock()
		l.ghost = 0
		l.mu.Unlock()
		if l.begin("c") {
			t.Error("a call that was taken back ran twice")
		}
		l.answer(time.Microsecond, "a", "b", "c")
		if l.saw().fence != noFence {
			t.Error("the fence was not lifted in the end")
		}
		other.answer(time.Microsecond, "c")
		wantResult(t, fs[2], "c")
	})
}

// Rule 6.2: a fence that meets the last call sent in the middle of its start is
// lifted at once; whether the worker then runs or declines it, nothing is lost.
func TestFenceMeetsStart(t *testing.T) {
	for name, declines := range map[string]bool{"runs": false, "declines": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Teach("work", 100*time.Microsecond)
				fs := h.submit("a", "b")
				first := h.grow()
				first.answer(100*time.Microsecond, "a")
				fs = append(fs, h.submit("c")...)
				first.wantSent("a", "b")
				first.answer(100*time.Microsecond, "b")
				first.wantSent("a", "b", "c")
				fs = append(fs, h.submit("d", "e")...)
				first.answer(100*time.Microsecond, "c")
				first.wantSent("a", "b", "c", "d", "e")
				// Another worker is about to rob it of e, which it notes as
				// started at that moment; the answer to d is on its way.
				first.mu.Lock()
				first.started = 4
				first.onFence = func() { first.started = 5 }
				first.mu.Unlock()
				second := h.grow()
				second.wantSent()
				if saw := first.saw(); saw.fences != 1 || saw.fence != noFence {
					t.Fatalf("%+v", saw)
				}
				first.answer(time.Microsecond, "d")
				if declines {
					first.decline("e")
					first.answerAll(time.Microsecond)
					second.answerAll(time.Microsecond)
				} else {
					first.answer(time.Microsecond, "e")
				}
				for i, text := range []string{"a", "b", "c", "d", "e"} {
					wantResult(t, fs[i], text)
				}
			})
		})
	}
}

// Rule 6.2: what is being sent at the moment of a fence is not taken back but
// declined when it arrives, and then goes elsewhere.
func TestFenceDuringSend(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		m := h.mapOver(texts("x", 100))
		synctest.Wait()
		h.Grow(1)
		gate := make(chan struct{})
		first := h.prepare(func(l *script) { l.gate = gate })
		go h.Started(first.number, first, sched.Traits{Recorder: true})
		synctest.Wait()
		second := h.grow() // idle: fences the first
		if saw := first.saw(); saw.fence == noFence {
			t.Fatal("the first worker was not fenced")
		}
		second.wantSent()
		close(gate)
		first.answer(time.Microsecond, "x0")
		first.decline("x1") // and all behind it go at once
		if len(second.got()) == 0 {
			t.Error("what was declined did not go elsewhere")
		}
		first.decline(texts("x", 100)[2:]...)
		for range 10 {
			first.answerAll(time.Microsecond)
			second.answerAll(time.Microsecond)
		}
		<-m.ended
		if out, errs := m.results(); !slices.Equal(out, texts("x", 100)) || len(errs) > 0 {
			t.Errorf("yielded %q, %v", out, errs)
		}
	})
}

// Rule 6.2: what comes back from several workers, call by call, waits in the order
// in which it was submitted, before what was never sent.
func TestBackInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		h.Grow(2)
		gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
		var ls []*script
		var cancelled []*procpool.Future[[]byte]
		for i, gate := range gates {
			l := h.prepare(func(l *script) { l.gate = gate })
			ls = append(ls, l)
			var fs []*procpool.Future[[]byte]
			for _, text := range []string{"a", "b", "c", "d"}[:4] {
				fs = append(fs, h.submit(fmt.Sprintf("%s%d", text, i))...)
				pass(time.Microsecond)
			}
			go h.Started(l.number, l, sched.Traits{Recorder: true})
			synctest.Wait()
			cancelled = append(cancelled, fs[0])
		}
		h.submit("new1")
		pass(time.Microsecond)
		h.submit("new2")
		for i, f := range cancelled {
			f.Cancel() // all behind it is in flight
			close(gates[i])
		}
		ls[1].decline("a1")
		ls[0].decline("a0")
		ls[1].decline("b1")
		ls[0].decline("b0", "c0")
		ls[1].decline("c1")
		ls[1].exit(nil) // which brings back d1
		ls[0].exit(nil) // and d0
		h.check()
		pass(sched.LongestDelay)
		l := h.start()
		l.wantSent("b0", "c0", "d0", "b1", "c1", "d1", "new1", "new2")
	})
}

// Rule 6.8: a worker whose recorder says what can't be is killed, and all it was
// sent counts as started.
func TestNonsenseInRecorder(t *testing.T) {
	for name, lie := range map[string]func(*script){
		"started what was not sent": func(l *script) { l.ghost = 99 },
		"started less than it ran":  func(l *script) { l.started = 1 },
		"recorder gone":             func(l *script) { l.ok = false },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Teach("work", 10*time.Microsecond)
				fs := h.submit("a", "b", "c", "d")
				l := h.grow()
				l.answer(10*time.Microsecond, "a", "b")
				l.mu.Lock()
				lie(l)
				l.mu.Unlock()
				fs[3].Cancel()
				h.check()
				if saw := l.saw(); saw.kills != 1 {
					t.Errorf("killed %d times", saw.kills)
				}
				late := h.submit("e")
				l.wantSent("a", "b", "c", "d")
				l.die()
				_ = crashOf(t, fs[2])
				other := h.start()
				other.answer(time.Microsecond, "e")
				wantResult(t, late[0], "e")
			})
		})
	}
}
