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
)

// Restarts is restarts with a fixed chance.
type Restarts struct{ r restarts }

// NewRestarts returns restarts whose chance always gives fraction.
func NewRestarts(fraction float64) *Restarts {
	return &Restarts{restarts{fraction: func() float64 { return fraction }}}
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
	return s.restarts.failures
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
	n, bytes := 0, int64(0)
	var prev *procpool.Call
	for c := s.queue.head; c != nil; c = c.Slot.Next {
		n++
		bytes += c.Slot.Cost
		want("a queued call's predecessor", c.Slot.Prev, prev)
		if c.Slot.Mark != markQueued && c.Slot.Mark != markBack {
			errs = append(errs, fmt.Errorf("a queued call has mark %d", c.Slot.Mark))
		}
		prev = c
	}
	want("queue.tail", s.queue.tail, prev)
	want("queue.n", s.queue.n, n)
	want("queue.bytes", s.queue.bytes, bytes)
	if len(s.queue.turns) > 0 && s.roomLocked(s.queue.turns[0].cost) {
		errs = append(errs, errors.New("a submitter waits although there is room"))
	}
	if s.queue.granted == 0 {
		want("the bytes granted to nobody", s.queue.grantedBytes, int64(0))
	}
	ahead := 0
	for number, w := range s.workers {
		errs = append(errs, w.check(number)...)
		if w.isAhead {
			ahead++
		}
		idle := 0
		for _, i := range s.idle {
			if i == w {
				idle++
			}
		}
		want(fmt.Sprintf("worker %d in the idle list", number), idle == 1, w.isIdle)
		if w.isIdle && s.queue.head != nil {
			errs = append(errs, fmt.Errorf("worker %d idles while calls wait", number))
		}
		if !w.isIdle && !w.dead && !w.fenced && w.held == 0 && !s.ended {
			errs = append(errs, fmt.Errorf("worker %d has nothing to do and is not idle", number))
		}
	}
	for _, w := range s.idle {
		want("an idle worker", s.workers[w.number], w)
	}
	want("ahead", s.ahead, ahead)
	if ahead > 0 && s.overrun == nil && !s.ended {
		errs = append(errs, errors.New("nobody looks for overruns"))
	}
	if s.owed > 0 && s.retry == nil && s.starting == 0 {
		errs = append(errs, fmt.Errorf("%d workers are owed and nobody will launch them", s.owed))
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

func (w *worker) check(number int) (errs []error) {
	held, bytes, load := 0, int64(0), time.Duration(0)
	for seq := w.base; seq < w.next; seq++ {
		c := w.at(seq)
		if c == nil {
			continue
		}
		held++
		load += time.Duration(c.Slot.Estimate)
		if seq == endOf(c) {
			bytes += c.Slot.Cost
		}
		if c.Slot.Owner != any(w) || c.Slot.Mark != markSent && c.Slot.Mark != markRevoked {
			errs = append(errs, fmt.Errorf("worker %d: call %d has mark %d", number, seq, c.Slot.Mark))
		}
		if seq < c.Slot.Seq || seq > endOf(c) {
			errs = append(errs, fmt.Errorf("worker %d: call %d covers %d to %d", number, seq, c.Slot.Seq, endOf(c)))
		}
	}
	if w.held != held || w.bytes != bytes || w.load != load {
		errs = append(errs, fmt.Errorf("worker %d: held %d, bytes %d, load %v; want %d, %d, %v", number, w.held, w.bytes, w.load, held, bytes, load))
	}
	if w.isAhead != (held > 1 && !w.dead) {
		errs = append(errs, fmt.Errorf("worker %d holds %d and isAhead is %v", number, held, w.isAhead))
	}
	if w.graceSeq != 0 && w.at(w.graceSeq) == nil {
		errs = append(errs, fmt.Errorf("worker %d has a grace timer for an answered call", number))
	}
	if !w.sending && len(w.outbox) > 0 && !w.dead {
		errs = append(errs, fmt.Errorf("worker %d has %d calls that nobody sends", number, len(w.outbox)))
	}
	if w.sent > w.sendEnd || !w.sending && w.sent != w.sendEnd {
		errs = append(errs, fmt.Errorf("worker %d: sent %d, sendEnd %d", number, w.sent, w.sendEnd))
	}
	for _, c := range w.outbox {
		if c.Slot.Seq <= w.sendEnd {
			errs = append(errs, fmt.Errorf("worker %d: call %d is in the outbox and was sent", number, c.Slot.Seq))
		}
	}
	return errs
}
