package sched

import "time"

// Vitals are what is seen of a worker at a look: the time of its last sign of life,
// the processor time that it and its children have used, and whether it is stopped.
// Known is false where the latter two could not be found out.
type Vitals struct {
	Sign    int64
	CPU     time.Duration
	Stopped bool
	Known   bool
}

// Pulse tells a hung worker from a slow one; one is kept for each worker.
type Pulse struct{ p pulse }

// Look is called at least every quarter of the window, at the time now. See pulse.
func (p *Pulse) Look(window time.Duration, now int64, v Vitals) (hung bool, why string) {
	p.p.window = window
	return p.p.look(now, v.Sign, v.CPU, v.Stopped, v.Known)
}
