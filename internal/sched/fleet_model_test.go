package sched_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/procpool/procpool/internal/sched"
)

// fleetModel follows a fleet's orders and knows what each worker may be told.
type fleetModel struct {
	*yard
	state    map[int]string // starting, spare, serving, retiring
	limit    map[int]int    // how many calls a worker may be given
	spent    int            // serving workers that were given them since the last orders
	launched int
	startsAt map[int]int64
}

// Rules 6.7 and 6.11: from any history the fleet comes back to Min workers and its
// spares once starts succeed and the load has stopped; on the way it never has more
// processes than it may, and never takes a worker from service without need.
func TestFleetModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.IntRange(1, 5).Draw(t, "Min")
		m := &fleetModel{
			yard: newYard(t, sched.FleetConfig{
				Min: low, Max: low + rapid.IntRange(0, 5).Draw(t, "more"),
				Spares:   rapid.IntRange(0, 3).Draw(t, "Spares"),
				MaxCalls: rapid.SampledFrom([]int{0, 1, 20}).Draw(t, "MaxCalls"),
				MaxAge:   rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "MaxAge"),
				Fraction: rapid.SampledFrom([]func() float64{func() float64 { return 0 }, func() float64 { return 0.999 }}).Draw(t, "chance"),
			}),
			state: map[int]string{}, limit: map[int]int{}, startsAt: map[int]int64{},
		}
		m.carryOut()
		t.Repeat(m.actions())
		m.comeToRest()
	})
}

// actions are what can happen to a fleet.
func (m *fleetModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": func(*rapid.T) { m.carryOut() },
		"time": func(t *rapid.T) {
			m.pass(rapid.SampledFrom([]time.Duration{1, time.Millisecond, 10 * time.Millisecond, time.Second, 10 * time.Second, time.Minute}).Draw(t, "time"))
		},
		"wake": func(*rapid.T) {
			if m.wake() != 0 {
				m.wait()
			}
		},
		"ready": func(t *rapid.T) { m.becomes(m.pick(t, "starting")) },
		"fail": func(t *rapid.T) {
			if n := m.pick(t, "starting"); n != 0 {
				m.fail(n)
				delete(m.state, n)
			}
		},
		"die": func(t *rapid.T) {
			if n := m.pick(t, "spare", "serving", "retiring"); n != 0 {
				m.busy(n)
				m.Gone(n, m.now, rapid.Bool().Draw(t, "early"), errDied)
				delete(m.state, n)
			}
		},
		"work": func(t *rapid.T) {
			if n := m.pick(t, "serving"); n != 0 {
				m.busy(n)
				m.Proved(n)
			}
		},
		"idle": func(t *rapid.T) {
			if n := m.pick(t, "serving"); n != 0 && !slices.Contains(m.idle, n) {
				m.idles(n)
			}
		},
		"calls": func(t *rapid.T) { m.waits(rapid.SampledFrom([]int{0, 1, 3, 1000}).Draw(t, "calls")) },
		"due": func(t *rapid.T) {
			if n := m.pick(t, "starting", "spare", "serving", "retiring"); n != 0 {
				m.DueForMemory(n)
			}
		},
		"used": func(t *rapid.T) {
			n := m.pick(t, "serving")
			if n == 0 || m.limit[n] == 0 {
				return
			}
			given := rapid.IntRange(1, m.limit[n]).Draw(t, "given")
			m.Used(n, given, m.now)
			if given == m.limit[n] {
				m.spent++
			}
		},
		"lost": func(t *rapid.T) {
			if n := m.pick(t, "spare", "serving"); n != 0 {
				m.busy(n)
				m.Lost(n)
				m.state[n] = "retiring"
			}
		},
		"restart": func(*rapid.T) { m.Restart() },
		"resize": func(t *rapid.T) {
			m.cfg.Min = rapid.IntRange(1, 8).Draw(t, "Min")
			m.cfg.Max = m.cfg.Min + rapid.IntRange(0, 8).Draw(t, "more")
			m.Resize(m.cfg.Min, m.cfg.Max)
		},
	}
}

// pick chooses a worker in one of the states, 0 when there is none.
func (m *fleetModel) pick(t *rapid.T, states ...string) int {
	var those []int
	for number, state := range m.state {
		if slices.Contains(states, state) {
			those = append(those, number)
		}
	}
	if len(those) == 0 {
		return 0
	}
	slices.Sort(those)
	return rapid.SampledFrom(those).Draw(t, "worker")
}

