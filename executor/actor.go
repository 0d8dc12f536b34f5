package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// actors are the actors of the pool and the processes in which they live. Its lock is
// never held while a scheduler is called, which calls back with its own.
type actors struct {
	core *core

	mu      sync.Mutex
	all     map[uint64]*actor
	homes   map[*home]struct{}
	ends    actorEnds
	past    sched.Stats // the counts of homes that are gone
	refuses bool        // no calls are taken but those that tasks make
	ended   bool        // no more are made
	empty   chan struct{}
}

// actor is one of them. It is the owner of its procpool.Instance.
type actor struct {
	home     *home
	instance *procpool.Instance
	opening  *procpool.Call // makes its state, and is the actor's first call

	gone  chan struct{} // closed when it has ended
	close error         // what closing it has returned; written before gone is closed

	// Guarded by actors.mu.
	restarts int  // that are left
	byClose  bool // it was asked to end before it did by itself
	children brood
	among    brood // in which it is, nil for none
}

func newActors(c *core) *actors {
	return &actors{core: c, all: make(map[uint64]*actor), homes: make(map[*home]struct{}), empty: make(chan struct{})}
}

// enqueueAll takes n linked calls of actors; see procpool.Executor.
func (s *actors) enqueueAll(ctx context.Context, first *procpool.Call, n int) {
	for c := first; n > 0; n-- {
		next := c.Slot.Next
		c.Slot.Next = nil
		if err := s.enqueue(ctx, c); err != nil {
			c.Finish(nil, err)
		}
		c = next
	}
}

func (s *actors) enqueue(ctx context.Context, c *procpool.Call) error {
	if c.Step() == procpool.StepOpen {
		_, err := s.spawn(ctx, c, func(h *home) error { h.sched.Enqueue(ctx, c, 1); return nil })
		return err
	}
	a, err := s.find(c)
	if err != nil {
		return err
	}
	if c.Step() == procpool.StepClose {
		s.closeFor(a, c)
		return nil
	}
	a.home.sched.Enqueue(ctx, c, 1)
	return nil
}

var errNoActor = errors.New("this pool has no actor of that number, or has none any more")

// find returns the actor that a call is of, and ties the call to it.
func (s *actors) find(c *procpool.Call) (*actor, error) {
	i := c.Actor()
	a, ok := i.Owner().(*actor)
	if !ok || a.home.core != s.core {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a = s.all[i.Number()]; a == nil || a.instance.Actor() != i.Actor() {
			return nil, s.ends.of(i)
		}
	}
	c.Join(a.instance)
	return a, nil
}

// closeFor ends an actor for a call that asks for it, which is finished when that has
// happened.
func (s *actors) closeFor(a *actor, c *procpool.Call) {
	a.shut()
	go func() {
		<-a.gone
		s.mu.Lock()
		byClose := a.byClose
		s.mu.Unlock()
		if byClose {
			c.Finish(nil, a.close)
		} else {
			c.Finish(nil, a.instance.Err())
		}
	}()
}

// check tells why there can't be an actor as the call asks for.
func (s *actors) check(c *procpool.Call) error {
	info, known := s.core.served.info(c.Task())
	switch i := c.Actor(); {
	case !known:
		return s.core.unknownTask(c)
	case info.Kind != procpool.KindActor:
		return procpool.KindError(c.Task(), procpool.KindActor, info.Kind)
	case i.Shared() && i.Restarts() > 0: // of a worker's, whose own side has not looked
		return fmt.Errorf("procpool: the actor %q was not spawned: Restarts and Shared don't go together", c.Task())
	}
	return nil
}

// spawn makes an actor, and has enqueue take the call that makes it where it is to live.
// It waits for a place among the processes as sessions do, where it takes one. An error is
// for that call.
func (s *actors) spawn(ctx context.Context, c *procpool.Call, enqueue func(*home) error) (*actor, error) {
	if err := s.check(c); err != nil {
		return nil, err
	}
	a := s.joinHome(c)
	if a == nil {
		if err := s.core.dedicated.await(ctx, c); err != nil {
			return nil, err
		}
		var err error
		if a, err = s.add(newHome(s.core, c.Actor().Shared()), c); err != nil {
			s.core.dedicated.places <- struct{}{}
			return nil, err
		}
	}
	c.AfterFinish(func(err error) {
		if err != nil {
			a.shut()
		}
	})
	if s.isRefusing() {
		a.home.sched.Refuse()
	}
	a.home.sched.Start()
	if err := enqueue(a.home); err != nil {
		c.Finish(nil, err)
	}
	return a, nil
}

