package sched_test

import (
	"testing"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.7: one worker is tried first, so that a program that does not start costs
// one process; then come the others, and the spares.
func TestFleetStartsWithOne(t *testing.T) {
	t.Parallel()
	y := newYard(t, sched.FleetConfig{Min: 3, Max: 5, Spares: 1})
	y.want("launch 1")
	y.fail(1)
	y.want()
	y.pass(sched.FirstDelay)
	y.want("launch 2")
	y.pass(time.Millisecond)
	y.ready(2)
	y.want("serve 2", "launch 3", "launch 4", "launch 5")
	y.ready(5)
	y.want("serve 5")
	y.ready(3, 4)
	y.want("serve 3")
	y.counts(3, 1, 0, 0)
	y.pass(sched.Settled)
	y.want()
	if at := y.wake(); at != 0 {
		t.Errorf("a fleet with nothing to do wants to be woken at %d", at)
	}
}

// Rule 6.11: the fleet grows while calls wait, at most to twice its size at a time,
// and not for calls that workers under way are for.
func TestFleetGrows(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 8})
	y.waits(3)
	y.want()
	if at, want := y.wake(), y.now+int64(5*time.Millisecond); at != want {
		t.Errorf("wakes at %d, want %d", at, want)
	}
	y.pass(5 * time.Millisecond)
	y.want("launch 2")
	y.pass(4 * time.Millisecond)
	y.want()
	y.pass(time.Millisecond)
	y.want("launch 3", "launch 4") // one under way is for the third
	y.pass(time.Minute)
	y.want() // each call that waits has a worker under way
	y.waiting = 100
	y.want("launch 5", "launch 6", "launch 7", "launch 8")
	y.pass(time.Minute)
	y.want() // Max
	y.ready(2, 3, 4, 5, 6, 7, 8)
	y.want("serve 2", "serve 3", "serve 4", "serve 5", "serve 6", "serve 7", "serve 8")
}

// Rule 6.11: calls that wait for something else than a worker start none.
func TestFleetDoesNotGrow(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 8})
	y.waits(1)
	y.idles(1)
	y.pass(time.Minute)
	y.want()
	y.busy(1)
	y.waits(0)
	y.pass(time.Minute)
	y.want()
}

// Rule 6.7: no more workers are asked for while starts fail.
func TestFleetDoesNotGrowIntoFailure(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 64})
	y.waits(1000)
	y.pass(5 * time.Millisecond)
	y.want("launch 2")
	y.fail(2)
	y.pass(50 * time.Millisecond)
	y.want()
	y.pass(50 * time.Millisecond)
	y.want("launch 3", "launch 4", "launch 5") // the one that failed, and twice the target
}

// Rule 6.11: a spare serves at once when calls wait, and another takes its place.
func TestFleetGrowsBySpares(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 4, Spares: 1})
	y.waits(9)
	y.pass(5 * time.Millisecond)
	y.want("serve 3", "launch 4", "launch 5")
	y.ready(4, 5)
	y.want("serve 4")
	y.counts(4, 1, 0, 0)
}

// Rule 6.11: what idles beyond Min is let go, the longest idle first, one after the
// other, down to Min.
func TestFleetShrinks(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 8})
	y.waits(8)
	y.pass(5 * time.Millisecond)
	y.want("launch 3", "launch 4")
	y.ready(3, 4)
	y.run()
	y.waits(0)
	y.idles(3, 1)
	y.pass(time.Millisecond)
	y.idles(4, 2)
	y.pass(30*time.Second - 2*time.Millisecond)
	y.want()
	if at, want := y.wake(), y.now+int64(time.Millisecond); at != want {
		t.Errorf("wakes at %d, want %d", at, want)
	}
	y.pass(time.Millisecond)
	y.want("retire 3: idle")
	y.pass(3*time.Second - 1)
	y.want()
	y.pass(1)
	y.want("retire 1: idle")
	y.die(3, 1)
	y.pass(time.Hour)
	y.want()
	y.counts(2, 0, 0, 0)
}

// Rule 6.11: load that comes and goes faster than IdleTimeout starts and ends no
// process once the fleet has grown to it.
func TestFleetDoesNotFlap(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 4, IdleTimeout: 10 * time.Second})
	settledAt := 0
	for round := range 100 {
		y.idle = nil
		y.waits(10)
		for range 10 {
			y.pass(5 * time.Millisecond)
			y.run()
			for n := 1; n <= 4; n++ {
				y.ready(n) // those that start
			}
			y.run()
		}
		y.waits(0)
		y.idles(1, 2, 3, 4)
		for range 9 {
			y.pass(time.Second)
			y.run()
		}
		if round == 0 {
			y.counts(4, 0, 0, 0)
			settledAt = len(y.log)
		}
	}
	if more := y.log[settledAt:]; len(more) > 0 {
		t.Errorf("under load that comes and goes: %q", more)
	}
}

