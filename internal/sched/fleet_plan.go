package sched

import "time"

// orders returns what is to be done now. It is called after every event and at the
// time of wake, again and again until it returns none, with the load as it is after
// the orders were carried out. When nothing has happened it costs next to nothing.
func (f *fleet) orders(now int64, l load) []order {
	f.lapse(now)
	f.relieve(l)
	grows, shrinks := reached(f.growAt(l), now), reached(f.shrinkAt(l), now)
	if f.ended || !f.stale && !grows && !shrinks && !reached(f.alarm, now) {
		return nil
	}
	f.grow(now, l, grows)
	surplus := retireSurplus
	if shrinks {
		f.shrink(now)
		surplus = retireIdle
	}
	f.review(now)
	f.promote(now)
	f.replace(now)
	unfinished := f.trim(l, surplus)
	f.launch(now, l)
	f.alarm = f.nextAlarm()
	f.stale = unfinished
	plan := f.plan
	f.plan = nil
	return plan
}

// relieve has workers started in the place of those that are stuck. They stay when
// these go on, until they idle: what was nested once will be again.
func (f *fleet) relieve(l load) {
	f.stuck = l.stuck
	if want := min(l.stuck, f.cfg.Extra); want > f.extra {
		f.extra, f.stale = want, true
	}
}

// wake returns when orders has to be called though nothing happens, 0 for never.
func (f *fleet) wake(l load) int64 {
	if f.ended {
		return 0
	}
	return earliest(f.alarm, f.growAt(l), f.shrinkAt(l))
}

// growAt returns when the fleet may grow if the load stays what it is, 0 for never.
// Each call that waits is worth one worker, including those that are under way. No
// more are asked for while starts fail.
func (f *fleet) growAt(l load) int64 {
	if l.idle > 0 || f.target >= f.cfg.Max || f.heldBack > 0 || l.waiting <= f.goal()-f.n[serving] {
		return 0
	}
	return max(l.since, f.grownAt) + int64(f.cfg.GrowAfter)
}

// grow raises the target, at most to twice what it was.
func (f *fleet) grow(now int64, l load, grows bool) {
	if !grows {
		return
	}
	underWay := f.goal() - f.n[serving]
	f.target += min(f.target, f.cfg.Max-f.target, l.waiting-underWay)
	f.grownAt = now
}

// shrinkAt returns when the fleet may shrink by one worker if the load stays what it
// is, 0 for never. Load that comes and goes must not make processes come and go: it
// shrinks for what has idled for IdleTimeout, which is not within IdleTimeout of
// growing, since it grows when none idles; while no call waits; and in small steps.
func (f *fleet) shrinkAt(l load) int64 {
	if f.target <= f.cfg.Min && f.extra <= l.stuck || l.idlest == 0 || l.waiting > 0 {
		return 0
	}
	timeout := int64(f.cfg.IdleTimeout)
	return max(l.idleSince+timeout, f.shrunkAt+timeout/10)
}

// shrink lowers the goal by one.
func (f *fleet) shrink(now int64) {
	if f.extra > f.stuck {
		f.extra--
	} else {
		f.target--
	}
	f.shrunkAt = now
}

// review retires what was given its last call, and finds what is too old and what
// has lived long enough to show that it can.
func (f *fleet) review(now int64) {
	for _, m := range f.members {
		if m.state != spare && m.state != serving {
			continue
		}
		if m.spent {
			f.retire(m, retireCalls)
			continue
		}
		if reached(m.expires, now) {
			f.due(m.number, retireAge)
		}
		if time.Duration(now-m.born) >= settled {
			f.proved(m.number)
		}
	}
}

// promote has spares serve where workers are missing; one that is due only if
// there is no other.
func (f *fleet) promote(now int64) {
	for f.n[serving] < f.goal() && f.n[spare] > 0 {
		m := f.oldest(spare, false)
		if m == nil {
			m = f.oldest(spare, true)
		}
		f.serve(m, now)
	}
}