func (m *fleetModel) becomes(number int) {
	if number != 0 {
		m.limit[number] = m.Ready(number, m.now)
		m.state[number] = "spare"
	}
}

func (m *fleetModel) count(states ...string) (n int) {
	for _, state := range m.state {
		if slices.Contains(states, state) {
			n++
		}
	}
	return n
}

// carryOut follows the fleet's orders and checks that each may be given and that
// together they leave the fleet as it is to be.
func (m *fleetModel) carryOut() {
	served := m.count("serving")
	orders := m.run()
	for _, o := range orders {
		var (
			verb   string
			number int
		)
		if _, err := fmt.Sscanf(strings.TrimSuffix(o, ":"), "%s %d", &verb, &number); err != nil {
			m.t.Fatalf("%q: %v", o, err)
		}
		state := m.state[number]
		switch {
		case verb == "launch" && number == m.launched+1:
			m.launched = number
			m.state[number] = "starting"
			m.startsAt[number] = m.now
			if n, most := m.count("starting", "spare", "serving"), m.cfg.Max+m.cfg.Spares+1; n > most {
				m.t.Errorf("%q makes %d processes, want at most %d", o, n, most)
			}
		case verb == "serve" && state == "spare":
			m.state[number] = "serving"
		case verb == "retire" && (state == "spare" || state == "serving"):
			m.state[number] = "retiring"
		default:
			m.t.Errorf("%q, and worker %d is %q", o, number, state)
		}
	}
	serving, target := m.count("serving"), m.Target()
	if target < m.cfg.Min || target > m.cfg.Max {
		m.t.Errorf("the target is %d, want it from %d to %d", target, m.cfg.Min, m.cfg.Max)
	}
	if serving > target || serving < min(served-m.spent, target) || serving < target && m.count("spare") > 0 {
		m.t.Errorf("%d workers serve after %q; %d did, %d were spent, and the target is %d: %v", serving, orders, served, m.spent, target, m.state)
	}
	m.spent = 0
	c := m.Counts()
	if want := (sched.FleetCounts{Serving: serving, Spare: m.count("spare"), Starting: m.count("starting"), Retiring: m.count("retiring"), Owed: c.Owed}); c != want {
		m.t.Errorf("%+v, want %+v", c, want)
	}
	if c.Owed > 0 && c.Starting == 0 && m.wake() == 0 {
		m.t.Errorf("%d workers are owed and nobody will start them", c.Owed)
	}
}

// comeToRest lets the load stop and starts succeed, and checks that the fleet comes
// to its least size in a bounded time, by a bounded number of orders.
func (m *fleetModel) comeToRest() {
	const start = 20 * time.Millisecond
	m.waits(0)
	before := len(m.log)
	// One after the other is let go, and one after the other restarted.
	enough := m.now + int64(2*sched.LongestDelay+sched.Settled+2*m.cfg.IdleTimeout+16*m.cfg.IdleTimeout/10)
	for m.now < enough || m.count("starting", "retiring") > 0 {
		next := m.wake()
		for _, number := range slices.Sorted(maps.Keys(m.state)) {
			switch m.state[number] {
			case "starting":
				if at := m.startsAt[number] + int64(start); at > m.now {
					next = min(max(next, at), at)
				} else {
					m.becomes(number)
					next = m.now
				}
			case "retiring":
				m.die(number)
				delete(m.state, number)
				next = m.now
			case "serving":
				if !slices.Contains(m.idle, number) {
					m.idles(number)
					next = m.now
				}
			}
		}
		if next == 0 {
			break
		}
		m.now = max(m.now, next)
		m.carryOut()
		if len(m.log)-before > 500 {
			m.t.Fatalf("no rest after %d orders, the last %q", len(m.log)-before, m.log[len(m.log)-20:])
		}
	}
	want := sched.FleetCounts{Serving: m.cfg.Min, Spare: m.cfg.Spares}
	if c := m.Counts(); c != want {
		m.t.Errorf("at rest %+v, want %+v", c, want)
	}
	if err := m.Refusal(); err != nil {
		m.t.Errorf("at rest calls are refused: %v", err)
	}
}
