package sched_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// Rules 6.1 to 6.7 and 6.11 against everything at once: calls plain and in packs, with
// time limits, re-runs, priorities and keys; bounded queues, cancels, contexts, crashes
// at any moment, workers of several lanes that come and go or do not start, and the end
// of the pool at any moment. What must hold is checked where it happens: every call
// ends, with an outcome that it can have; none runs more often than it may, nor twice
// at once; none runs that was cancelled before; those of one key run one after the
// other, in order; no worker runs more calls than its limit, nor more at once than it
// may; the accounts add up all the time, and in the end nothing is left. A call that
// never ends is found by the bubble or by a watchdog.
func TestModel(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { playRound(t, seed, false) })
		})
	}
}

// Rule 6.12 where nothing dies, so that nothing but the scheduler can end a wait in a
// circle.
func TestModelOfNestedCalls(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	for range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { playRound(t, seed, true) })
		})
	}
}

// watchdog ends a round whose calls wait for each other.
func (w *world) watchdog(stop chan struct{}) {
	select {
	case <-stop:
	case <-time.After(10 * time.Minute):
		w.t.Errorf("the calls do not end: %+v", w.s.Stats())
		w.close(func() { w.s.Kill() })
	}
}

func playRound(t *testing.T, seed uint64, calm bool) {
	w := &world{t: t, seed: seed, workers: make(map[int]*modelWorker), active: make(map[string]*record)}
	rng := w.rand()
	sometimes := func(p float64) float64 {
		if rng.IntN(3) > 0 {
			return 0
		}
		return p * rng.Float64()
	}
	w.noRecorder, w.badPage, w.failedStart = sometimes(1), sometimes(1), sometimes(0.9)
	w.killEvery = float64(1 + rng.IntN(200))
	w.nesting = sometimes(0.5)
	if calm {
		w.failedStart, w.killEvery, w.nesting = 0, 0, 0.5
	}
	w.s = sched.New(w.config(rng))
	w.s.Start()

	stop := make(chan struct{})
	if !calm {
		w.all.Go(func() { w.operator(stop) })
		w.all.Go(func() { w.killer(stop) })
	}
	w.all.Go(func() { w.checker(stop) })
	w.all.Go(func() { w.watchdog(stop) })
	var submitters sync.WaitGroup
	for range 1 + rng.IntN(5) {
		groups := 1 + rng.IntN(6)
		submitters.Go(func() { w.submitter(groups) })
	}

	if calm || rng.IntN(2) == 0 {
		submitters.Wait()
	} else {
		<-time.After(time.Duration(rng.IntN(30000)) * time.Microsecond)
	}
	if rng.IntN(2) == 0 {
		w.close(func() { <-w.s.Drain() })
	}
	var gone <-chan struct{}
	w.close(func() { gone, _ = w.s.Kill() })
	<-gone
	submitters.Wait()
	close(stop)
	w.all.Wait()
	w.s.WaitEvents()
	synctest.Wait()

	if err := w.s.Check(); err != nil {
		t.Errorf("in the end the scheduler's accounts are wrong:\n%v", err)
	}
	st := w.s.Stats()
	if st.Submitted != st.Succeeded+st.Failed+st.Cancelled+st.Refused {
		t.Errorf("rule 6.1: the counts do not add up: %+v", st)
	}
	if st.Queued+st.Nested+st.Running+st.Delayed+st.Workers+st.Idle+st.Busy+st.Starting != 0 || st.QueuedBytes != 0 || st.Senseless != 0 {
		t.Errorf("rule 6.6: something is left: %+v", st)
	}
	for _, r := range w.calls {
		if r.depth > 0 && r.outcomes != 1 && r.posted {
			t.Errorf("rule 6.1: nested call %d has had %d outcomes", r.id, r.outcomes)
		}
	}
	if n, ok := w.s.Watches(); !ok {
		t.Errorf("%d contexts are still watched", n)
	}
}