// replace retires workers that are due, as many as there are spares for it. Until
// then they serve.
func (f *fleet) replace(now int64) {
	for {
		fresh, old := f.oldest(spare, false), f.oldest(serving, true)
		if fresh == nil || old == nil {
			return
		}
		f.serve(fresh, now)
		f.retire(old, stays)
	}
}

// trim retires what is too many: what is due first, then what idles, then the
// newest. The load names one worker that idles; unfinished tells that there are
// others, which have to be named first.
func (f *fleet) trim(l load, surplus retireReason) (unfinished bool) {
	for f.n[spare] > f.cfg.Spares {
		m := f.oldest(spare, true)
		if m == nil {
			m = f.newest(spare)
		}
		f.retire(m, retireSurplus)
	}
	named := false
	for f.n[serving] > f.goal() {
		m := f.oldest(serving, true)
		if m == nil && named && l.idle > 1 {
			return true
		}
		if m == nil && !named {
			named = true
			if m = f.find(l.idlest); m != nil && m.state != serving {
				m = nil
			}
		}
		if m == nil {
			m = f.newest(serving)
		}
		f.retire(m, surplus)
	}
	return false
}

// launch starts what is missing, but for what is held back.
func (f *fleet) launch(now int64, l load) {
	missing := f.goal() + f.cfg.Spares - f.living() - f.heldBack
	if f.oldest(spare, true) != nil || f.oldest(serving, true) != nil {
		missing++
	}
	if f.probing() {
		missing = min(missing, 1)
		if f.retryAt != 0 || f.trying() {
			missing = 0
		}
	}
	if f.cfg.Once {
		missing = min(missing, l.waiting)
	}
	for range missing {
		f.numbers = f.nextNumber()
		f.members = append(f.members, &member{number: f.numbers, launched: now})
		f.n[starting]++
		f.plan = append(f.plan, order{kind: orderLaunch, number: f.numbers})
	}
}

func (f *fleet) nextNumber() int {
	if f.cfg.Number != nil {
		return f.cfg.Number()
	}
	return f.numbers + 1
}

// probing reports whether workers are to be started one at a time: before any was
// ever ready, and when patience has ended.
func (f *fleet) probing() bool { return !f.began || f.restarts.refusal() != nil }

// trying reports whether there is a worker that may prove itself.
func (f *fleet) trying() bool {
	if f.n[starting] > 0 {
		return true
	}
	for _, m := range f.members {
		if m.state != retiring && m.number > f.restarts.newest {
			return true
		}
	}
	return false
}

// nextAlarm returns when time alone changes the plan.
func (f *fleet) nextAlarm() int64 {
	at := f.retryAt
	for _, m := range f.members {
		if m.state != spare && m.state != serving {
			continue
		}
		if m.why == stays {
			at = earliest(at, m.expires)
		}
		if f.restarts.failures > 0 && m.number > f.restarts.newest {
			at = earliest(at, m.born+int64(settled))
		}
	}
	return at
}

func (f *fleet) serve(m *member, now int64) {
	f.move(m, serving)
	m.served = now
	f.plan = append(f.plan, order{kind: orderServe, number: m.number})
}

// retire gives the reason for which the worker was due, if it was.
func (f *fleet) retire(m *member, why retireReason) {
	if m.why != stays {
		why = m.why
	}
	f.move(m, retiring)
	f.plan = append(f.plan, order{kind: orderRetire, number: m.number, why: why})
}

// oldest returns the oldest worker in a state that is due, or that is not.
func (f *fleet) oldest(state memberState, due bool) *member {
	for _, m := range f.members {
		if m.state == state && (m.why != stays) == due {
			return m
		}
	}
	return nil
}

// newest returns the newest worker in a state.
func (f *fleet) newest(state memberState) (last *member) {
	for _, m := range f.members {
		if m.state == state {
			last = m
		}
	}
	return last
}

// earliest returns the earliest of some times; 0 is none.
func earliest(times ...int64) (first int64) {
	for _, at := range times {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}
