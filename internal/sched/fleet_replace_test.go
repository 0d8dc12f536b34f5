package sched_test

import (
	"testing"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.11: a worker that is due goes on serving until its replacement is ready,
// one process at a time; due twice, it is replaced once.
func TestFleetReplacesWarm(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 3, Max: 3})
	y.DueForMemory(2)
	y.DueForMemory(3)
	y.DueForMemory(2)
	y.want("launch 4")
	y.ready(4)
	y.want("serve 4", "retire 2: memory", "launch 5")
	y.counts(3, 0, 1, 1)
	y.DueForMemory(2)
	y.die(2)
	y.ready(5)
	y.want("serve 5", "retire 3: memory")
	y.die(3)
	y.want()
	y.counts(3, 0, 0, 0)
}

// Rule 6.11: where there are spares a worker that is due is replaced at once.
func TestFleetReplacesBySpares(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 3, Max: 3, Spares: 2})
	for number := 1; number <= 3; number++ {
		y.DueForMemory(number)
	}
	y.want("serve 4", "retire 1: memory", "serve 5", "retire 2: memory", "launch 6", "launch 7", "launch 8")
	y.ready(7)
	y.want("serve 7", "retire 3: memory")
	y.die(1, 2, 3)
	y.ready(6, 8)
	y.want()
	y.counts(3, 2, 0, 0)
}

// Rule 6.11: where the one that is due dies before its replacement is ready, that
// takes its place and no other is started.
func TestFleetDueDies(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 1})
	y.DueForMemory(1)
	y.want("launch 2")
	y.die(1)
	y.want()
	y.ready(2)
	y.want("serve 2")
	y.counts(1, 0, 0, 0)
}

// Rule 6.7: where no replacement starts, what is due goes on serving.
func TestFleetKeepsWhatItCannotReplace(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 2})
	y.pass(sched.Settled)
	y.Restart()
	y.want("launch 3")
	for number := 3; number < 20; number++ {
		y.fail(number)
		y.want()
		y.counts(2, 0, 0, 0)
		if err := y.Refusal(); err != nil {
			t.Fatalf("calls are refused beside live workers: %v", err)
		}
		y.pass(sched.LongestDelay)
		y.run()
		y.counts(2, 0, 1, 0)
	}
	y.ready(20)
	y.want("serve 20", "retire 1: restart") // and no other before it has proved itself
	y.Proved(20)
	y.want("launch 21")
}

// Rule 6.11: workers age, spares too, each up to a tenth less by chance.
func TestFleetAge(t *testing.T) {
	t.Parallel()
	fractions := []float64{0, 0.5, 0}
	y := full(t, sched.FleetConfig{Min: 2, Max: 2, Spares: 1, MaxAge: time.Hour, Fraction: func() float64 {
		f := fractions[0]
		fractions = append(fractions[1:], 0)
		return f
	}})
	if at, want := y.wake(), 1+int64(57*time.Minute); at != want {
		t.Fatalf("wakes at %d, want %d", at, want)
	}
	y.wait()
	y.want("serve 3", "retire 2: age", "launch 4")
	y.ready(4)
	y.die(2)
	y.want()
	y.pass(3*time.Minute - 1)
	y.want()
	y.pass(1)
	y.want("serve 4", "retire 1: age", "launch 5", "launch 6") // 3 is as old, and due
	y.die(1)
	y.ready(5)
	y.want("serve 5", "retire 3: age")
	y.ready(6)
	y.want()
	y.counts(2, 1, 0, 1)
}

