package sched //nolint:testpackage // opens to the tests what little must be opened, as export_test.go does

import "fmt"

// FleetConfig is fleetConfig.
type FleetConfig = fleetConfig

// Load is load.
type Load struct {
	Waiting   int
	Since     int64
	Idle      int
	Idlest    int
	IdleSince int64
}

// FleetCounts is fleetCounts.
type FleetCounts struct{ Serving, Spare, Starting, Retiring, Owed int }

// Fleet is fleet. Its orders are sentences.
type Fleet struct{ f *fleet }

// NewFleet returns a Fleet.
func NewFleet(cfg FleetConfig) *Fleet { return &Fleet{newFleet(cfg)} }

func (f *Fleet) Ready(number int, now int64) int              { return f.f.ready(number, now) }
func (f *Fleet) Failed(number int, now int64, err error)      { f.f.failed(number, now, err) }
func (f *Fleet) Gone(n int, now int64, early bool, err error) { f.f.gone(n, now, early, err) }
func (f *Fleet) Proved(number int)                            { f.f.proved(number) }
func (f *Fleet) Used(number, given int, now int64)            { f.f.used(number, given, now) }
func (f *Fleet) DueForMemory(number int)                      { f.f.due(number, retireMemory) }
func (f *Fleet) Lost(number int)                              { f.f.lost(number) }
func (f *Fleet) Resize(low, high int)                         { f.f.resize(low, high) }
func (f *Fleet) Restart() int                                 { return f.f.restart() }
func (f *Fleet) Restarted(ticket int) bool                    { return f.f.restarted(ticket) }
func (f *Fleet) End()                                         { f.f.end() }
func (f *Fleet) Wake(l Load) int64                            { return f.f.wake(l.inner()) }
func (f *Fleet) Refusal() error                               { return f.f.refusal() }

// Target returns how many workers are to serve.
func (f *Fleet) Target() int { return f.f.target }

func (l Load) inner() load {
	return load{waiting: l.Waiting, since: l.Since, idle: l.Idle, idlest: l.Idlest, idleSince: l.IdleSince}
}

// Counts is counts, after a recount.
func (f *Fleet) Counts() FleetCounts {
	var n [memberStates]int
	for _, m := range f.f.members {
		n[m.state]++
	}
	if n != f.f.n {
		panic(fmt.Sprintf("the fleet counts %v, it has %v", f.f.n, n))
	}
	c := f.f.counts()
	return FleetCounts{c.serving, c.spare, c.starting, c.retiring, c.owed}
}

// Orders is orders, as "launch 1", "serve 1", "retire 1: age".
func (f *Fleet) Orders(now int64, l Load) (all []string) {
	for _, o := range f.f.orders(now, l.inner()) {
		switch o.kind {
		case orderLaunch:
			all = append(all, fmt.Sprint("launch ", o.number))
		case orderServe:
			all = append(all, fmt.Sprint("serve ", o.number))
		case orderRetire:
			all = append(all, fmt.Sprintf("retire %d: %v", o.number, o.why))
		}
	}
	return all
}
