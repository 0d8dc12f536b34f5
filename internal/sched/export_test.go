package sched

import (
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
)

// What tests name instead of copying.
const (
	Patient        = patient
	OverrunTick    = overrunTick
	SuspectAfter   = suspectAfter
	Patience       = patience
	LongestDelay   = longestDelay
	FirstDelay     = firstDelay
	Settled        = settled
	InlineBytes    = inlineBytes
	LookAheadBytes = lookAheadBytes
	MaxKeys        = maxKeys
)

// Restarts is restarts with a fixed chance.
type Restarts struct{ r restarts }

// NewRestarts returns restarts whose chance always gives fraction.
func NewRestarts(fraction float64) *Restarts {
	return &Restarts{restarts{fraction: func() float64 { return fraction }, patience: patience}}
}

func (r *Restarts) Failed(number, newest int, err error) time.Duration {
	return r.r.failed(number, newest, err)
}
func (r *Restarts) Proved()        { r.r.proved() }
func (r *Restarts) Refusal() error { return r.r.refusal() }

// Predict returns the prediction after each of the run times.
func Predict(runs ...time.Duration) []time.Duration {
	var (
		f   function
		out []time.Duration
	)
	for _, run := range runs {
		f.observe(run)
		out = append(out, f.predicted())
	}
	return out
}

// Watches returns how many contexts are watched, and whether that is only the
// one that was used last.
func (s *Scheduler) Watches() (n int, onlyLast bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = len(s.watches.byDone)
	return n, n == 0 || n == 1 && s.watches.last != nil && s.watches.byDone[s.watches.last.done] == s.watches.last && s.watches.last.head == nil
}

// Teach sets the prediction for a task.
func (s *Scheduler) Teach(task string, run time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functionLocked(task).slow = run
}

// Functions returns how many tasks are remembered.
func (s *Scheduler) Functions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.functions)
}

// Failures returns how many rounds of starts have failed.
func (s *Scheduler) Failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fleet.restarts.failures
}

// Keys returns how many keys are remembered.
func (s *Scheduler) Keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// LanesOf returns how many lanes of a worker are in use, and how many it has.
func (s *Scheduler) LanesOf(number int) (used, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[number]
	return len(w.lanes), len(w.made)
}

// SteerAt returns when the fleet is going to be asked, 0 for not at all.
func (s *Scheduler) SteerAt() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.steerAt)
}

// Grow has n more workers, and launches them at once.
func (s *Scheduler) Grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began, s.fleet.began = true, true
	s.fleet.resize(s.fleet.cfg.Min+n, s.fleet.cfg.Max+n)
	s.steerLocked()
	s.dispatchLocked()
}

