package sched

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

// Config says how a Scheduler is to decide.
type Config struct {
	// QueueSize and QueueBytes bound what is queued.
	QueueSize  int
	QueueBytes int64
	// MaxPayload bounds one argument, in bytes.
	MaxPayload int64
	// CancelGrace is how long a cancelled call may go on before its worker is
	// killed; RetireGrace is how long the other calls of that worker have then.
	CancelGrace, RetireGrace time.Duration
	// Workers and MinWorkers are how many workers take calls, Spares how many
	// are ready beside them, Concurrency how many calls each runs at once.
	Workers, MinWorkers, Spares, Concurrency int
	// Extra is how many workers there may be beyond Workers, each in the place of one
	// whose every lane holds a call that waits for nested ones.
	Extra int
	// GrowAfter, IdleTimeout, MaxCalls and MaxAge are as in the pool's Config.
	GrowAfter, IdleTimeout time.Duration
	MaxCalls               int
	MaxAge                 time.Duration
	// NestingDepth is how many calls deep a call may be nested, NestedCalls how many
	// nested calls may be outstanding.
	NestingDepth, NestedCalls int
	// Epoch is when the scheduler's clock began, from which calls have their numbers;
	// the zero time means now.
	Epoch time.Time
	// Number returns a number for the next worker, above all before. It is called
	// with the lock held and must not call back. nil counts from 1.
	Number func() int
	// Once is for a Scheduler that runs one call, in a process of its own: a worker
	// is launched when the call waits, and none in its place when it has run. Workers,
	// MinWorkers, Spares and MaxCalls do not matter then.
	Once bool
	// Lost is for a Scheduler with one worker that holds state. It is asked, when that
	// is gone without having been asked to leave or could not be started, whether there
	// is to be another. An error says that there is not: what waits is refused with it,
	// or with what its actor says, and so is what comes. It is called with the lock held
	// and must not call back. nil means that there always is.
	Lost func(Loss) error
	// Launch starts a worker in the background, which is then reported with
	// Started or StartFailed. It must not block nor call back.
	Launch func(number int)
	// Unknown makes the error for a call of a task that is not served. It is
	// called with the lock held and must not call back.
	Unknown func(c *procpool.Call) error
	// OnEvent hears what happens to workers; nil for nobody. It is called
	// without locks held, one event at a time, and must not block for long.
	OnEvent func(Event)
	// OnCrash hears of each call that was running in a worker that died, before
	// the call does; nil for nobody. It is called without locks held, by several
	// goroutines at once.
	OnCrash func(c *procpool.Call, item int, e *procpool.CrashError)
}

// A Link is a live worker. wire.Worker is one. Its methods are called until
// [Scheduler.Exited] has returned, also when the process is dead already; but for
// Send they are called with the scheduler's lock held and must not block.
type Link interface {
	// PID is the worker's process id.
	PID() int
	// Send sends calls, whose Slot.Seq ascends, in one go. It is called by
	// one goroutine at a time. It may block while the worker takes nothing,
	// and returns soon when the worker is dead. It does not look at a call
	// any more that it has handed over: the answer may come, and the call
	// go its way, before Send returns.
	Send(lane int, calls []*procpool.Call)
	// Cancel asks the worker to end the context of a call that runs.
	Cancel(lane int, seq uint64)
	// Fence keeps every call beyond k from starting, and returns the last
	// that has. Without a flight recorder it reports false.
	Fence(lane int, k uint64) (started uint64, ok bool)
	// Unfence lifts the fence.
	Unfence(lane int)
	// Progress returns how far the worker has come, and how long its last call
	// has run, without the time in which it waited for nested calls, or as a
	// stream or session for its caller.
	Progress(lane int) (started, finished uint64, ran time.Duration)
	// Waiting reports whether the last call waits so now. Without a flight
	// recorder that is not known, and false.
	Waiting(lane int) bool
	// SetHot says whether short calls are in flight, for which it is worth
	// polling.
	SetHot(hot bool)
	// Stop asks the worker, which holds no calls, to leave, and sees to it that
	// it does within a bounded time. Kill kills it; why is for its report, nil
	// for no reason worth telling. Neither blocks.
	Stop()
	Kill(why error)
}

// A Scheduler is the pool's mind. Its methods may be called from any goroutine.
type Scheduler struct {
	cfg   Config
	epoch time.Time

	mu        sync.Mutex
	queue     queue
	delays    delays
	functions map[string]*function
	lastFn    *function
	served    bool // the served tasks are known
	watches   watches
	keys      map[string]*binding
	fleet     *fleet
	workers   map[int]*worker
	lanes     int     // of workers that take calls
	idle      []*lane // the most recently used last
	wanted    []*lane // those for which calls came that wait for them alone
	starting  int     // workers that were launched and not heard of
	ahead     int     // lanes that hold calls they have not started
	nested    int     // nested calls that are outstanding
	strangers loan    // ties the nested calls of callers outside of the workers
	overrun   *time.Timer
	steer     *time.Timer // asks the fleet
	steerAt   int64       // when it is going to, 0 for not at all
	steering  bool        // the fleet's orders are being carried out
	elastic   bool        // workers come and go with the load
	tickets   []ticket
	began     bool            // Start was called
	closed    bool            // takes no more calls
	ended     bool            // starts no more workers and feeds none
	over      error           // there is no worker any more, and will be none
	quiet     []chan struct{} // of those who wait for calls to have ended
	leaves    bool            // drained is to be closed when that is so
	drained   chan struct{}
	gone      chan struct{} // closed when ended and no worker is left
	stamp     int64         // of the call that came last
	counters  counters
	events    eventQueue

	// telling counts the goroutines between booking outcomes, with the lock,
	// and telling them, without. draining says that the last of them has to
	// look whether all is done.
	telling  atomic.Int32
	draining atomic.Bool
}

