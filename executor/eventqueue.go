package executor

import (
	"sync"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// eventQueue hands events to their listener one at a time, in the order in which they
// came, on a goroutine that lives while there are any.
type eventQueue struct {
	listener func(Event) // nil for nobody

	mu      sync.Mutex
	pending []Event
	reports map[int64]int // for each call, where its last progress is in pending
	idle    chan struct{} // closed when that goroutine ends; nil when there is none
}

func (q *eventQueue) put(e Event) {
	if q.listener == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.putLocked(e)
}

func (q *eventQueue) putLocked(e Event) {
	q.pending = append(q.pending, e)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.tell()
	}
}

// progress takes a report. It stands in for one of the same attempt that the listener
// has not come to, so that a slow listener finds the latest and no backlog.
func (q *eventQueue) progress(e Event) {
	if q.listener == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, there := q.reports[e.Call]; there && q.pending[i].Attempt == e.Attempt {
		q.pending[i] = e
		return
	}
	if q.reports == nil {
		q.reports = make(map[int64]int)
	}
	q.reports[e.Call] = len(q.pending)
	q.putLocked(e)
}

func (q *eventQueue) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > 0 {
		batch := q.pending
		q.pending, q.reports = nil, nil
		q.mu.Unlock()
		for _, e := range batch {
			q.listener(e)
		}
		q.mu.Lock()
	}
	close(q.idle)
	q.idle = nil
}

// wait blocks until all events so far have been heard.
func (q *eventQueue) wait() {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// worker puts an event that a scheduler has noticed.
func (q *eventQueue) worker(e sched.Event) {
	q.put(Event{Kind: kindOfEvent(e.Kind), Time: time.Now(), Worker: e.Worker, PID: e.PID, Err: e.Err, Reason: e.Reason})
}
