package sched_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// The most recently used idle worker gets the next call: it is still awake.
func TestHottestWorkerFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		ws := []*script{h.grow(), h.grow(), h.grow()}
		h.submit("a", "b", "c")
		for i, text := range []string{"c", "b", "a"} { // the last that was idle came first
			ws[i].wantSent(text)
		}
		ws[0].answer(time.Microsecond, "c")
		ws[2].answer(time.Microsecond, "a")
		ws[1].answer(time.Microsecond, "b")
		for range 3 {
			h.submit("d")
			ws[1].answer(time.Microsecond, "d")
		}
		h.submit("e", "f")
		ws[2].wantSent("a", "f")
		if st := h.Stats(); st.Idle != 1 || st.Busy != 2 || st.Workers != 3 || st.Running != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// Calls that wait for the same worker travel in one batch, the first never waits
// for company, and what comes while a batch is being sent goes with the next.
func TestNaturalBatching(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		l := h.grow()
		h.submit("first")
		l.wantSent("first")
		h.submit(texts("x", 50)...)
		l.wantSent("first")
		l.answer(time.Microsecond, "first")
		l.wantSent(append([]string{"first"}, texts("x", 50)...)...)
		if saw := l.saw(); saw.entered != 2 {
			t.Errorf("%d batches for 1 and then 50 calls", saw.entered)
		}
		l.answerAll(time.Microsecond)
	})
}

// How far ahead calls are sent depends on their run time, and on whether they can
// be taken back.
func TestLookAhead(t *testing.T) {
	type test struct {
		run      time.Duration // 0 is unknown
		recorder bool
		bytes    int
		want     int
	}
	for name, test := range map[string]test{
		"never measured":      {0, true, 1, 1},
		"a microsecond":       {time.Microsecond, true, 1, 500},
		"100 microseconds":    {100 * time.Microsecond, true, 1, 5},
		"400 microseconds":    {400 * time.Microsecond, true, 1, 2},
		"a millisecond":       {time.Millisecond, true, 1, 2},
		"two milliseconds":    {sched.Patient, true, 1, 1},
		"a second":            {time.Second, true, 1, 1},
		"large arguments":     {time.Microsecond, true, sched.LookAheadBytes / 4, 4},
		"larger than allowed": {time.Microsecond, true, sched.LookAheadBytes + 1, 1},
		"without a recorder":  {time.Microsecond, false, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				if test.run > 0 {
					h.Teach("work", test.run)
				}
				n := min(600, 8<<20/test.bytes)
				for range n {
					h.submit(strings.Repeat("x", test.bytes))
				}
				h.Grow(1)
				l := h.startWith(func(l *script) { l.recorder = test.recorder })
				if got := len(l.got()); got != test.want {
					t.Errorf("%d calls were sent at once, want %d", got, test.want)
				}
				if saw := l.saw(); len(saw.hot) > 1 || slices.Contains(saw.hot, true) != (test.run > 0 && test.run <= 100*time.Microsecond) {
					t.Errorf("hot: %v", saw.hot)
				}
			})
		})
	}
}

// Behind a call that nobody has measured nothing is sent, however quick.
func TestNothingBehindTheUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("quick", time.Microsecond)
		quick := procpool.Remote[[]byte, []byte]("quick", procpool.WithCodec(procpool.Raw))
		h.submit("unknown")
		f := quick.Submit(t.Context(), h, []byte("q"))
		l := h.grow()
		l.wantSent("unknown")
		l.answer(time.Second, "unknown")
		l.answer(time.Microsecond, "q")
		wantResult(t, f, "q")
	})
}

// Where there is enough work to be worth waking everybody, nobody takes it all.
func TestFairShare(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", time.Microsecond)
		a, b := h.grow(), h.grow()
		h.submit("first", "second")
		h.submit(texts("x", 200)...)
		a.answer(time.Microsecond, "second")
		if got := len(a.got()); got != 1+100 {
			t.Errorf("the first worker was sent %d calls", got)
		}
		b.answer(time.Microsecond, "first")
		if got := len(b.got()); got != 1+50 { // what is worth a wake-up, if not the half
			t.Errorf("the second worker was sent %d calls", got)
		}
	})
}

// A pack is shared among the workers, but not below what is worth a wake-up; a
// task of more than packable run time travels item by item; one that is not
// measured begins with a single item.
func TestPackShares(t *testing.T) {
	for name, test := range map[string]struct {
		run   time.Duration
		first int // items that the first of two workers gets at first, while it is alone
	}{
		"never measured":  {0, 1},
		"a microsecond":   {time.Microsecond, 200},
		"10 microseconds": {10 * time.Microsecond, 50},
		"30 microseconds": {30 * time.Microsecond, 1},
		"a second":        {time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				if test.run > 0 {
					h.Teach("work", test.run)
				}
				m := h.mapOver(texts("x", 200))
				synctest.Wait()
				if st := h.Stats(); st.Queued != 1 {
					t.Fatalf("%+v, want one pack", st)
				}
				a := h.grow()
				a.mu.Lock()
				pack := a.items[0].pack
				a.mu.Unlock()
				want := test.first
				switch test.run {
				case time.Microsecond:
					want = 200 // alone it takes all
				case 10 * time.Microsecond:
					want = 50
				}
				if pack != want {
					t.Errorf("the only worker got a pack of %d items, want %d", pack, want)
				}
				b := h.grow()
				for range 1000 {
					if st := h.Stats(); st.Queued+st.Running == 0 {
						break
					}
					a.answerAll(max(test.run, time.Microsecond))
					b.answerAll(max(test.run, time.Microsecond))
				}
				<-m.ended
				if out, errs := m.results(); !slices.Equal(out, texts("x", 200)) || len(errs) > 0 {
					t.Errorf("yielded %q, %v", out, errs)
				}
				if st := h.Stats(); st.Submitted != 200 || st.Succeeded != 200 {
					t.Errorf("%+v", st)
				}
				if len(b.got()) == 0 {
					t.Error("the second worker got nothing")
				}
			})
		})
	}
}

