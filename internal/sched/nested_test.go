package sched_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// long is a run time of calls behind which none is sent.
const long = sched.Patient

// nesting allows nested calls.
func nesting(cfg *sched.Config) { cfg.NestingDepth, cfg.NestedCalls = 100, 1000 }

// growLending starts a worker that runs slots calls at once and has more lanes to lend.
func (h *host) growLending(slots, more int) (lanes []*script) {
	h.t.Helper()
	h.Grow(1)
	return h.startLending(slots, more)
}

// startLending is growLending for a worker that was launched already.
func (h *host) startLending(slots, more int) (lanes []*script) {
	h.t.Helper()
	l := h.startWith(func(l *script) {
		l.lanes(slots + more)
		l.extra = more
	})
	return append([]*script{l}, l.more...)
}

// inner is a nested call.
type inner struct {
	t *testing.T
	*procpool.Call
	refused error

	mu  sync.Mutex
	was fate
}

// fate is the end of a nested call, and how often it came.
type fate struct {
	ended int
	reply string
	err   error
}

// fate returns what has become of the call.
func (n *inner) fate() fate {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.was
}

// nested makes a call as a task does.
func (h *host) nested(text string, change func(*procpool.Relay)) *inner {
	n := &inner{t: h.t}
	r := procpool.Relay{Task: "work", Codec: procpool.Raw.Name(), Payload: []byte(text)}
	if change != nil {
		change(&r)
	}
	r.Done = func(_ *procpool.Call, reply []byte, err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.was = fate{n.was.ended + 1, string(reply), err}
	}
	n.Call = r.NewCall()
	return n
}

// parent names the call with that argument that the lane runs.
func (l *script) parent(text string) sched.Parent {
	l.h.t.Helper()
	return sched.Parent{Worker: l.number, Lane: uint32(l.index), Seq: l.seq(text)}
}

// nest has the call that the lane runs make another.
func (l *script) nest(parent, text string) *inner { return l.nestAt(parent, text, 1, nil) }

// nestAt is nest for a call that is nested so many calls deep, with options.
func (l *script) nestAt(parent, text string, depth int, change func(*procpool.Relay)) *inner {
	l.h.t.Helper()
	n := l.h.nested(text, change)
	n.refused = l.h.EnqueueNested(n.Call, l.parent(parent), depth)
	l.h.check()
	return n
}

// wantOpen checks that the nested call was taken and has no outcome yet.
func (n *inner) wantOpen() {
	n.t.Helper()
	if was := n.fate(); n.refused != nil || was.ended > 0 {
		n.t.Errorf("the nested call of %q is refused (%v) or over (%v)", n.Payload(), n.refused, was.err)
	}
}

// wantResult checks that the nested call succeeded.
func (n *inner) wantResult(text string) {
	n.t.Helper()
	if was := n.fate(); n.refused != nil || was != (fate{1, text, nil}) {
		n.t.Errorf("the nested call is refused (%v), or ended as %+v; want %q", n.refused, was, text)
	}
}

// wantRefused checks that the nested call was refused, in these words, and left alone.
func (n *inner) wantRefused(target error, words string) {
	n.t.Helper()
	if !errors.Is(n.refused, target) || !strings.Contains(n.refused.Error(), words) || n.Finished() {
		n.t.Errorf("refused with %v, finished %v; want an error that matches %v and says %q", n.refused, n.Finished(), target, words)
	}
}

// Rule 6.12: nested calls go before those at the top, the deepest first; of the same
// depth those of the higher priority, and then the oldest.
func TestNestedCallsGoFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 3)
		p := lanes[0]
		h.submit("p")
		p.begin("p")
		p.nest("p", "first")
		runs := busy(t, "first", lanes...)
		h.call(t.Context(), "top", procpool.Priority(100))
		p.nest("p", "1 a")
		p.nestAt("p", "1 low", 1, func(r *procpool.Relay) { r.Priority = -100 })
		p.nestAt("p", "1 high", 1, func(r *procpool.Relay) { r.Priority = 100 })
		p.nestAt("p", "2 low", 2, func(r *procpool.Relay) { r.Priority = -100 })
		p.nest("p", "1 b")
		p.nestAt("p", "3", 3, nil)
		if st := h.Stats(); st.Nested != 7 || st.Queued != 1 || st.QueuedBytes != 3 {
			t.Errorf("%+v", st)
		}
		last := "first"
		for _, text := range []string{"3", "2 low", "1 high", "1 a", "1 b", "1 low"} {
			runs.answer(long, last)
			runs = busy(t, text, lanes...)
			last = text
		}
		runs.answer(long, last)
		if st := h.Stats(); st.Nested != 0 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		p.answer(long, "p")
		busy(t, "top", lanes...)
	})
}

