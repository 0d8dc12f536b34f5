package sched_test

import (
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// modelLane is a lane of a worker: it starts its calls in order, one at a time.
type modelLane struct {
	m       *modelWorker
	index   int
	rng     *rand.Rand // of the serving goroutine
	sendRng *rand.Rand // of whoever sends
	wake    chan struct{}

	// The rest is guarded by world.mu.
	fence             uint64
	started, finished uint64
	startedAt         time.Time
	waitsSince        time.Time     // the zero time while the call does not wait for nested ones
	waited            time.Duration // by the call, before
	inbox             []item
	sent              map[uint64]*record // and not answered
	marks             map[uint64]bool    // cancelled before they started
	running           uint64
	current           *record       // that runs
	cancelled         chan struct{} // of the running call
	journal           []sched.Reply // ready, not handed over
}

// item is a call in a worker's hands.
type item struct {
	seq   uint64
	rec   *record
	bytes int
}

func newModelLane(m *modelWorker, index int) *modelLane {
	return &modelLane{
		m: m, index: index, rng: m.w.rand(), sendRng: m.w.rand(), wake: make(chan struct{}, 1),
		fence: noFence, sent: make(map[uint64]*record), marks: make(map[uint64]bool),
	}
}

// serve runs the calls of the lane.
func (l *modelLane) serve() {
	defer l.m.serving.Done()
	for {
		it, ok := l.next()
		if !ok {
			return
		}
		l.m.w.mu.Lock()
		if l.m.isDead {
			l.m.w.mu.Unlock()
			return
		}
		before := l.started
		l.started, l.startedAt, l.waited, l.waitsSince = it.seq, time.Now(), 0, time.Time{}
		it.rec.noteLocked()
		l.m.w.mu.Unlock()

		l.hesitate()

		l.m.w.mu.Lock()
		if l.m.isDead {
			l.m.w.mu.Unlock()
			return
		}
		if it.seq > l.fence || l.marks[it.seq] {
			l.started = before
			it.rec.noted--
			it.rec.refused = it.rec.refused || l.marks[it.seq]
			l.answerLocked(it, sched.Reply{Lane: uint32(l.index), Seq: it.seq, Kind: sched.Declined})
			l.m.w.mu.Unlock()
			continue
		}
		it.rec.startLocked(l)
		l.running = it.seq
		cancelled := make(chan struct{})
		l.cancelled = cancelled
		l.m.w.mu.Unlock()

		reply, ok := l.run(it, cancelled)
		if !ok {
			return
		}
		l.m.w.mu.Lock()
		l.running, l.cancelled = 0, nil
		if l.m.isDead {
			l.m.w.mu.Unlock()
			return
		}
		l.answerLocked(it, reply)
		l.finished = it.seq
		it.rec.endLocked()
		l.current = nil
		l.m.w.mu.Unlock()
	}
}

// hesitate is the moment between a start's note and the look at the fence.
func (l *modelLane) hesitate() {
	switch l.rng.IntN(8) {
	case 0:
		runtime.Gosched()
	case 1:
		select {
		case <-time.After(time.Duration(l.rng.IntN(200)) * time.Microsecond):
		case <-l.m.dead:
		}
	}
}

func (l *modelLane) run(it item, cancelled chan struct{}) (reply sched.Reply, ok bool) {
	begin := time.Now()
	reply = sched.Reply{Lane: uint32(l.index), Seq: it.seq, Data: []byte(it.rec.text)}
	wait := it.rec.run
	switch it.rec.kind {
	case deaf:
		<-l.m.dead
		return reply, false
	case crashes:
		wait /= 2
	}
	if it.rec.kind == nests {
		alive, stopped := l.nest(it, cancelled)
		if !alive || stopped && !l.stop(&reply) {
			return reply, false
		}
		if stopped {
			reply.Run = time.Since(begin)
			return reply, true
		}
	}
	select {
	case <-time.After(wait):
	case <-l.m.dead:
		return reply, false
	case <-cancelled:
		if !l.stop(&reply) {
			return reply, false
		}
	}
	switch {
	case reply.Kind == sched.Failed:
	case it.rec.kind == crashes:
		l.m.die()
		return reply, false
	case it.rec.kind == fails:
		reply.Kind, reply.Err = sched.Failed, &procpool.TaskError{Message: "no"}
	}
	reply.Run = time.Since(begin)
	return reply, true
}

// stop is the end of a call whose context has ended: at once, or after a while that
// may be longer than its grace, and sometimes with a result all the same. It reports
// false when the worker dies first.
func (l *modelLane) stop(reply *sched.Reply) bool {
	if l.rng.IntN(2) == 0 {
		select {
		case <-time.After(time.Duration(l.rng.IntN(6000)) * time.Microsecond):
		case <-l.m.dead:
			return false
		}
	}
	if l.rng.IntN(4) > 0 {
		reply.Kind, reply.Err = sched.Failed, &procpool.TaskError{Message: "given up"}
	}
	return true
}

// next returns the next call. Replies are handed over before the worker sleeps and
// before a call that takes a while.
func (l *modelLane) next() (item, bool) {
	for {
		l.m.w.mu.Lock()
		if l.m.isDead {
			l.m.w.mu.Unlock()
			return item{}, false
		}
		if len(l.inbox) == 0 || l.inbox[0].rec.run > 20*time.Microsecond || l.rng.IntN(3) == 0 {
			l.flushLocked()
		}
		if len(l.inbox) > 0 {
			it := l.inbox[0]
			l.inbox = l.inbox[1:]
			l.m.w.mu.Unlock()
			return it, true
		}
		l.m.w.mu.Unlock()
		select {
		case <-l.wake:
		case <-l.m.dead:
		}
	}
}

func (l *modelLane) answerLocked(it item, r sched.Reply) {
	l.m.backlog -= it.bytes
	l.journal = append(l.journal, r)
}

func (l *modelLane) flushLocked() {
	if len(l.journal) > 0 {
		l.m.kernel = append(l.m.kernel, message{replies: l.journal})
		l.journal = nil
		signal(l.m.arrived)
	}
}