// Check recounts everything that the scheduler keeps count of and returns an
// error for each count that is wrong.
func (s *Scheduler) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	want := func(what string, got, want any) {
		if got != want {
			errs = append(errs, fmt.Errorf("%s is %v, want %v", what, got, want))
		}
	}
	n, bytes := s.checkLines("the queue", &s.queue.lines, nil, want)
	ahead, lanes := 0, 0
	for number, w := range s.workers {
		if !w.spare && !w.retiring {
			lanes += w.slots
		}
		held, keys, idles, empty := 0, 0, 0, 0
		w.check(s.cfg.Extra, want)
		for _, l := range w.lanes {
			errs = append(errs, l.check()...)
			own, ownBytes := s.checkLines(fmt.Sprintf("worker %d's own queue", number), &l.own, l, want)
			n, bytes = n+own, bytes+ownBytes
			held += l.held
			if l.isAhead {
				ahead++
			}
			idle := 0
			for _, i := range s.idle {
				if i == l {
					idle++
				}
			}
			want(fmt.Sprintf("worker %d in the idle list", number), idle == 1, l.isIdle)
			c := s.queue.first()
			if o := l.own.first(); compare(o, c) < 0 {
				c = o
			}
			if l.isIdle && c != nil {
				if f, _ := c.Slot.Group.(*function); l.room(c, f) > 0 && !s.shunsLocked(w, c) {
					errs = append(errs, fmt.Errorf("worker %d: lane %d idles while calls wait, the first of them at depth %d (suspect %v, key %q, finished %v)", number, l.index, c.Slot.Depth, suspect(c), c.Key(), c.Finished()))
				}
			}
			if l.isIdle {
				idles++
			}
			if l.held == 0 && !l.fenced {
				empty++
			}
		}
		free := 0
		if w.takes() {
			free = max(w.slots-w.active(), 0)
		}
		if idles != min(free, empty) && !s.ended {
			errs = append(errs, fmt.Errorf("worker %d has %d slots and %d lanes free, and %d lanes idle", number, free, empty, idles))
		}
		want("worker.held", w.held, held)
		for b := w.keys.root.next; b != nil && b != &w.keys.root; b = b.next {
			keys++
			want("a key's binding", s.keys[b.key], b)
			want("the worker of a key's lane", b.lane.worker, w)
			want(fmt.Sprintf("worker %d: the uses of key %q", number, b.key), b.uses, b.lane.usesOf(b.key))
		}
		want("worker.keys", w.keys.n, keys)
		if w.retiring && !w.leaving && w.held == 0 && !w.fenced() && !w.dead && !s.ended {
			errs = append(errs, fmt.Errorf("worker %d was not asked to leave", number))
		}
	}
	for _, l := range s.idle {
		want("an idle lane's worker", s.workers[l.worker.number], l.worker)
	}
	want("queue.n", s.queue.waiting(), n)
	want("queue.bytes", s.queue.bytes, bytes)
	want("lanes", s.lanes, lanes)
	if len(s.queue.turns) > 0 && s.roomLocked(s.queue.turns[0].cost) {
		errs = append(errs, errors.New("a submitter waits although there is room"))
	}
	if s.queue.granted == 0 {
		want("the bytes granted to nobody", s.queue.grantedBytes, int64(0))
	}
	waits := 0
	for _, d := range s.delays.all {
		if d.call.Slot.Mark == markDelayed {
			waits++
		}
	}
	want("delays.n", s.delays.n, waits)
	want("ahead", s.ahead, ahead)
	if ahead > 0 && s.overrun == nil && !s.ended {
		errs = append(errs, errors.New("nobody looks for overruns"))
	}
	if counts := s.fleet.counts(); s.began && !s.ended && s.over == nil && counts.owed > 0 && counts.starting == 0 && s.steerAt == 0 && (!s.cfg.Once || s.queue.count > 0) {
		errs = append(errs, fmt.Errorf("%d workers are owed and nobody will launch them", counts.owed))
	}
	for done, w := range s.watches.byDone {
		want("a watch's place", done, w.done)
		links := 0
		for c := w.head; c != nil; c = c.Slot.WatchNext {
			links++
			want("a watched call's watch", c.Slot.Watch, any(w))
		}
		if links == 0 && w != s.watches.last {
			errs = append(errs, errors.New("a context is watched for no call"))
		}
	}
	return errors.Join(errs...)
}

// checkLines recounts the calls that wait in some lines, for a lane or for anybody.
func (s *Scheduler) checkLines(name string, q *lines, owner *lane, want func(what string, got, want any)) (n int, bytes int64) {
	for _, l := range q.all {
		var prev *procpool.Call
		for c := l.head; c != nil; c = c.Slot.Next {
			n++
			if !nested(c) {
				bytes += c.Slot.Cost
			}
			want(name+": a call's predecessor", c.Slot.Prev, prev)
			want(name+": a call's rank", rank(c), l.rank)
			want(name+": a call's mark", c.Slot.Mark == markQueued || c.Slot.Mark == markBack, true)
			if owner != nil {
				want(name+": a call's owner", c.Slot.Owner, any(owner))
			}
			prev = c
		}
		want(name+": the tail", l.tail, prev)
	}
	want(name+": count", q.count, n)
	return n, bytes
}