// A nested call takes back what was sent ahead at the top.
func TestNestedCallOvertakes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		h.Teach("work", 10*time.Microsecond)
		p, l := h.grow(), h.grow()
		h.submit("p")
		if len(l.got()) > 0 {
			p, l = l, p
		}
		p.begin("p")
		h.submit("x", "a", "b")
		l.answer(10*time.Microsecond, "x")
		l.begin("a")
		l.wantSent("x", "a", "b")
		n := h.nested("n", nil)
		if err := h.EnqueueNested(n.Call, sched.Parent{}, 1); err != nil {
			t.Fatal(err)
		}
		h.check()
		if l.saw().fences+p.saw().fences != 1 {
			t.Error("nothing was taken back for it")
		}
		l.answerAll(10 * time.Microsecond)
		l.wantSent("x", "a", "b", "n", "b")
	})
}

// Rule 6.12: depth and total are bounded, each refusal says by what.
func TestNestedCallsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(cfg *sched.Config) { cfg.NestingDepth, cfg.NestedCalls, cfg.MaxPayload = 3, 2, 10 })
		h.SetServed([]string{"work"})
		lanes := h.growLending(1, 3)
		p := lanes[0]
		h.submit("p")
		p.begin("p")
		p.nestAt("p", "n", 4, nil).wantRefused(procpool.ErrNestingLimit, "4 calls deep, and Config.NestingDepth is 3")
		p.nestAt("p", "more than 10", 1, nil).wantRefused(procpool.ErrTooLarge, "MaxPayload")
		p.nestAt("p", "n", 1, func(r *procpool.Relay) { r.Task = "none" }).wantRefused(procpool.ErrUnknownTask, "none")
		if st := h.Stats(); st.Nested != 0 || st.Refused != 3 {
			t.Errorf("%+v", st)
		}
		a, b := p.nestAt("p", "a", 3, nil), p.nest("p", "b")
		p.nest("p", "c").wantRefused(procpool.ErrNestingLimit, "2 nested calls are under way, and Config.NestedCalls is 2")
		lanes[1].answer(time.Millisecond, "a")
		a.wantResult("a")
		b.wantOpen()
		p.nest("p", "c").wantOpen()
	})
}

// A call that is over, was given up or never ran makes no nested calls.
func TestNestedCallsOfNobody(t *testing.T) {
	for name, how := range map[string]func(h *host, p *script, f *procpool.Future[[]byte]){
		"has ended": func(_ *host, p *script, _ *procpool.Future[[]byte]) {
			p.answer(time.Millisecond, "p")
		},
		"was given up": func(_ *host, _ *script, f *procpool.Future[[]byte]) {
			f.Cancel()
		},
		"has ended because its worker died": func(_ *host, p *script, _ *procpool.Future[[]byte]) {
			p.die()
		},
		"has ended because its worker is being killed": func(h *host, p *script, _ *procpool.Future[[]byte]) {
			h.KillWorker(p.number, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nesting)
				p := h.growLending(1, 3)[0]
				f := h.submit("p")[0]
				p.begin("p")
				by := p.parent("p")
				other := by
				other.Seq++
				lane := by
				lane.Lane = 77
				for _, by := range []sched.Parent{other, lane} {
					n := h.nested("n", nil)
					n.refused = h.EnqueueNested(n.Call, by, 1)
					n.wantRefused(procpool.ErrNestingLimit, "has ended")
				}
				how(h, p, f)
				n := h.nested("n", nil)
				n.refused = h.EnqueueNested(n.Call, by, 1)
				h.check()
				n.wantRefused(procpool.ErrNestingLimit, "the call that makes it "+strings.Split(name, " because")[0])
			})
		})
	}
}

// Rule 6.5: nested calls take no room in the queue, neither from those in it nor from
// those who wait for room.
func TestNestedCallsBypassTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, func(cfg *sched.Config) {
			nesting(cfg)
			cfg.QueueSize, cfg.QueueBytes = 1, 5
		})
		lanes := h.growLending(1, 1)
		p := lanes[0]
		h.submit("p")
		p.begin("p")
		h.submit("queued")
		blocked := make(chan *procpool.Future[[]byte])
		go func() { blocked <- h.submit("b")[0] }()
		var all []*inner
		for range 10 {
			all = append(all, p.nest("p", "nested"))
		}
		if st := h.Stats(); st.Queued != 1 || st.QueuedBytes != 6 || st.Nested != 10 {
			t.Errorf("%+v", st)
		}
		wantError(t, h.call(t.Context(), "x", procpool.NoWait()), procpool.ErrQueueFull)
		for _, n := range all {
			lanes[1].answer(time.Millisecond, "nested")
			n.wantResult("nested")
		}
		p.answer(time.Millisecond, "p")
		f := <-blocked // when "queued" has left the queue
		wantOpen(t, f)
		busy(t, "queued", lanes...).answer(time.Millisecond, "queued")
		busy(t, "b", lanes...)
	})
}