// maxShared is how many actors share a process.
const maxShared = 64

// joinHome makes the actor that the call asks for in a home that others share, if that may
// be and there is one with room. Otherwise it returns nil.
func (s *actors) joinHome(c *procpool.Call) *actor {
	if !c.Actor().Shared() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.homes {
		if h.shared && !h.ending && len(h.actors) < maxShared {
			return s.addLocked(h, c)
		}
	}
	return nil
}

// add makes the actor that the call asks for, in a home that is new.
func (s *actors) add(h *home, c *procpool.Call) (*actor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, procpool.ErrClosed
	}
	s.homes[h] = struct{}{}
	return s.addLocked(h, c), nil
}

func (s *actors) addLocked(h *home, c *procpool.Call) *actor {
	i := c.Actor()
	a := &actor{home: h, instance: i, opening: c, restarts: i.Restarts(), gone: make(chan struct{})}
	for i.Begin(a, h.shared); s.all[i.Number()] != nil; {
		i.Begin(a, h.shared)
	}
	c.Join(i)
	s.all[i.Number()] = a
	h.actors[a] = struct{}{}
	return a
}

// opened reports whether the actor has its state. It is so from the moment in which the
// spawner can know.
func (a *actor) opened() bool { return a.opening.Succeeded() }

// shut ends the actor, if it does not end already, and does not wait for that.
func (a *actor) shut() {
	s := a.home.core.actors
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.instance.Refusal() != nil {
		return // it ends, or has ended
	}
	a.byClose = true
	a.refuseLocked(nil)
	go a.home.close(a)
}

// refuseLocked says that the actor ends, and why: nil for being asked to.
func (a *actor) refuseLocked(why error) {
	a.instance.Refuse(procpool.ActorEndedError(a.instance.Actor(), why))
}

// disownLocked returns the actors that a has spawned, to be ended.
func (a *actor) disownLocked() []*actor {
	children := a.children
	a.children = nil
	return children.all()
}

func shutAll(all []*actor) {
	for _, a := range all {
		a.shut()
	}
}

// list returns the homes of the moment.
func (s *actors) list() []*home {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listLocked()
}

func (s *actors) listLocked() (homes []*home) {
	for h := range s.homes {
		homes = append(homes, h)
	}
	return homes
}

// refuse takes no calls any more but those that tasks make.
func (s *actors) refuse() {
	s.mu.Lock()
	s.refuses = true
	s.mu.Unlock()
	for _, h := range s.list() {
		h.sched.Refuse()
	}
}

// isRefusing reports whether refuse was called, maybe before a home was there of which it
// is asked.
func (s *actors) isRefusing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuses
}

// settle returns a channel that is closed when the calls of all actors have ended. Tasks
// may make more.
func (s *actors) settle() <-chan struct{} {
	settled := make(chan struct{})
	homes := s.list()
	go func() {
		defer close(settled)
		for _, h := range homes {
			<-h.sched.Quiet()
		}
	}()
	return settled
}

// drain ends all actors, and returns a channel that is closed when their processes are
// gone.
func (s *actors) drain() <-chan struct{} {
	s.mu.Lock()
	s.ended = true
	all := make([]*actor, 0, len(s.all))
	for _, a := range s.all {
		all = append(all, a)
	}
	s.checkEmptyLocked()
	s.mu.Unlock()
	shutAll(all)
	return s.empty
}

func (s *actors) checkEmptyLocked() {
	if !s.ended || len(s.homes) > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// kill ends all actors and their processes now. The channel is closed when the last is
// gone.
func (s *actors) kill() (gone <-chan struct{}, what sched.Ended) {
	s.mu.Lock()
	s.ended = true
	s.checkEmptyLocked()
	s.mu.Unlock()
	for _, h := range s.list() {
		what.Add(h.kill())
	}
	return s.empty, what
}

// stats returns the counts of all homes there were, and how many processes and actors
// there are at the moment.
func (s *actors) stats() (counts sched.Stats, processes, actors int) {
	s.mu.Lock()
	counts = s.past // each home counts here or below, whatever becomes of it meanwhile
	homes := s.listLocked()
	for _, a := range s.all {
		if a.opened() {
			actors++
		}
	}
	s.mu.Unlock()
	for _, h := range homes {
		now := h.sched.Stats()
		counts.AddCalls(now)
		processes += now.Workers
	}
	return counts, processes, actors
}
