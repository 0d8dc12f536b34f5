package sched

import (
	"math/rand/v2"
	"time"
)

// restarts decides how long to wait before the next start after failed ones, and
// when to stop making callers wait for it. It is a breaker that never latches:
// attempts go on at the longest delay, one worker at a time, and the first worker
// that proves itself closes it.
type restarts struct {
	failures int // rounds of failed starts since a worker proved itself
	newest   int // the newest worker at the last failure that was counted
	patience int // rounds after which calls are refused
	err      error
	fraction func() float64 // in [0, 1); nil for chance
}

const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 10 * time.Second
	// patience is how many rounds of starts may fail before waiting calls are
	// refused, patienceOnce the same where there is but one call.
	patience     = 5
	patienceOnce = 3
	// settled is how long a worker lives that had no trouble starting, even
	// if nobody ever called it.
	settled = 10 * time.Second
)

// failed books the failed start of a worker and returns the time to wait: it
// doubles with each round of failures, less up to a half by chance, so that pools
// do not march in step. newest is the worker that was launched last: those that
// were under way when another failed belong to the same round, or else the
// workers of a large pool would use up its patience with one hiccup.
func (r *restarts) failed(number, newest int, err error) time.Duration {
	r.err = err
	if number > r.newest {
		r.failures++
		r.newest = newest
	}
	delay := longestDelay
	if shift := r.failures - 1; shift < 7 {
		delay = firstDelay << max(shift, 0)
	}
	fraction := rand.Float64 //nolint:gosec // jitter, no secret
	if r.fraction != nil {
		fraction = r.fraction
	}
	return delay - time.Duration(fraction()*float64(delay)/2)
}

// proved says that a worker has shown that it can work.
func (r *restarts) proved() { r.failures, r.err = 0, nil }

// refusal returns the error with which to refuse calls while no worker lives, nil
// while it is worth waiting.
func (r *restarts) refusal() error {
	if r.failures < r.patience {
		return nil
	}
	return r.err
}
