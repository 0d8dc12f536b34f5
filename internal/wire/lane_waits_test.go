//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waitingLane is a lane whose recorder is that of a page, and runs a call.
func waitingLane(log *recorderLane) (*lane, *callContext) {
	l := &lane{log: log}
	l.waits.lane = l
	call := &callContext{seq: 1}
	l.call.Store(call)
	return l, call
}

func TestWaitingIsRecorded(t *testing.T) {
	t.Parallel()
	for kind, r := range pages(t, 1) {
		l, call := waitingLane(open(t, r).lane(0))
		start := monotonicNow() - int64(time.Hour)
		if !l.log.start(1, start) {
			t.Fatal("declined")
		}
		state := func() laneState {
			s, ok := r.progress(0)
			if !ok {
				t.Fatal("the page can't be read")
			}
			return s
		}
		l.waits.enter(call)
		first := state()
		if first.waiting == 0 || first.startedAt != start {
			t.Errorf("%s: a call that waits is at %+v", kind, first)
		}
		l.waits.enter(call)
		l.waits.leave(call)
		if got := state(); got != first {
			t.Errorf("%s: one of two waits on, at %+v, before %+v", kind, got, first)
		}
		if ran := first.ran(monotonicNow()+int64(time.Hour), start); ran < time.Hour || ran > time.Hour+enough {
			t.Errorf("%s: it has run for %v", kind, ran)
		}
		l.waits.leave(call)
		second := state()
		if waited := second.startedAt - start; second.waiting != 0 || waited <= 0 || waited > int64(enough) {
			t.Errorf("%s: a call that goes on is at %+v", kind, second)
		}
		// What ends while somebody waits waits no more, and who leaves late does no harm.
		l.waits.enter(call)
		l.call.Swap(nil)
		l.waits.ended()
		third := state()
		l.waits.leave(call)
		l.waits.enter(call)
		l.waits.leave(call)
		if got := state(); got.waiting != 0 || got != third || l.waits.count.Load() != 0 {
			t.Errorf("%s: a call that has ended is at %+v, then %+v, and %d wait", kind, third, got, l.waits.count.Load())
		}
	}
}

// TestWaitingNeverLengthensARun has a host read while a call waits now and then. What
// it reads of the run time is never more than the call had run by then.
func TestWaitingNeverLengthensARun(t *testing.T) {
	t.Parallel()
	type wait struct{ from, to int64 }
	type reading struct {
		at  int64
		ran time.Duration
	}
	for kind, r := range pages(t, 1) {
		log := open(t, r).lane(0)
		born := monotonicNow()
		log.start(1, born)
		var waits []wait
		var over atomic.Bool
		var worker sync.WaitGroup
		worker.Go(func() {
			defer over.Store(true)
			rng := rand.New(rand.NewPCG(7, 8))
			for range 3000 {
				pass(rng.IntN(200))
				log.pause(monotonicNow())
				from := monotonicNow() // from here on for sure
				pass(rng.IntN(400))
				to := monotonicNow()
				log.resume(to)
				waits = append(waits, wait{from, to})
			}
		})
		var readings []reading
		for !over.Load() {
			at := monotonicNow()
			s, _ := r.progress(0)
			readings = append(readings, reading{at, s.ran(at, born)})
		}
		worker.Wait()
		waited, next := int64(0), 0
		for _, g := range readings {
			for next < len(waits) && waits[next].to <= g.at {
				waited += waits[next].to - waits[next].from
				next++
			}
			ran := g.at - born - waited
			if next < len(waits) && waits[next].from < g.at {
				ran -= g.at - waits[next].from
			}
			if int64(g.ran) > ran {
				t.Fatalf("%s: the call is said to have run for %v, and had for %v", kind, g.ran, time.Duration(ran))
			}
		}
		if len(readings) < 10 {
			t.Errorf("%s: the host read %d times", kind, len(readings))
		}
	}
}

// pass lets some time go by.
func pass(n int) {
	for range n {
		_ = monotonicNow()
	}
}
