package sched //nolint:testpackage // opens to the tests what little must be opened, as export_test.go does

import "time"

// Pulse is pulse.
type Pulse struct{ p pulse }

// NewPulse returns a Pulse.
func NewPulse(window time.Duration) *Pulse { return &Pulse{pulse{window: window}} }

func (p *Pulse) Look(now, sign int64, cpu time.Duration, stopped, known bool) (bool, string) {
	return p.p.look(now, sign, cpu, stopped, known)
}