// Rule 6.11: a restart replaces every worker there is, spares and those that start
// included, one after the other.
func TestFleetRestartRolls(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 3, Max: 3, Spares: 1})
	y.die(2)
	y.want("serve 4", "launch 5")
	ticket := y.Restart()
	y.want("launch 6")
	y.ready(5)
	y.want() // it is one of the old
	y.ready(6)
	y.want("serve 6", "retire 1: restart", "launch 7")
	y.ready(7)
	y.want("serve 7", "retire 3: restart", "launch 8")
	y.ready(8)
	y.want("serve 8", "retire 4: restart", "launch 9")
	y.ready(9)
	y.want("retire 5: restart")
	y.die(1, 3, 4)
	y.want()
	if y.Restarted(ticket) {
		t.Error("restarted although one of the old has not left")
	}
	y.die(5)
	y.want()
	if !y.Restarted(ticket) {
		t.Error("not restarted although none of the old is left")
	}
	y.counts(3, 1, 0, 0)
}

// Rule 6.11: each worker's number of calls is up to a tenth lower by chance.
func TestFleetCallLimitVaries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		calls, want int
		fraction    float64
	}{{0, 0, 0.5}, {1, 1, 0.999}, {9, 9, 0.999}, {10, 10, 0}, {25, 23, 0.999}, {1000, 950, 0.5}, {1000, 901, 0.999}} {
		f := sched.NewFleet(sched.FleetConfig{Min: 1, Max: 1, MaxCalls: test.calls, Fraction: func() float64 { return test.fraction }})
		f.Orders(1, sched.Load{})
		if got := f.Ready(1, 1); got != test.want {
			t.Errorf("MaxCalls %d, chance %v: limit %d, want %d", test.calls, test.fraction, got, test.want)
		}
	}
}

// limited returns a fleet of one worker that may be given 100 calls, and whose start
// took 50 ms.
func limited(t *testing.T, spares int) *yard {
	t.Helper()
	y := newYard(t, sched.FleetConfig{Min: 1, Max: 1, Spares: spares, MaxCalls: 100})
	y.want("launch 1")
	y.pass(50 * time.Millisecond)
	y.ready(1)
	y.run()
	return y
}

// Rule 6.11: the replacement of a worker that is given its last calls starts about
// as early as a start takes.
func TestFleetCallLimitStartsEarly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		each  time.Duration // between calls
		first int           // given when the next start is worth while
	}{
		"fast":    {10 * time.Microsecond, 51}, // the whole life is shorter than a start
		"as fast": {time.Millisecond, 51},
		"slow":    {10 * time.Millisecond, 96},
		"slower":  {time.Second, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := limited(t, 0)
			for given := 1; given < test.first; given++ {
				y.pass(test.each)
				y.Used(1, given, y.now)
				y.want()
			}
			y.pass(test.each)
			y.Used(1, test.first, y.now)
			if test.first == 100 {
				y.want("retire 1: calls", "launch 2")
				return
			}
			y.want("launch 2")
			y.ready(2)
			y.want("serve 2", "retire 1: calls")
		})
	}
}

// Rule 6.11: MaxCalls is a bound: a worker that has been given them is retired, its
// replacement ready or not.
func TestFleetCallLimitIsHard(t *testing.T) {
	t.Parallel()
	y := limited(t, 0)
	y.Used(1, 100, y.now)
	y.want("retire 1: calls", "launch 2")
	y.Used(1, 101, y.now)
	y.die(1)
	y.want()
	y.ready(2)
	y.want("serve 2")
}

// Rule 6.11: a spare is a replacement, so none is started early and no call of the
// limit is lost.
func TestFleetCallLimitBySpares(t *testing.T) {
	t.Parallel()
	y := limited(t, 1)
	y.ready(2)
	y.run()
	for given := 1; given < 100; given++ {
		y.pass(time.Millisecond)
		y.Used(1, given, y.now)
		y.want()
	}
	y.Used(1, 100, y.now)
	y.want("retire 1: calls", "serve 2", "launch 3")
}

// Rule 6.4: a worker that the scheduler has retired by itself is replaced at once,
// and its death is no failed start.
func TestFleetLost(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 1})
	y.Lost(1)
	y.want("launch 2")
	y.Gone(1, y.now, true, errDied)
	y.want()
	y.ready(2)
	y.want("serve 2")
	y.counts(1, 0, 0, 0)
}