// A pack is cut for the other worker only where that gets nothing else, and not
// below what is worth its waking.
func TestPackCuts(t *testing.T) {
	for items, want := range map[int]int{20: 20, 50: 50, 60: 50, 200: 100, 250: 125, 600: 256, 1000: 256} {
		t.Run(strconv.Itoa(items), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Teach("work", time.Microsecond)
				a, b := h.grow(), h.grow()
				h.submit("b", "a")
				m := h.mapOver(texts("x", items))
				synctest.Wait()
				a.answer(time.Microsecond, "a")
				a.mu.Lock()
				pack := a.items[1].pack
				a.mu.Unlock()
				if pack != want {
					t.Errorf("the first pack has %d items, want %d", pack, want)
				}
				for range 100 {
					a.answerAll(time.Microsecond)
					b.answerAll(time.Microsecond)
				}
				<-m.ended
			})
		})
	}
}

// Run times are learned from the answers, each task's for itself.
func TestLearning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		l := h.grow()
		h.submit(texts("x", 30)...)
		l.wantSent("x0")
		l.answer(100*time.Microsecond, "x0")
		l.wantSent(texts("x", 6)...)
		l.answer(time.Microsecond, texts("x", 6)[1:]...)
		if got := len(l.got()); got < 12 {
			t.Errorf("%d calls were sent in all: the prediction does not fall", got)
		}
		other := procpool.Remote[[]byte, []byte]("other", procpool.WithCodec(procpool.Raw))
		l.answerAll(time.Microsecond)
		for range 30 {
			l.answerAll(time.Microsecond)
		}
		sent := len(l.got())
		other.Submit(t.Context(), h, []byte("y0"))
		other.Submit(t.Context(), h, []byte("y1"))
		if got := len(l.got()) - sent; got != 1 {
			t.Errorf("%d calls of a task that was never measured were sent at once", got)
		}
	})
}

// Rule 6.5 (DESIGN 5): a submitter sends a small call itself; a large one is left
// to a goroutine of its own, since flow control may block it.
func TestWhoSends(t *testing.T) {
	for name, test := range map[string]struct {
		bytes  int
		blocks bool
	}{"small": {1, true}, "large": {sched.InlineBytes + 1, false}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, nil)
				h.Grow(1)
				gate := make(chan struct{})
				h.startWith(func(l *script) { l.gate = gate })
				done := make(chan struct{})
				go func() {
					defer close(done)
					h.submit(strings.Repeat("x", test.bytes))
				}()
				synctest.Wait()
				select {
				case <-done:
					if test.blocks {
						t.Error("Submit returned although its worker takes nothing: somebody else sends")
					}
				default:
					if !test.blocks {
						t.Error("Submit waits for the worker to take a large call")
					}
				}
				close(gate)
				<-done
				h.check()
			})
		})
	}
}

// A receiver whose worker takes nothing must go on receiving, or the two wait for
// each other: what is on its way counts, however small the batches.
func TestReceiverNeverWaitsForItsWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, nil)
		h.Teach("work", 10*time.Microsecond)
		big := strings.Repeat("x", sched.InlineBytes/2)
		l := h.grow()
		h.submit("a")
		h.submit(big, big, big)
		l.mu.Lock()
		l.gate = make(chan struct{})
		l.mu.Unlock()
		replied := make(chan struct{})
		go func() {
			defer close(replied)
			h.Replies(l.number, []sched.Reply{{Seq: 1, Data: []byte("a"), Run: time.Microsecond}})
		}()
		synctest.Wait()
		select {
		case <-replied:
		default:
			t.Error("Replies waits for its worker")
		}
		close(l.gate)
		<-replied
	})
}

// The prediction is a decaying maximum; an outlier raises it fourfold at most.
func TestPrediction(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	for name, test := range map[string]struct{ runs, want []time.Duration }{
		"the first counts":           {[]time.Duration{50 * us}, []time.Duration{50 * us}},
		"never below a microsecond":  {[]time.Duration{1, 0, 10}, []time.Duration{us, us, us}},
		"an outlier counts fourfold": {[]time.Duration{10 * us, time.Second, 10 * us}, []time.Duration{10 * us, 40 * us, 40*us - 30*us/16}},
		"what is slow gets there":    {[]time.Duration{us, 50 * us, 50 * us, 50 * us}, []time.Duration{us, 4 * us, 16 * us, 50 * us}},
		"a little more is taken":     {[]time.Duration{10 * us, 12 * us}, []time.Duration{10 * us, 12 * us}},
		"it decays by a sixteenth":   {[]time.Duration{160 * us, 0, 0}, []time.Duration{160 * us, 150 * us, 150*us - 150*us/16}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sched.Predict(test.runs...); !slices.Equal(got, test.want) {
				t.Errorf("after %v: %v, want %v", test.runs, got, test.want)
			}
		})
	}
}