// usesOf recounts what a key's binding counts.
func (l *lane) usesOf(key string) (n int) {
	for _, line := range l.own.all {
		for c := line.head; c != nil; c = c.Slot.Next {
			if c.Key() == key {
				n++
			}
		}
	}
	for seq := l.base; seq < l.next; seq++ {
		if c := l.at(seq); c != nil && keyOf(c) == key {
			n++
		}
	}
	return n
}

// check recounts what a worker's lanes add up to.
func (w *worker) check(extra int, want func(what string, got, want any)) {
	busy, waiting, suspects, alone := 0, 0, false, false
	for _, l := range w.made {
		if l.held > 0 {
			busy++
		}
		if l.waits() {
			waiting++
		}
		if c := l.at(l.base); c != nil && suspect(c) {
			suspects, alone = true, alone || !l.waits()
		}
		if ln := l.loan; ln != nil {
			want("the lane of a loan", ln.lane, l)
			want("a loan of a call that runs", l.at(ln.seq) != nil, true)
		}
		if l.index >= len(w.lanes) {
			want(fmt.Sprintf("worker %d: lane %d out of use", w.number, l.index), l.unused(), true)
		}
	}
	name := fmt.Sprintf("worker %d: ", w.number)
	want(name+"busy", w.busy, busy)
	want(name+"waiting", w.waiting, waiting)
	want(name+"suspect", w.suspect, suspects)
	want(name+"alone", w.alone, alone)
	if w.stuck() && extra == 0 {
		want(name+"lanes that wait", w.waiting, "fewer than it has")
	}
}

func (l *lane) check() (errs []error) {
	w, number := l.worker, l.worker.number
	held, bytes, load := 0, int64(0), time.Duration(0)
	for seq := l.base; seq < l.next; seq++ {
		c := l.at(seq)
		if c == nil {
			continue
		}
		held++
		load += time.Duration(c.Slot.Estimate)
		if seq == endOf(c) {
			bytes += c.Slot.Cost
		}
		if c.Slot.Owner != any(l) || c.Slot.Mark != markSent && c.Slot.Mark != markRevoked && c.Slot.Mark != markAgain {
			errs = append(errs, fmt.Errorf("worker %d: call %d has mark %d", number, seq, c.Slot.Mark))
		}
		if seq < c.Slot.Seq || seq > endOf(c) {
			errs = append(errs, fmt.Errorf("worker %d: call %d covers %d to %d", number, seq, c.Slot.Seq, endOf(c)))
		}
	}
	if l.held != held || l.bytes != bytes || l.load != load {
		errs = append(errs, fmt.Errorf("worker %d: held %d, bytes %d, load %v; want %d, %d, %v", number, l.held, l.bytes, l.load, held, bytes, load))
	}
	if l.isAhead != (held > 1 && !w.dead) {
		errs = append(errs, fmt.Errorf("worker %d holds %d and isAhead is %v", number, held, l.isAhead))
	}
	if l.graceSeq != 0 && l.at(l.graceSeq) == nil {
		errs = append(errs, fmt.Errorf("worker %d has a grace timer for an answered call", number))
	}
	if !w.sending && len(l.outbox) > 0 && !w.dead {
		errs = append(errs, fmt.Errorf("worker %d has %d calls that nobody sends", number, len(l.outbox)))
	}
	if l.sent > l.sendEnd || !w.sending && l.sent != l.sendEnd {
		errs = append(errs, fmt.Errorf("worker %d: sent %d, sendEnd %d", number, l.sent, l.sendEnd))
	}
	for _, c := range l.outbox {
		if c.Slot.Seq <= l.sendEnd {
			errs = append(errs, fmt.Errorf("worker %d: call %d is in the outbox and was sent", number, c.Slot.Seq))
		}
	}
	return errs
}