// While a scheduler drains, what runs may make nested calls, and they count.
func TestNestedCallsWhileDraining(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 1)
		p := lanes[0]
		f := h.submit("p")[0]
		p.begin("p")
		drained := h.Drain()
		wantError(t, h.submit("late")[0], procpool.ErrClosed)
		n := p.nest("p", "n")
		n.wantOpen()
		stranger := h.nested("s", nil)
		if err := h.EnqueueNested(stranger.Call, sched.Parent{}, 1); err != nil {
			t.Error(err)
		}
		p.answer(time.Millisecond, "p")
		wantResult(t, f, "p")
		lanes[1].answer(time.Millisecond, "n")
		n.wantResult("n")
		select {
		case <-drained:
			t.Error("drained with a nested call under way")
		default:
		}
		busy(t, "s", lanes...).answer(time.Millisecond, "s")
		<-drained
		late := h.nested("late", nil)
		late.refused = h.EnqueueNested(late.Call, sched.Parent{}, 1)
		late.wantRefused(procpool.ErrClosed, "closed")
	})
}

// What ends with the scheduler, nested calls included, ends with ErrClosed.
func TestKillEndsNestedCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 1)
		p := lanes[0]
		f := h.submit("p")[0]
		p.begin("p")
		runs, waits := p.nest("p", "a"), p.nest("p", "b")
		gone, running, queued := h.Kill()
		if running != 2 || queued != 1 {
			t.Errorf("%d ran, %d were queued", running, queued)
		}
		p.die()
		<-gone
		wantError(t, f, procpool.ErrClosed)
		for _, n := range []*inner{runs, waits} {
			if n.fate().ended != 1 || !errors.Is(n.fate().err, procpool.ErrClosed) {
				t.Errorf("ended %d times with %v", n.fate().ended, n.fate().err)
			}
		}
		if st := h.Stats(); st.Nested != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Rule 6.12: a nested call's key is a hint. It waits for no lane, for its caller may have
// that, and no other call waits for its own.
func TestNestedKeyIsAHint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		keyed := work.KeyBy(func([]byte) string { return "k" })
		one, two := h.growLending(1, 2), h.growLending(1, 2)
		f := keyed.Submit(t.Context(), h, []byte("p"))
		if len(one[0].got()) == 0 {
			one, two = two, one
		}
		p := one[0]
		p.begin("p")
		hinted := func(r *procpool.Relay) { r.Key = "k" }
		a := p.nestAt("p", "a", 1, hinted)
		one[1].wantSent("a") // though the other worker has less to do
		b := p.nestAt("p", "b", 1, hinted)
		two[0].wantSent("b")
		waits := keyed.Submit(t.Context(), h, []byte("q"))
		one[1].answer(time.Millisecond, "a")
		two[0].answer(time.Millisecond, "b")
		a.wantResult("a")
		b.wantResult("b")
		wantOpen(t, f, waits)
		p.answer(time.Millisecond, "p")
		wantResult(t, f, "p")
		busy(t, "q", one...).answer(time.Millisecond, "q")
		wantResult(t, waits, "q")
	})
}

// Calls whose key has the lane of a call that waits do not wait for it, unless they have
// the same key.
func TestKeysLeaveALaneThatWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		keyed := func(key, text string) *procpool.Future[[]byte] {
			return work.KeyBy(func([]byte) string { return key }).Submit(context.Background(), h, []byte(text))
		}
		lanes := h.growLending(1, 2)
		p := lanes[0]
		for _, key := range []string{"j", "k"} { // both have a lane now
			keyed(key, key)
			p.answer(long, key)
		}
		keyed("j", "p")
		p.begin("p")
		before := keyed("k", "before")
		other := h.grow()
		p.nest("p", "m")
		n := p.nest("p", "n")
		lanes[1].wantSent("m")
		other.wantSent("n")
		lanes[1].answer(long, "m")
		lanes[1].wantSent("m", "before")
		same, after := keyed("j", "same"), keyed("k", "after")
		lanes[1].answer(long, "before")
		wantResult(t, before, "before")
		lanes[1].wantSent("m", "before", "after")
		lanes[1].answer(long, "after")
		wantResult(t, after, "after")
		other.answer(long, "n")
		n.wantResult("n")
		wantOpen(t, same)
		p.answer(long, "p")
		p.wantSent("j", "k", "p", "same")
	})
}

// DepthOf tells how deep a running call is.
func TestDepthOf(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nesting)
		lanes := h.growLending(1, 2)
		h.submit("p")
		lanes[0].begin("p")
		lanes[0].nestAt("p", "n", 7, nil)
		lanes[1].begin("n")
		for i, want := range []int{0, 7} {
			by := lanes[i].parent([]string{"p", "n"}[i])
			if depth, running := h.DepthOf(by); depth != want || !running {
				t.Errorf("depth %d, running %v; want %d", depth, running, want)
			}
			by.Seq++
			if depth, running := h.DepthOf(by); depth != 0 || running {
				t.Errorf("of nobody: depth %d, running %v", depth, running)
			}
		}
		if _, running := h.DepthOf(sched.Parent{}); running {
			t.Error("the zero Parent runs")
		}
	})
}