// Rule 6.11: a spare serves in the place of a worker that dies, at once, and another
// is started behind it; so is a spare that dies.
func TestFleetSpares(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 2, Spares: 2})
	y.die(1)
	y.want("serve 3", "launch 5")
	y.die(4)
	y.want("launch 6")
	y.die(2, 3)
	y.want("launch 7", "launch 8")
	y.ready(8)
	y.want("serve 8")
	y.ready(7, 6, 5)
	y.want("serve 5")
	y.counts(2, 2, 0, 0)
}

// Rule 6.11: a resize waits for nobody.
func TestFleetResize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		low, high int
		idle      []int
		waiting   int
		want      []string
	}{
		"to more":                       {low: 6, high: 6, want: []string{"serve 5", "launch 6", "launch 7"}},
		"to no more than is needed":     {low: 4, high: 8},
		"to fewer, the newest first":    {low: 2, high: 2, want: []string{"retire 4: surplus", "retire 3: surplus"}},
		"to fewer, those that idle":     {low: 2, high: 2, idle: []int{2, 1}, want: []string{"retire 2: surplus", "retire 1: surplus"}},
		"to fewer than idle":            {low: 3, high: 3, idle: []int{2, 1}, want: []string{"retire 2: surplus"}},
		"to fewer, one idle, one not":   {low: 2, high: 2, idle: []int{1}, want: []string{"retire 1: surplus", "retire 4: surplus"}},
		"to fewer at the least":         {low: 1, high: 4},
		"to fewer at the most and back": {low: 1, high: 3, waiting: 9, want: []string{"retire 4: surplus"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := full(t, sched.FleetConfig{Min: 4, Max: 4, Spares: 1})
			y.idles(test.idle...)
			y.waits(test.waiting)
			y.Resize(test.low, test.high)
			y.want(test.want...)
		})
	}
}

// Rule 6.11: workers that start and are not needed any more when they are ready
// become spares, or are let go; what was ordered twice is not had twice.
func TestFleetResizeDuringStart(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 1, Spares: 1})
	y.Resize(4, 4)
	y.want("serve 2", "launch 3", "launch 4", "launch 5")
	y.Resize(2, 2)
	y.want()
	y.Resize(3, 3)
	y.want()
	y.Resize(2, 2)
	y.ready(4)
	y.want()
	y.counts(2, 1, 2, 0)
	y.ready(3, 5)
	y.want("retire 5: surplus", "retire 4: surplus")
	y.counts(2, 1, 0, 2)
}

// Rule 6.6: after its end a fleet asks for nothing.
func TestFleetEnd(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 4, Spares: 1, MaxAge: time.Hour})
	y.waits(10)
	y.die(1)
	y.fail(99)
	y.End()
	y.want()
	if at := y.wake(); at != 0 {
		t.Errorf("wants to be woken at %d", at)
	}
	y.die(2, 3)
	y.pass(10 * time.Hour)
	y.want()
	y.counts(0, 0, 0, 0)
}

// A report about a worker that is not there, or twice, changes nothing.
func TestFleetIgnoresStrangers(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 1, MaxCalls: 10})
	for _, number := range []int{0, 7} {
		y.ready(number)
		y.fail(number)
		y.die(number)
		y.Proved(number)
		y.Used(number, 10, y.now)
		y.DueForMemory(number)
		y.Lost(number)
	}
	y.ready(1)
	y.want()
	y.counts(1, 0, 0, 0)
}

// When nothing has happened, orders costs no more than a look.
func BenchmarkFleetOrders(b *testing.B) {
	const workers = 64
	f := sched.NewFleet(sched.FleetConfig{Min: workers, Max: workers, MaxAge: time.Hour, GrowAfter: time.Millisecond, IdleTimeout: time.Minute})
	f.Orders(1, sched.Load{})
	for number := 1; number <= workers; number++ {
		f.Ready(number, 1)
		f.Orders(1, sched.Load{})
	}
	if c := f.Counts(); c.Serving != workers {
		b.Fatalf("%+v", c)
	}
	for b.Loop() {
		f.Proved(workers)
		f.Orders(2, sched.Load{Waiting: 3, Since: 1})
		f.Wake(sched.Load{Waiting: 3, Since: 1})
	}
}
