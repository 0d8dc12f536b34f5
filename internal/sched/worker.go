package sched

import "time"

// worker is what the scheduler knows of a live worker process.
type worker struct {
	number   int
	pid      int
	link     Link
	recorder bool    // it has one, so calls may be sent ahead and taken back
	born     int64   // when it was ready, in the scheduler's clock
	lanes    []*lane // those in use
	held     int     // unanswered items on all lanes

	slots    int     // how many calls it runs at once, those that wait for nested ones not counted
	maxLanes int     // how many lanes it may have for that
	made     []*lane // those that it has, of which lanes are the first
	busy     int     // lanes that hold calls,
	waiting  int     // and those of them whose call waits for nested ones
	empty    []*lane // scratch

	spare    bool // takes no calls yet
	retiring bool // takes no calls any more
	leaving  bool // holds nothing any more and was asked to leave
	dead     bool // the process is gone, or about to be killed
	why      retireReason

	suspect bool // holds a suspect, which gets no company but nested calls,
	alone   bool // and these only while it waits for some itself

	worked bool  // has run a call
	hot    bool  // short calls are in flight
	limit  int   // how many calls it may be given, 0 for any number
	given  int   // how many it has been given and not given back
	idle   int64 // since when it holds nothing, 0 while it does

	keys     keys
	bindings map[string]*binding // the scheduler's, of all workers

	sending  bool          // a goroutine empties the lanes' outboxes
	sendOver chan struct{} // made by whoever waits for it to end

	// What the receiver of its replies has to tell when it has let go of the lock.
	finishing []outcome
	failures  []failure // likewise, of calls that may be run again

	doom *time.Timer // kills a retiring worker for what does not end
}

// Traits are what a worker can do, for [Scheduler.Started].
type Traits struct {
	// Recorder reports that it keeps the flight recorder.
	Recorder bool
	// Lanes is how many calls it runs at once, at least 1. MaxLanes is how many
	// lanes it has, for calls to wait on for nested ones; not below Lanes.
	Lanes, MaxLanes int
	// Used is how many calls it was given on lane 0 before it was ready.
	Used uint64
	// Proved reports that what it was given then has shown that it can work: its death
	// is no failed start.
	Proved bool
}

func newWorker(number int, link Link, t Traits, now int64) *worker {
	w := &worker{number: number, pid: link.PID(), link: link, recorder: t.Recorder, born: now, idle: now, spare: true}
	w.slots = max(t.Lanes, 1)
	w.maxLanes = max(t.MaxLanes, w.slots)
	for i := range w.slots {
		next := uint64(1)
		if i == 0 {
			next += t.Used
		}
		w.made = append(w.made, newLane(w, i, next))
	}
	w.lanes = w.made
	return w
}

// takes reports whether the worker may be given calls at all.
func (w *worker) takes() bool {
	return !w.dead && !w.spare && !w.retiring && !w.alone && (w.limit == 0 || w.given < w.limit)
}

// underWay is about how many bytes have been sent to the worker and not answered,
// what was taken back behind a fence included.
func (w *worker) underWay() (bytes int64) {
	for _, l := range w.lanes {
		bytes += l.bytes + l.behind + int64(l.held)*frameBytes
	}
	return bytes
}

// fenced reports whether answers are outstanding behind a fence.
func (w *worker) fenced() bool {
	for _, l := range w.lanes {
		if l.fenced {
			return true
		}
	}
	return false
}

// deaf reports whether a call in it went on when its grace was over, and whether it
// holds others.
func (w *worker) deaf() (deaf, others bool) {
	for _, l := range w.lanes {
		deaf = deaf || l.deaf
		others = others || l.held > 0 && !l.deaf
	}
	return deaf, others
}

// stopTimers ends what would act on a worker that is gone.
func (w *worker) stopTimers() {
	for _, l := range w.lanes {
		l.stopGrace()
		l.stopAlarm()
	}
	if w.doom != nil {
		w.doom.Stop()
	}
}
