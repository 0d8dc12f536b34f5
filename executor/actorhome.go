package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// home is a process in which actors live, with a scheduler for its one worker: a single
// actor, or several that share it. The first call of an actor there makes its state, and
// runs as any other; when the process of a single one dies and it may be opened again,
// that is done before the scheduler gets to know the next process.
type home struct {
	core   *core
	sched  *sched.Scheduler
	shared bool

	// ctx ends the start that is under way when there is to be no process any more.
	ctx    context.Context //nolint:containedctx // it is the home's own
	cancel context.CancelFunc
	once   sync.Once // of its end

	// Guarded by actors.mu.
	actors map[*actor]struct{}
	lives  bool // there is a worker
	ending bool // there is not to be another
}

var errHomeEnds = errors.New("the actor for which it was started is to end")

// newHome makes a home; its scheduler is to be started.
func newHome(c *core, shared bool) *home {
	h := &home{core: c, shared: shared, actors: make(map[*actor]struct{})}
	h.ctx, h.cancel = context.WithCancel(c.startCtx)
	concurrency := 1
	if shared {
		concurrency = c.cfg.Concurrency
	}
	h.sched = c.newScheduler(sched.Config{
		QueueSize: c.cfg.QueueSize, QueueBytes: c.cfg.QueueBytes, Workers: 1, MinWorkers: 1, Concurrency: concurrency,
		NestingDepth: c.cfg.NestingDepth, NestedCalls: c.cfg.NestedCalls,
		Lost:    h.lost,
		Launch:  func(number int) { c.launchFor(h, number) },
		Unknown: c.unknownMethod,
	})
	h.sched.SetServed(c.served.methods())
	return h
}

// lost decides whether there is to be another process; see sched.Config. The scheduler's
// lock is held.
func (h *home) lost(l sched.Loss) error {
	s := h.core.actors
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.Death != nil {
		h.lives = false
	}
	why := l.Start
	if l.Death != nil {
		why = l.Death
	}
	if !h.ending && h.goesOnLocked(l) {
		return nil
	}
	h.ending = true
	var (
		children []*actor
		name     string
	)
	for a := range h.actors {
		name = a.instance.Actor()
		a.refuseLocked(why)
		children = append(children, a.disownLocked()...)
	}
	go func() {
		shutAll(children)
		h.end(true)
	}()
	return procpool.ActorEndedError(name, why) // for what is no actor's own any more
}

// goesOnLocked reports whether the home outlives what has happened.
func (h *home) goesOnLocked(l sched.Loss) bool {
	for a := range h.actors {
		switch {
		case a.instance.Refusal() != nil:
			if !h.shared {
				return false
			}
			continue
		case !a.opened() && l.Worked && (h.shared || !a.opening.MayRetry()):
			return false // by its first call, or beside it
		case !a.opened():
			// No state is lost, and the scheduler knows how often to try.
		case a.restarts == 0:
			return false
		default:
			a.restarts--
		}
		go shutAll(a.disownLocked())
	}
	return true
}

// reopen has a worker that was just started make the state again that the last one took
// with it, and notes that in its traits.
func (h *home) reopen(m *member, traits *sched.Traits) error {
	s := h.core.actors
	s.mu.Lock()
	var again *actor
	for a := range h.actors {
		if a.opened() && !h.shared {
			again = a
		}
	}
	s.mu.Unlock()
	if again == nil {
		return nil
	}
	call := again.opening.Bound().NewCall()
	if err := m.runOwn(h.ctx, call, traits.Used+1, math.MaxInt64); err != nil {
		return notStarted(h.core.commandLine(), fmt.Sprintf("the actor %q could not be opened again", call.Task()), err)
	}
	traits.Used++
	traits.Proved = true
	return nil
}

// arrives says that there is a worker. It reports false when that comes too late.
func (h *home) arrives() bool {
	s := h.core.actors
	s.mu.Lock()
	defer s.mu.Unlock()
	h.lives = !h.ending
	return h.lives
}

// close ends an actor that takes no more calls: those that it has are given up, its state
// is closed, and its process ends with it if it lives alone there.
func (h *home) close(a *actor) {
	defer close(a.gone)
	s := h.core.actors
	s.mu.Lock()
	children := a.disownLocked()
	alone := !h.shared
	starts := alone && !h.lives
	if starts {
		h.ending = true // it has nothing to close, and is not waited for
	}
	s.mu.Unlock()
	shutAll(children)
	h.sched.GiveUp(a.instance)
	if starts {
		h.end(true)
		return
	}
	a.close = h.closeState(a)
	if alone {
		_, late := errors.AsType[*procpool.TimeoutError](a.close)
		h.end(late)
		return
	}
	h.leave(a)
}

// closeState has the actor's state closed in its process, and returns what that has
// returned. A process that was killed, for a call that went on, has closed nothing.
func (h *home) closeState(a *actor) error {
	c := a.instance.NewClose(h.core.cfg.FinalTimeout)
	over := make(chan error, 1)
	c.AfterFinish(func(err error) { over <- err })
	h.sched.Enqueue(context.Background(), c, 1)
	err := <-over
	if errors.Is(err, procpool.ErrClosed) || errors.Is(err, procpool.ErrActorEnded) {
		return nil
	}
	return err
}

// leave says that an actor has left a home that others share, which ends with the last of
// them.
func (h *home) leave(a *actor) {
	s := h.core.actors
	s.mu.Lock()
	last := s.endedLocked(a)
	if last {
		h.ending = true
	}
	s.mu.Unlock()
	if last {
		h.end(false)
	}
}

// endedLocked says that an actor is no more, and reports whether it was the last of its
// home.
func (s *actors) endedLocked(a *actor) (last bool) {
	if s.all[a.instance.Number()] != a {
		return false
	}
	delete(s.all, a.instance.Number())
	delete(a.home.actors, a)
	delete(a.among, a)
	a.refuseLocked(procpool.ErrClosed)
	a.instance.End(a.instance.Refusal())
	s.ends.add(a.instance)
	if !a.byClose {
		close(a.gone)
	}
	return len(a.home.actors) == 0
}

// end ends the process, at once or when it has nothing to do any more, and returns when it
// is gone.
func (h *home) end(now bool) {
	if now {
		h.cancel()
		h.sched.Kill()
	}
	h.once.Do(func() {
		<-h.sched.Drain()
		h.cancel()
		<-h.sched.Stop()
		h.sched.WaitEvents()
		h.tidy()
	})
}

// tidy forgets a home whose process is gone.
func (h *home) tidy() {
	s, counts := h.core.actors, h.sched.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range h.actors {
		s.endedLocked(a)
	}
	delete(s.homes, h)
	s.past.AddCalls(counts)
	h.core.dedicated.places <- struct{}{}
	s.checkEmptyLocked()
}

// kill ends the process at once and does not wait for it. It tells what it has cut short.
func (h *home) kill() sched.Ended {
	s := h.core.actors
	s.mu.Lock()
	h.ending = true
	for a := range h.actors {
		a.refuseLocked(procpool.ErrClosed)
	}
	s.mu.Unlock()
	h.cancel()
	_, what := h.sched.Kill()
	go h.end(true)
	return what
}
