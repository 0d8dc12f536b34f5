package sched

import (
	"fmt"
	"time"
)

// Pulse tells a hung worker from a slow one (rule 6.13): it is hung when for the
// whole window it has given no sign of life and, at every look, was stopped or had
// used no processor time. A worker that computes is slow, however silent. One is kept
// for each worker, by one goroutine.
type Pulse struct {
	window time.Duration

	looked  bool
	last    int64         // when it was looked at last
	since   int64         // the last look that found it alive
	sign    int64         // its last sign of life
	cpu     time.Duration // what it had used at since, or when it was stopped
	stopped bool
}

// NewPulse returns the pulse of a worker that may be silent for as long as window.
func NewPulse(window time.Duration) *Pulse { return &Pulse{window: window} }

// stir is the processor time below which a worker has done nothing in a window. It
// is above what a runtime with nothing to do uses, and above the 10 ms in which
// Linux counts.
func (p *Pulse) stir() time.Duration { return max(p.window/500, 15*time.Millisecond) }

// Look is called at least every quarter of the window, with the time of the worker's
// last sign of life, the processor time that it and its children have used, and
// whether it is stopped. known false means that these two could not be found out.
// Looks that are further apart tell that the host did not run, and so nobody may
// be blamed for what did not happen in between.
func (p *Pulse) Look(now, sign int64, cpu time.Duration, stopped, known bool) (hung bool, why string) {
	paused := !p.looked || now-p.last > int64(p.window/2)
	continued := p.stopped && !stopped
	used := cpu - p.cpu
	alive := sign != p.sign || continued || !stopped && (used < 0 || used > p.stir())
	p.looked, p.last, p.sign = true, now, sign
	p.stopped = stopped && known
	if !known {
		p.since = now
		return false, ""
	}
	if stopped || paused || alive {
		p.cpu = cpu
	}
	if paused || alive {
		p.since = now
	}
	silent := time.Duration(now - p.since)
	switch {
	case silent < p.window:
		return false, ""
	case stopped:
		return true, fmt.Sprintf("it is stopped, and has given no sign of life for %v", silent)
	default:
		return true, fmt.Sprintf("it has given no sign of life and used no processor time for %v", silent)
	}
}
