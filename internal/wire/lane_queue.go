package wire

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// taskRun is a run of tasks for one lane, from one message. It holds the batch
// that the tasks' memory belongs to.
type taskRun struct {
	batch   *taskBatch
	tasks   []task
	arrived time.Time // what the tasks' timeouts count from
}

// laneQueue holds what a lane has been sent and not taken up. The reader of the
// stream puts, the lane takes. Putting never blocks: the host bounds what it
// sends ahead, and what comes behind must get past.
type laneQueue struct {
	wake chan struct{} // of capacity 1; gets a token when work comes while the lane sleeps

	mu     sync.Mutex
	runs   []taskRun
	sleeps bool
	// cancelled holds the numbers of calls that were given up before they
	// started; marks is its size.
	cancelled map[uint64]struct{}
	marks     atomic.Int32
}

// maxCancelled bounds what a host can make a worker remember of calls that never
// come.
const maxCancelled = 1 << 16

func newLaneQueue() *laneQueue { return &laneQueue{wake: make(chan struct{}, 1)} }

// put appends a run of tasks and wakes the lane if it sleeps.
func (q *laneQueue) put(run taskRun) {
	q.mu.Lock()
	q.runs = append(q.runs, run)
	sleeps := q.sleeps
	q.sleeps = false
	q.mu.Unlock()
	if sleeps {
		select {
		case q.wake <- struct{}{}:
		default: // a token is there already
		}
	}
}

// take exchanges all that waits for an empty slice to reuse. When nothing waits
// it returns that slice itself, and the next put sends a token to wake.
func (q *laneQueue) take(empty []taskRun) []taskRun {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.runs) == 0 {
		q.sleeps = true
		return empty
	}
	runs := q.runs
	q.runs = empty
	return runs
}

// mark notes that a call was given up. Those below number reached are over.
func (q *laneQueue) mark(seq, reached uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.cancelled) >= maxCancelled {
		maps.DeleteFunc(q.cancelled, func(s uint64, _ struct{}) bool { return s < reached })
	}
	if len(q.cancelled) >= maxCancelled {
		return
	}
	if q.cancelled == nil {
		q.cancelled = make(map[uint64]struct{})
	}
	q.cancelled[seq] = struct{}{}
	q.marks.Store(int32(len(q.cancelled)))
}

// unmark reports whether the call was given up, and forgets it.
func (q *laneQueue) unmark(seq uint64) bool {
	if q.marks.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	_, marked := q.cancelled[seq]
	delete(q.cancelled, seq)
	q.marks.Store(int32(len(q.cancelled)))
	return marked
}