// The states of a call in Slot.Mark.
const (
	markNone    = iota
	markQueued  // in the queue as it was submitted; a pack may still grow
	markBack    // in the queue again; a pack is sealed and its items are counted
	markSent    // assigned to the lane in Slot.Owner, sent or about to be
	markRevoked // as markSent, but its future has its outcome already
	markAgain   // as markSent, but it ran too long and is to be run again
	markPending // its attempt failed, and it is being decided what follows
	markDelayed // waits for its next attempt
	markOver    // answered, dropped or refused
)

// New returns a Scheduler that has no worker yet; [Scheduler.Start] starts them.
func New(cfg Config) *Scheduler {
	cfg.Concurrency = max(cfg.Concurrency, 1)
	cfg.NestingDepth = min(cfg.NestingDepth, math.MaxUint16)
	if cfg.Once {
		cfg.Workers, cfg.MinWorkers, cfg.Spares, cfg.Extra, cfg.MaxCalls = 1, 1, 0, 0, 1
	}
	s := &Scheduler{
		fleet: newFleet(fleetConfig{
			Min: cfg.MinWorkers, Max: cfg.Workers, Spares: cfg.Spares, Extra: cfg.Extra, GrowAfter: cfg.GrowAfter, IdleTimeout: cfg.IdleTimeout,
			MaxCalls: cfg.MaxCalls, MaxAge: cfg.MaxAge, Number: cfg.Number, Once: cfg.Once,
		}),
		elastic:   cfg.MinWorkers < cfg.Workers || cfg.Once,
		keys:      make(map[string]*binding),
		cfg:       cfg,
		epoch:     cfg.Epoch,
		stamp:     -1,
		functions: make(map[string]*function),
		workers:   make(map[int]*worker),
		drained:   make(chan struct{}),
		gone:      make(chan struct{}),
	}
	if s.epoch.IsZero() {
		s.epoch = time.Now()
	}
	if cfg.Lost != nil {
		s.fleet.restarts.patience = patienceOnce
	}
	s.watches.byDone = make(map[<-chan struct{}]*watch)
	return s
}

func (s *Scheduler) now() int64 { return int64(time.Since(s.epoch)) }

// packStamps is how many items a pack may have, about.
const packStamps = 256

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
		s.mu.Unlock()
		c.Finish(nil, err)
		return
	}
	// A stamp of its own gives each call its place for good, and each item of a pack:
	// calls that come back are put where they were.
	c.Slot.Stamp = max(s.stamp+1, c.Slot.Stamp)
	s.stamp = c.Slot.Stamp
	if c.ItemSizes() != nil {
		s.stamp += packStamps
	}
	s.counters.submitted++
	c.Hold(s)
	if ctx.Done() != nil {
		s.watchLocked(ctx, c)
	}
	s.placeLocked(c, markQueued, (*lines).pushBack)
	if s.ahead > 0 && len(s.queue.all) > 1 {
		s.overtakeLocked(c)
	}
	if len(s.idle) > 0 || s.elastic {
		s.dispatchLocked()
	}
	s.mu.Unlock()
}

// InspectCall tells what is known of an unfinished call.
func (s *Scheduler) InspectCall(c *procpool.Call) procpool.CallInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Finished() {
		return c.Record(procpool.Done)
	}
	switch c.Slot.Mark {
	case markSent, markAgain:
		l, _ := c.Slot.Owner.(*lane)
		if started, _, _ := l.worker.link.Progress(l.index); started >= c.Slot.Seq || !l.worker.recorder {
			return c.Record(procpool.Started)
		}
	case markOver:
		// Its outcome is about to be told.
		if info := c.Record(procpool.Started); info.Attempts > 0 {
			return info
		}
	}
	info := c.Record(procpool.Queued)
	info.Worker, info.PID, info.Attempts = 0, 0, int(c.Slot.Attempts)
	info.Wait = time.Duration(max(s.now()-c.Slot.Stamp, 0))
	return info
}

// Running returns the name of the task that a worker runs at the moment, if any; of
// several, the one of the lowest lane.
func (s *Scheduler) Running(number int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[number]
	if w == nil || w.held == 0 {
		return ""
	}
	for _, l := range w.lanes {
		started, _, _ := w.link.Progress(l.index)
		if c := l.at(max(started, l.base)); c != nil {
			return c.Task()
		}
	}
	return ""
}
