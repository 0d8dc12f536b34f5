package executor

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/wire"
)

// caller is a running call that makes another, and how deeply it is nested.
type caller struct {
	call   *procpool.Call
	parent sched.Parent // the zero one for a call that is no scheduler's
	depth  int
	key    callKey
}

// callKey names a call of a worker.
type callKey struct {
	lane uint32
	seq  uint64
}

// nestedActor takes a call of an actor that a running call makes. It does not block. An
// error is for that call.
func (m *member) nestedActor(from caller, c *procpool.Call) error {
	pool := m.core
	if most := pool.cfg.NestingDepth; from.depth >= most {
		return procpool.NestingError(c.Task(), fmt.Sprintf("calls of tasks are nested %d deep already (Config.NestingDepth)", most))
	}
	if c.Step() == procpool.StepOpen {
		return m.spawnNested(from, c)
	}
	a, err := pool.actors.find(c)
	if err != nil {
		return err
	}
	c.Nest(from.call)
	if c.Reenters() {
		return procpool.ReentrantError(c)
	}
	if err := m.lendFor(from, c); err != nil {
		return err
	}
	if c.Step() == procpool.StepClose {
		pool.actors.closeFor(a, c)
		return nil
	}
	return a.home.sched.EnqueueNested(c, sched.Parent{}, from.depth+1)
}

// spawnNested makes an actor for a running call. It ends with that call, or with the
// actor that this is of.
func (m *member) spawnNested(from caller, c *procpool.Call) error {
	pool := m.core
	c.Slot.Depth = uint16(from.depth + 1)
	c.Nest(from.call)
	if err := m.lendFor(from, c); err != nil {
		return err
	}
	// It does not wait for a place, since it is nested.
	a, err := pool.actors.spawn(pool.startCtx, c, func(h *home) error { return h.sched.EnqueueNested(c, sched.Parent{}, from.depth+1) })
	if err != nil {
		return err
	}
	if !m.adopt(from, a) {
		a.shut()
	}
	return nil
}

// lendFor lends the slot of the call that makes c until that has its outcome. One that
// lives alone in its process has none that anybody could use.
func (m *member) lendFor(from caller, c *procpool.Call) error {
	if m.isDedicated() || from.parent == (sched.Parent{}) {
		return nil
	}
	over, err := m.sched.Lend(from.parent, c.Task())
	if err != nil {
		return err
	}
	c.AfterFinish(func(error) { go over() }) // which takes a lock that may be held here
	return nil
}

// A brood are the actors that a call, or an actor, has spawned and that have not ended.
// It is guarded by actors.mu.
type brood map[*actor]struct{}

// addLocked adds an actor, which leaves when it ends.
func (b *brood) addLocked(a *actor) {
	if *b == nil {
		*b = make(brood)
	}
	(*b)[a] = struct{}{}
	a.among = *b
}

func (b brood) all() []*actor { return slices.Collect(maps.Keys(b)) }

// adopt has the actor end with its owner. It reports false when that has ended.
func (m *member) adopt(from caller, a *actor) bool {
	s := m.core.actors
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[a.instance.Number()] != a {
		return true // it has ended
	}
	i := from.call.Actor()
	if i == nil {
		m.owned.addLocked(from.key, a)
		return true
	}
	owner, _ := i.Owner().(*actor)
	if owner == nil || i.Refusal() != nil {
		return false
	}
	owner.children.addLocked(a)
	return true
}

// owned are the actors that a worker's running calls have spawned.
type owned struct {
	n   atomic.Int64 // how many calls have
	all map[callKey]brood
}

// addLocked is called while the call runs, by the goroutine that hears of its end.
func (o *owned) addLocked(of callKey, a *actor) {
	if o.all == nil {
		o.all = make(map[callKey]brood)
	}
	b := o.all[of]
	b.addLocked(a)
	o.all[of] = b
	o.n.Store(int64(len(o.all)))
}

// disown ends the actors of calls that have ended.
func (m *member) disown(ended []wire.Reply) {
	o := &m.owned
	if o.n.Load() == 0 {
		return
	}
	var all []*actor
	m.core.actors.mu.Lock()
	for i := range ended {
		key := callKey{ended[i].Lane, ended[i].Seq}
		all = append(all, o.all[key].all()...)
		delete(o.all, key)
	}
	o.n.Store(int64(len(o.all)))
	m.core.actors.mu.Unlock()
	shutAll(all)
}

// disownAll ends the actors of a worker that is gone.
func (m *member) disownAll() {
	o := &m.owned
	if o.n.Load() == 0 {
		return
	}
	var all []*actor
	m.core.actors.mu.Lock()
	for _, b := range o.all {
		all = append(all, b.all()...)
	}
	o.all = nil
	o.n.Store(0)
	m.core.actors.mu.Unlock()
	shutAll(all)
}
