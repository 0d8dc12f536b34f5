package sched_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

var errDied = errors.New("died")

// failer is what a yard needs of a testing.T or a rapid.T.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// yard is what a fleet's orders are carried out in. A test says what happens and
// which orders that must lead to.
type yard struct {
	*sched.Fleet
	t       failer
	cfg     sched.FleetConfig
	now     int64
	idle    []int // serving workers that idle, the longest first
	idleAt  map[int]int64
	waiting int
	since   int64
	log     []string // all orders
}

// newYard returns a yard in which chance always gives 0, unless cfg says otherwise.
func newYard(t failer, cfg sched.FleetConfig) *yard {
	t.Helper()
	if cfg.Fraction == nil {
		cfg.Fraction = func() float64 { return 0 }
	}
	if cfg.GrowAfter == 0 {
		cfg.GrowAfter = 5 * time.Millisecond
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 30 * time.Second
	}
	return &yard{Fleet: sched.NewFleet(cfg), t: t, cfg: cfg, now: 1, idleAt: map[int]int64{}}
}

func (y *yard) load() sched.Load {
	l := sched.Load{Waiting: y.waiting, Since: y.since, Idle: len(y.idle)}
	if len(y.idle) > 0 {
		l.Idlest = y.idle[0]
		l.IdleSince = y.idleAt[l.Idlest]
	}
	return l
}

func (y *yard) wake() int64 { return y.Wake(y.load()) }

// wait passes the time until the fleet wants to be woken.
func (y *yard) wait() {
	y.t.Helper()
	at := y.wake()
	if at <= y.now {
		y.t.Fatalf("at %d the fleet wants to be woken at %d", y.now, at)
	}
	y.now = at
}

// run returns the fleet's orders until there are none, and that it has none
// left to give at the same time.
func (y *yard) run() (all []string) {
	y.t.Helper()
	for {
		orders := y.Orders(y.now, y.load())
		if len(orders) == 0 {
			break
		}
		all = append(all, orders...)
		for _, o := range orders {
			var number int
			if _, err := fmt.Sscanf(o, "retire %d", &number); err == nil {
				y.busy(number)
			}
		}
		if len(all) > 10000 {
			y.t.Fatalf("the orders do not end: %q", all[len(all)-10:])
		}
	}
	if at := y.wake(); at != 0 && at <= y.now {
		y.t.Errorf("at %d the fleet wants to be woken at %d", y.now, at)
	}
	y.log = append(y.log, all...)
	return all
}

// want checks that these are the fleet's orders.
func (y *yard) want(orders ...string) {
	y.t.Helper()
	if got := y.run(); !slices.Equal(got, orders) {
		y.t.Errorf("orders %q, want %q", got, orders)
	}
}

// ready has launched workers become ready.
func (y *yard) ready(numbers ...int) {
	for _, number := range numbers {
		y.Ready(number, y.now)
	}
}

// fail has launched workers fail to start.
func (y *yard) fail(numbers ...int) {
	for _, number := range numbers {
		y.Failed(number, y.now, errStart)
	}
}

// die has workers die: during a call, or when they were retired.
func (y *yard) die(numbers ...int) {
	for _, number := range numbers {
		y.busy(number)
		y.Gone(number, y.now, false, errDied)
	}
}

// idles has workers run out of work, and busy has one get some.
func (y *yard) idles(numbers ...int) {
	for _, number := range numbers {
		y.idle = append(y.idle, number)
		y.idleAt[number] = y.now
	}
}

func (y *yard) busy(number int) {
	y.idle = slices.DeleteFunc(y.idle, func(n int) bool { return n == number })
}

// waits has n calls wait from now on; 0 for none.
func (y *yard) waits(n int) { y.waiting, y.since = n, y.now }

func (y *yard) pass(d time.Duration) { y.now += int64(d) }

// counts checks how many workers serve, are spare, start and retire.
func (y *yard) counts(serving, spare, starting, retiring int) {
	y.t.Helper()
	c := y.Counts()
	c.Owed = 0
	if want := (sched.FleetCounts{Serving: serving, Spare: spare, Starting: starting, Retiring: retiring}); c != want {
		y.t.Errorf("%+v, want %+v", c, want)
	}
}

// full returns a yard whose fleet is at Min and has its spares, all ready at time 1
// and none idle, by the numbers 1 to Min+Spares.
func full(t failer, cfg sched.FleetConfig) *yard {
	t.Helper()
	y := newYard(t, cfg)
	y.run()
	y.ready(1)
	y.run()
	for number := 2; number <= cfg.Min+cfg.Spares; number++ {
		y.ready(number)
	}
	y.run()
	y.counts(cfg.Min, cfg.Spares, 0, 0)
	return y
}

// atoi is strconv.Atoi for the numbers in orders.
func atoi(t failer, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return n
}
