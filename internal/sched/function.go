package sched

import (
	"time"

	"github.com/procpool/procpool"
)

// function is what the scheduler knows of a task.
type function struct {
	name   string
	served bool
	// slow is a decaying maximum of its run times; zero until the first.
	slow time.Duration
}

const (
	// lookAhead is how much predicted work a worker may hold: enough to cover
	// the host's way back to it, little enough that few calls wait behind one
	// that takes longer than expected.
	lookAhead = 500 * time.Microsecond
	// lookAheadBytes bounds the same in bytes of payload.
	lookAheadBytes = 1 << 20
	// patient is the run time from which nothing is sent ahead: the host's
	// answer is short against it, and a call sent ahead would only have to be
	// withdrawn again.
	patient = 2 * time.Millisecond
	// packable is the run time up to which the items of a pack stay together.
	packable = 20 * time.Microsecond
	// hotBelow is the run time up to which it pays to poll for the reply.
	hotBelow = 100 * time.Microsecond
	// worthSharing is how much predicted work it takes to be worth waking
	// another worker for.
	worthSharing = 50 * time.Microsecond
	// quickest bounds predictions from below: a call costs this much in any
	// case.
	quickest = time.Microsecond
)

// observe learns a run time. A single outlier (the kernel ran something else)
// raises the prediction at most fourfold; a task that has become slow gets there
// in a few calls.
func (f *function) observe(run time.Duration) {
	switch {
	case f.slow == 0:
		f.slow = max(run, quickest)
	case run > f.slow:
		f.slow = min(run, 4*f.slow)
	default:
		f.slow = max(f.slow-(f.slow-run)/16, quickest)
	}
}

// predicted is how long a call is expected to run. One that nobody has measured
// is taken for a long one, behind which nothing is sent.
func (f *function) predicted() time.Duration {
	if f.slow == 0 {
		return patient
	}
	return f.slow
}

// predict is predicted for a call. How long streams and sessions run is up to their
// reader, so they are always taken for long ones.
func (f *function) predict(c *procpool.Call) time.Duration {
	if c.Kind().HasValues() {
		return patient
	}
	return f.predicted()
}

func (s *Scheduler) functionLocked(name string) *function {
	if f := s.lastFn; f != nil && f.name == name {
		return f
	}
	f := s.functions[name]
	if f == nil {
		f = &function{name: name}
		// A name that nobody serves is not remembered: callers could make up
		// names for ever.
		if !s.served {
			s.functions[name] = f
		}
	}
	s.lastFn = f
	return f
}
