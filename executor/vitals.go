package executor

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/procpool/procpool/internal/sched"
)

// errHung is why a worker is killed that gives no sign of life.
var errHung = errors.New("it was killed because it hung")

// members are the workers that the scheduler knows.
type members struct {
	mu  sync.Mutex
	all map[int]*member
}

func (s *members) add(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[int]*member)
	}
	s.all[m.number] = m
}

func (s *members) remove(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, m.number)
}

func (s *members) list() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*member, 0, len(s.all))
	for _, m := range s.all {
		all = append(all, m)
	}
	return all
}

// vitals is what is remembered of a worker between two looks at it.
type vitals struct {
	pulse    *sched.Pulse
	looked   time.Time // at its pulse
	sign     time.Time // its last sign of life then
	answered uint64    // the calls it had answered when its memory was looked at
	first    int64     // the memory that it used after its first calls, 0 for not known
	due      bool      // it is being replaced for its memory
}

// memoryLook is how often the memory of workers is looked at that may use only so
// much. A look costs about 100 us of processor time.
const memoryLook = 250 * time.Millisecond

// watchVitals looks at all workers until the pool closes: whether they live, and
// how much memory they use. A single goroutine does it for the whole pool.
func (c *core) watchVitals() {
	tick := c.cfg.HungAfter / 4
	if c.watchesMemory() && (tick <= 0 || tick > memoryLook) {
		tick = memoryLook
	}
	if tick <= 0 {
		return
	}
	c.starts.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-c.startCtx.Done():
				return
			case <-ticker.C:
			}
			for _, m := range c.members.list() {
				if c.cfg.HungAfter > 0 {
					m.lookAtPulse(c.cfg.HungAfter, time.Now())
				}
				if c.watchesMemory() && m.sched == c.sched {
					m.lookAtMemory(c.cfg.SoftMemoryLimit, c.cfg.MaxMemoryGrowth)
				}
			}
		}
	})
}

func (c *core) watchesMemory() bool { return c.cfg.SoftMemoryLimit > 0 || c.cfg.MaxMemoryGrowth > 0 }

// lookAtPulse asks the worker for a sign of life, and kills it when it has given none
// for a whole window although it had the processor for itself (rule 6.13).
func (m *member) lookAtPulse(window time.Duration, now time.Time) {
	v := &m.vitals
	if now.Sub(v.looked) < window/4-window/40 {
		return
	}
	sign := m.LastPong()
	var (
		cpu            time.Duration
		stopped, known bool
	)
	if sign.Equal(v.sign) { // or else it lives, and need not be looked at closely
		if usage, err := m.Usage(); err == nil {
			cpu, stopped, known = usage.CPU, usage.Stopped, true
		}
	}
	v.looked, v.sign = now, sign
	if v.pulse == nil {
		v.pulse = sched.NewPulse(window)
	}
	began := m.core.began
	if hung, why := v.pulse.Look(int64(now.Sub(began)), int64(sign.Sub(began)), cpu, stopped, known); hung {
		m.sched.KillWorker(m.number, fmt.Errorf("%w: %s", errHung, why))
		return
	}
	m.Ping()
}

// lookAtMemory has the worker replaced when it uses too much memory and has answered
// calls since the last look.
func (m *member) lookAtMemory(limit, growth int64) {
	v := &m.vitals
	answered := m.answers.Load()
	if v.due || answered == v.answered && v.first != 0 {
		return
	}
	v.answered = answered
	usage, err := m.Usage()
	if err != nil {
		return // it is about to be gone
	}
	if v.first == 0 && answered > 0 {
		v.first = usage.Memory
	}
	if limit > 0 && usage.Memory > limit || growth > 0 && v.first > 0 && usage.Memory > v.first+growth {
		v.due = true
		m.sched.Due(m.number)
	}
}
