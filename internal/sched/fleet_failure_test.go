package sched_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// Rule 6.7: a worker that dies during a call is replaced at once, however often; so
// is one that had lived for a while. One that dies before is not.
func TestFleetDeaths(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 1, Max: 1})
	for number := 1; number < 100; number++ {
		y.die(number)
		y.run()
		y.counts(0, 0, 1, 0)
		y.ready(number + 1)
		y.run()
	}
	y.Gone(100, y.now, true, errDied)
	y.want()
	if c := y.Counts(); c.Owed != 1 {
		t.Errorf("%+v", c)
	}
	y.wait()
	y.want("launch 101")
	if y.now != 1+int64(sched.FirstDelay) {
		t.Errorf("replaced at %d", y.now)
	}
}

// Rule 6.7: while some starts fail, a worker that dies during a call is still
// replaced at once.
func TestFleetCrashBesideFailure(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 4, Max: 4})
	y.Gone(1, y.now, true, errDied)
	y.want()
	y.die(2)
	y.want("launch 5")
	y.pass(sched.FirstDelay)
	y.want("launch 6")
}

// Rule 6.7: after five rounds calls are refused, and one worker at a time is tried.
// The first that proves itself, by a call or by living, brings back the others.
func TestFleetBreaker(t *testing.T) {
	t.Parallel()
	for name, prove := range map[string]func(y *yard, number int){
		"by a call": func(y *yard, number int) { y.Proved(number) },
		"by a call that kills it": func(y *yard, number int) {
			y.die(number)
		},
		"by living": func(y *yard, _ int) {
			if at, want := y.wake(), y.now+int64(sched.Settled); at != want {
				y.t.Errorf("wakes at %d, want %d", at, want)
			}
			y.wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := full(t, sched.FleetConfig{Min: 4, Max: 4})
			for number := 1; number <= 4; number++ {
				y.Gone(number, y.now, true, errDied)
			}
			next := 5
			for round := range sched.Patience - 1 {
				y.want()
				if err := y.Refusal(); err != nil {
					t.Fatalf("refuses in round %d: %v", round, err)
				}
				y.wait()
				y.run()
				y.counts(0, 0, 4, 0)
				for range 4 {
					y.fail(next)
					next++
				}
			}
			for range 10 {
				if err := y.Refusal(); !errors.Is(err, errStart) {
					t.Fatalf("refusal %v", err)
				}
				y.want()
				y.wait()
				y.run()
				y.counts(0, 0, 1, 0)
				y.fail(next)
				next++
			}
			y.want()
			y.wait()
			y.run()
			y.ready(next)
			y.run()
			y.counts(1, 0, 0, 0)
			if err := y.Refusal(); err != nil {
				t.Errorf("refuses beside a worker that is ready: %v", err)
			}
			prove(y, next)
			if n := y.run(); len(n) < 3 {
				t.Errorf("only %q once a worker has proved itself", n)
			}
			if c := y.Counts(); c.Serving+c.Starting != 4 || c.Owed != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// Rule 6.7: that old workers work says nothing about starts that fail now.
func TestFleetOldWorkersProveNothing(t *testing.T) {
	t.Parallel()
	y := full(t, sched.FleetConfig{Min: 2, Max: 2})
	y.die(2)
	y.want("launch 3")
	y.fail(3)
	var launches int
	for end := y.now + int64(time.Hour); y.now < end && !t.Failed(); y.pass(100 * time.Millisecond) {
		y.Proved(1)
		for _, o := range y.run() {
			if number, ok := strings.CutPrefix(o, "launch "); ok {
				y.fail(atoi(t, number))
				launches++
			}
		}
	}
	if most := int(time.Hour/sched.LongestDelay) + 10; launches > most {
		t.Errorf("%d launches in an hour, want at most %d", launches, most)
	}
}

// Rule 6.7: whatever fails makes a bounded number of processes.
func TestFleetNothingStarts(t *testing.T) {
	t.Parallel()
	const workers, spares, hours = 8, 2, 12
	for name, test := range map[string]struct {
		began bool // once all started
		hello bool // they become ready and die before a call
	}{
		"never":                      {},
		"never, after hello":         {hello: true},
		"no longer":                  {began: true},
		"no longer, but after hello": {began: true, hello: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sched.FleetConfig{Min: workers, Max: workers, Spares: spares, Fraction: func() float64 { return 0.999 }}
			y := newYard(t, cfg)
			y.waits(1000)
			if test.began {
				y = full(t, cfg)
				y.waits(1000)
				for number := 1; number <= workers+spares; number++ {
					y.Gone(number, y.now, true, errDied)
				}
			}
			launches := 0
			for y.now < int64(hours*time.Hour) && !t.Failed() {
				todo := y.run()
				if len(todo) == 0 {
					y.wait()
				}
				for len(todo) > 0 {
					text, ok := strings.CutPrefix(todo[0], "launch ")
					todo = todo[1:]
					if !ok {
						continue
					}
					launches++
					number := atoi(t, text)
					y.pass(time.Microsecond)
					if test.hello {
						y.ready(number)
						todo = append(todo, y.run()...)
						y.Gone(number, y.now, true, errDied)
					} else {
						y.fail(number)
					}
				}
			}
			if y.Refusal() == nil {
				t.Error("calls wait for ever")
			}
			if most := sched.Patience*(workers+spares) + int(2*hours*time.Hour/sched.LongestDelay); launches > most || launches < most/4 {
				t.Errorf("%d launches in %d hours, want at most %d and not many fewer", launches, hours, most)
			}
		})
	}
}
