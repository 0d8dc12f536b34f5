package sched

import (
	"math/rand/v2"
	"time"
)

// restarts decides how long to wait before the next start after failed ones, and
// when to stop making callers wait for it. It is a breaker that never latches:
// attempts go on at the longest delay, and one success closes it.
type restarts struct {
	failures int
	err      error
	fraction func() float64 // in [0, 1); nil for chance
}

const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
	// patience is how many starts in a row may fail before waiting calls are
	// refused.
	patience = 5
)

// failed books a failed start and returns the time to wait: it doubles with each
// failure, less up to a half by chance, so that pools do not march in step.
func (r *restarts) failed(err error) time.Duration {
	r.err = err
	r.failures++
	delay := longestDelay
	if shift := r.failures - 1; shift < 7 {
		delay = min(firstDelay<<shift, longestDelay)
	}
	fraction := rand.Float64 //nolint:gosec // jitter, no secret
	if r.fraction != nil {
		fraction = r.fraction
	}
	return delay - time.Duration(fraction()*float64(delay)/2)
}

func (r *restarts) succeeded() { r.failures, r.err = 0, nil }

// refusal returns the error with which to refuse calls while no worker lives, nil
// while it is worth waiting.
func (r *restarts) refusal() error {
	if r.failures < patience {
		return nil
	}
	return r.err
}
