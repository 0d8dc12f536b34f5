package sched

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/procpool/procpool"
)

// Config says how a Scheduler is to decide.
type Config struct {
	// Workers is how many workers are kept.
	Workers int
	// QueueSize and QueueBytes bound what is queued.
	QueueSize  int
	QueueBytes int64
	// MaxPayload bounds one argument, in bytes.
	MaxPayload int64
	// CancelGrace is how long a cancelled call may go on before its worker is
	// killed.
	CancelGrace time.Duration
	// Launch starts a worker in the background, which is then reported with
	// Started or StartFailed. It must not block nor call back.
	Launch func(number int)
	// Unknown makes the error for a call of a task that is not served.
	Unknown func(c *procpool.Call) error
	// OnEvent hears what happens to workers; nil for nobody. It is called
	// without locks held, one event at a time, and must not block for long.
	OnEvent func(Event)
}

// A Link is a live worker. wire.Worker is one.
type Link interface {
	// PID is the worker's process id.
	PID() int
	// Send sends calls, whose Slot.Seq ascends, in one go. It is called by
	// one goroutine at a time.
	Send(lane int, calls []*procpool.Call)
	// Cancel asks the worker to end the context of a call that runs.
	Cancel(lane int, seq uint64)
	// Fence keeps every call beyond k from starting, and returns the last
	// that has. Without a flight recorder it reports false.
	Fence(lane int, k uint64) (started uint64, ok bool)
	// Unfence lifts the fence.
	Unfence(lane int)
	// Progress returns how far the worker has come, and when, in nanoseconds
	// of a clock of the link's, it started its last call.
	Progress(lane int) (started, finished uint64, startedAt int64)
	// SetHot says whether short calls are in flight, for which it is worth
	// polling.
	SetHot(hot bool)
	// Stop asks the worker to leave; Kill kills it. Neither blocks.
	Stop()
	Kill()
}

// A Scheduler is the pool's mind. Its methods may be called from any goroutine.
type Scheduler struct {
	cfg   Config
	epoch time.Time

	mu        sync.Mutex
	queue     queue
	functions map[string]*function
	lastFn    *function
	served    bool // the served tasks are known
	watches   watches
	workers   map[int]*worker
	idle      []*worker // the most recently used last
	numbers   int       // worker numbers given out
	starting  int       // workers that were launched and not heard of
	retries   map[*time.Timer]struct{}
	ahead     int // workers that hold calls they have not started
	overrun   *time.Timer
	restarts  restarts
	closed    bool // takes no more calls
	killed    bool // starts no more workers
	drained   chan struct{}
	gone      chan struct{} // closed when killed and no worker is left
	counters  counters
	events    eventQueue
}

// lane is the only lane so far: one call at a time in each worker.
const lane = 0

// The states of a call in Slot.Mark.
const (
	markNone   = iota
	markQueued // in the queue
	markSent   // assigned to the worker in Slot.Owner, sent or about to be
	markOver   // answered, dropped or refused
)

// New returns a Scheduler that has no worker yet; [Scheduler.Grow] starts them.
func New(cfg Config) *Scheduler {
	s := &Scheduler{
		cfg:       cfg,
		epoch:     time.Now(),
		functions: make(map[string]*function),
		workers:   make(map[int]*worker),
		retries:   make(map[*time.Timer]struct{}),
		drained:   make(chan struct{}),
		gone:      make(chan struct{}),
	}
	s.watches.byDone = make(map[<-chan struct{}]*watch)
	return s
}

func (s *Scheduler) now() int64 { return int64(time.Since(s.epoch)) }

// Enqueue takes n linked calls; see procpool.Executor. It blocks while the queue
// is full, at most until ctx ends.
func (s *Scheduler) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		s.enqueue(ctx, c)
		c = next
	}
}

func (s *Scheduler) enqueue(ctx context.Context, c *procpool.Call) {
	c.Slot.Stamp = s.now()
	c.Slot.Cost = int64(len(c.Payload()))
	s.mu.Lock()
	if err := s.admitLocked(ctx, c); err != nil {
		c.Slot.Mark = markOver
		s.counters.refused++
		s.mu.Unlock()
		c.Finish(nil, err)
		return
	}
	s.counters.submitted++
	c.Hold(s)
	if ctx.Done() != nil {
		s.watchLocked(ctx, c)
	}
	s.queue.pushBack(c)
	if len(s.idle) > 0 {
		s.dispatchLocked()
	}
	s.mu.Unlock()
}

// admitLocked decides whether the call may be queued, and waits for room.
func (s *Scheduler) admitLocked(ctx context.Context, c *procpool.Call) error {
	if s.closed {
		return procpool.ErrClosed
	}
	f := s.functionLocked(c.Task())
	c.Slot.Group = f
	if s.served && !f.served {
		return s.cfg.Unknown(c)
	}
	if c.Slot.Cost > s.cfg.MaxPayload {
		return fmt.Errorf("%w: the argument of task %q takes %d bytes, the pool's MaxPayload is %d: send less, or raise it",
			procpool.ErrTooLarge, c.Task(), c.Slot.Cost, s.cfg.MaxPayload)
	}
	for {
		if err := s.restarts.refusal(); err != nil && len(s.workers) == 0 {
			return err
		}
		if s.roomLocked(c) {
			return nil
		}
		if c.NoWait() {
			return fmt.Errorf("%w: %d calls with %d bytes wait in it", procpool.ErrQueueFull, s.queue.n, s.queue.bytes)
		}
		turn := s.queue.wait()
		s.mu.Unlock()
		var err error
		select {
		case <-turn:
		case <-ctx.Done():
			err = procpool.CancelError(ctx, c)
		}
		s.mu.Lock()
		if err != nil {
			s.queue.leave(turn)
			return err
		}
		if s.closed {
			return procpool.ErrClosed
		}
	}
}

// roomLocked reports whether the queue may grow by c. An empty queue takes any
// call, however large.
func (s *Scheduler) roomLocked(c *procpool.Call) bool {
	return s.queue.n == 0 || s.queue.n < s.cfg.QueueSize && s.queue.bytes+c.Slot.Cost <= s.cfg.QueueBytes
}

// letInLocked wakes as many blocked submitters as there is room for.
func (s *Scheduler) letInLocked() {
	if len(s.queue.turns) > 0 {
		if room := s.cfg.QueueSize - s.queue.n; room > 0 && s.queue.bytes < s.cfg.QueueBytes {
			s.queue.admit(room)
		}
	}
}

// InspectCall tells what is known of an unfinished call.
func (s *Scheduler) InspectCall(c *procpool.Call) procpool.CallInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Finished() {
		return c.Record(procpool.Done)
	}
	if w, ok := c.Slot.Owner.(*worker); ok && c.Slot.Mark == markSent {
		if started, _, _ := w.link.Progress(lane); started >= c.Slot.Seq || !w.recorder {
			return c.Record(procpool.Started)
		}
	}
	info := c.Record(procpool.Queued)
	info.Worker, info.PID, info.Attempts = 0, 0, int(c.Slot.Attempts)
	info.Wait = time.Duration(s.now() - c.Slot.Stamp)
	return info
}

// Running returns the name of the task that a worker runs at the moment, if any.
func (s *Scheduler) Running(number int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[number]
	if w == nil || w.held == 0 {
		return ""
	}
	started, _, _ := w.link.Progress(lane)
	if c := w.at(max(started, w.base)); c != nil {
		return c.Task()
	}
	return ""
}
