package sched_test

import (
	"math/rand/v2"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// manner is how the calls of a group are made.
type manner struct {
	timeout  time.Duration
	reruns   int // how often a call may be run again
	priority int
	keyed    bool
	opts     []procpool.Option

	// Guarded by world.mu.
	seats int            // calls made so far
	last  map[string]int // the seat of the call that started last, by key
}

func newManner(rng *rand.Rand) *manner {
	as := &manner{keyed: rng.IntN(4) == 0, last: make(map[string]int)}
	if rng.IntN(3) == 0 {
		as.timeout = time.Duration(1+rng.IntN(10000)) * time.Microsecond
		as.opts = append(as.opts, procpool.Timeout(as.timeout))
	}
	if rng.IntN(3) == 0 {
		as.priority = rng.IntN(5) - 2
		as.opts = append(as.opts, procpool.Priority(as.priority))
	}
	switch rng.IntN(6) {
	case 0:
		as.reruns = 2
		as.opts = append(as.opts, procpool.Idempotent())
	case 1, 2:
		as.reruns = 1 + rng.IntN(3)
		first := time.Duration(rng.IntN(2000)) * time.Microsecond
		as.opts = append(as.opts, procpool.Retries(as.reruns), procpool.Backoff(first, 2*first))
		if rng.IntN(2) == 0 {
			as.opts = append(as.opts, procpool.RetryOn(procpool.TimeoutFailure, nil))
		}
		if rng.IntN(2) == 0 {
			as.opts = append(as.opts, procpool.RetryOn(procpool.TaskFailure, func(err error) bool { return len(err.Error())%3 > 0 }))
		}
	}
	return as
}

// inManner returns the task with the options of a manner.
func (w *world) inManner(task *procpool.Func[[]byte, []byte], as *manner) *procpool.Func[[]byte, []byte] {
	if task = task.With(as.opts...); !as.keyed {
		return task
	}
	return task.KeyBy(func(in []byte) string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.lookUp(string(in)).key
	})
}

// config returns a configuration by chance: a fleet of a fixed size, or one that does
// everything that fleets do.
func (w *world) config(rng *rand.Rand) sched.Config {
	cfg := sched.Config{
		QueueSize: 1 + rng.IntN(300), QueueBytes: 1 << (10 + rng.IntN(16)), MaxPayload: 1 << 30,
		CancelGrace: time.Duration(rng.IntN(5000)) * time.Microsecond, RetireGrace: time.Duration(rng.IntN(10000)) * time.Microsecond,
		Workers: 1 + rng.IntN(4), Concurrency: 1 + rng.IntN(3),
		Launch:  w.launch,
		OnEvent: func(sched.Event) {},
	}
	cfg.NestingDepth, cfg.NestedCalls = 1+rng.IntN(8), 1+rng.IntN(1<<rng.IntN(9))
	w.slots, w.moreLanes, cfg.MinWorkers = cfg.Concurrency, rng.IntN(12), cfg.Workers
	if rng.IntN(3) == 0 {
		w.moreLanes, cfg.Extra = rng.IntN(2), 1+rng.IntN(6)
	}
	if rng.IntN(2) == 0 {
		return cfg
	}
	cfg.MinWorkers = 1 + rng.IntN(cfg.Workers)
	cfg.Spares = rng.IntN(3)
	cfg.GrowAfter = time.Duration(rng.IntN(2000)) * time.Microsecond
	cfg.IdleTimeout = time.Duration(1+rng.IntN(5000)) * time.Microsecond
	if rng.IntN(2) == 0 {
		cfg.MaxCalls = 1 + rng.IntN(1<<rng.IntN(10))
		w.maxCalls = cfg.MaxCalls
	}
	if rng.IntN(3) == 0 {
		cfg.MaxAge = time.Duration(2+rng.IntN(30)) * time.Millisecond
	}
	return cfg
}

// operator resizes and restarts the pool, and finds its workers too large, until stop
// is closed.
func (w *world) operator(stop chan struct{}) {
	rng := w.rand()
	every := float64(1+rng.IntN(200)) * float64(time.Millisecond)
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.ExpFloat64() * every)):
		}
		switch rng.IntN(4) {
		case 0:
			over := w.s.Restart()
			w.all.Go(func() { w.restarted(over) })
		case 1:
			w.mu.Lock()
			number := 0
			for n := range w.workers { // in random order
				number = n
				break
			}
			w.mu.Unlock()
			w.s.Due(number)
		default:
			high := 1 + rng.IntN(5)
			w.s.Resize(1+rng.IntN(high), high)
		}
	}
}

// restarted waits for a restart, which is over, or cut short by the end of the pool.
func (w *world) restarted(over <-chan error) {
	err := <-over
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && !w.closed {
		w.t.Errorf("a restart ended with %v while the pool is open", err)
	}
}

// noteLocked books that a worker's recorder says that it has started the call.
func (r *record) noteLocked() {
	r.noted++
	r.seen = true
}

// startLocked books that a worker runs the call: as often as it may, one attempt at a
// time, and never when it was cancelled before.
func (r *record) startLocked(l *modelLane) {
	w, m := r.w, l.m
	if r.starts++; r.starts > 1+r.as.reruns {
		w.t.Errorf("rule 6.3: call %d runs for the %d. time, on worker %d; it may be run again %d times", r.id, r.starts, m.number, r.as.reruns)
	}
	if r.running != nil {
		w.t.Errorf("rule 6.3: call %d runs on worker %d while it runs on worker %d", r.id, m.number, r.running.m.number)
	}
	r.running, l.current = l, r
	r.notedAt, r.finished, r.lent = l.startedAt, false, false
	if r.forbidden {
		w.t.Errorf("rule 6.4: call %d runs on worker %d although it was cancelled before it started", r.id, m.number)
	}
	if m.starts++; w.maxCalls > 0 && m.starts > w.maxCalls {
		w.t.Errorf("rule 6.11: worker %d runs its %d. call; %d are its limit", m.number, m.starts, w.maxCalls)
	}
	l.m.crowdLocked()
	if r.key == "" {
		return
	}
	if other := w.active[r.key]; other != nil && other.running != nil && other != r {
		w.t.Errorf("key %s: call %d runs on worker %d beside call %d on worker %d", r.key, r.id, m.number, other.id, other.running.m.number)
	}
	w.active[r.key] = r
	if r.noted > 1 || r.refused || r.blind || r.aboard >= sched.SuspectAfter {
		return // it may be another attempt
	}
	if r.seat < r.as.last[r.key] {
		w.t.Errorf("key %s: call %d, the %d. of its group, starts after the %d.", r.key, r.id, r.seat, r.as.last[r.key])
	}
	r.as.last[r.key] = r.seat
}

// crowdLocked checks that the worker does not run more calls than it may, those not
// counted whose slot was lent when they waited.
func (m *modelWorker) crowdLocked() {
	n := 0
	for _, l := range m.lanes {
		if l.current != nil && !l.current.lent {
			n++
		}
	}
	if n > m.slots {
		m.w.t.Errorf("rule 6.12: worker %d runs %d calls that never lent their slots, and may run %d", m.number, n, m.slots)
	}
}

// endLocked books that the call's function has returned.
func (r *record) endLocked() {
	if limit := r.as.timeout; limit > 0 && !r.plain {
		// It is stopped at its limit, or a little later if it waits now and then, and
		// has the grace to end.
		if ran := r.running.ranLocked(); ran > limit+15*time.Millisecond {
			r.w.t.Errorf("rule 6.4: call %d with a limit of %v ran for %v", r.id, limit, ran)
		}
	}
	r.running, r.finished = nil, true
}
