package wire

import (
	"sync"
	"sync/atomic"
)

// laneWaits notes in the recorder when the running call of a lane waits: for credit,
// for input, for calls that it has made. That time is not run time. Several goroutines
// of a call may wait at once.
//
// A call that never waits costs nothing. Whoever is to wait counts itself first and
// then looks whether its call still runs; the lane takes the call away first and then
// looks at the count: one of the two sees the other.
type laneWaits struct {
	lane  *lane
	count atomic.Int32 // changes with mu held

	mu sync.Mutex
}

// enter says that a goroutine of the call waits from now on.
func (w *laneWaits) enter(call *callContext) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.count.Add(1)
	if w.lane.call.Load() != call {
		w.count.Add(-1)
		return
	}
	if n == 1 {
		w.lane.log.pause(monotonicNow())
	}
}

// leave says that it goes on.
func (w *laneWaits) leave(call *callContext) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lane.call.Load() != call {
		return // ended, and forgotten
	}
	if w.count.Load() == 1 {
		w.lane.log.resume(monotonicNow())
	}
	w.count.Add(-1)
}

// ended forgets those who still wait in a call that was taken away.
func (w *laneWaits) ended() {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count.Load() > 0 {
		w.lane.log.resume(monotonicNow())
		w.count.Store(0)
	}
}
