package procpooltest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/procpool/procpool"
)

// inlineActor is an actor of an inline executor. Its calls have a key of their own, by
// which they run one at a time.
type inlineActor struct {
	ex       *inline
	instance *procpool.Instance
	resident procpool.Resident // of the call that runs

	mu       sync.Mutex
	calls    map[*inlineCall]struct{} // that have not ended
	children []*inlineActor           // that its calls have spawned
	ending   bool
	closed   error // what closing it has returned
}

// adopt ties a call of an actor to that actor, which the first makes.
func (ex *inline) adopt(r *inlineCall) error {
	c := r.call
	i := c.Actor()
	if c.Step() == procpool.StepOpen {
		return ex.newActor(r, i)
	}
	ex.mu.Lock()
	r.actor = ex.actors[i.Number()]
	ex.mu.Unlock()
	if own, ok := i.Owner().(*inlineActor); ok && own.ex == ex {
		r.actor = own
	}
	if r.actor == nil || r.actor.instance.Actor() != i.Actor() {
		return procpool.ActorEndedError(i.Actor(), errors.New("this executor has none of that number"))
	}
	c.Join(r.actor.instance)
	switch {
	case c.Reenters():
		return procpool.ReentrantError(c)
	case c.Step() == procpool.StepClose:
		return nil
	case !slices.Contains(ex.tasks[i.Actor()].methods, c.Method()):
		return procpool.UnknownTaskError(c, procpool.MethodNames(i.Actor(), ex.tasks[i.Actor()].methods), "")
	}
	return nil
}

// newActor makes the actor that r is to open.
func (ex *inline) newActor(r *inlineCall, i *procpool.Instance) error {
	if _, ok := r.task.(procpool.ActorTask); !ok {
		return procpool.KindError(r.call.Task(), procpool.KindActor, procpool.KindFunction)
	}
	r.actor = &inlineActor{ex: ex, instance: i, calls: make(map[*inlineCall]struct{})}
	i.Begin(r.actor, true)
	ex.mu.Lock()
	ex.actors[i.Number()] = r.actor
	ex.mu.Unlock()
	r.call.Join(i)
	r.actor.endUnlessOpened(r.call)
	if r.parent != nil && !r.parent.owns(r.actor) {
		r.actor.end()
	}
	return nil
}

// endUnlessOpened ends the actor when the call that makes it has not succeeded.
func (act *inlineActor) endUnlessOpened(c *procpool.Call) {
	c.AfterFinish(func(err error) {
		if err != nil {
			go act.end()
		}
	})
}

// owns has an actor end with the attempt that spawns it, or with the actor whose that
// is. It reports false when that is over.
func (a *attempt) owns(child *inlineActor) bool {
	if owner := a.r.actor; owner != nil {
		owner.mu.Lock()
		defer owner.mu.Unlock()
		owner.children = append(owner.children, child)
		return !owner.ending
	}
	a.owned.Lock()
	defer a.owned.Unlock()
	a.actors = append(a.actors, child)
	return !a.disowned
}

// disown ends the actors of an attempt that is over.
func (a *attempt) disown() {
	a.owned.Lock()
	a.disowned = true
	actors := a.actors
	a.owned.Unlock()
	for _, child := range actors {
		child.end()
	}
}

// joins takes a call in. It reports why the actor takes it not.
func (act *inlineActor) joins(r *inlineCall) error {
	act.mu.Lock()
	defer act.mu.Unlock()
	if r.call.Step() != procpool.StepClose {
		if err := act.instance.Refusal(); err != nil {
			return err
		}
		act.calls[r] = struct{}{}
	}
	return nil
}

func (act *inlineActor) leaves(r *inlineCall) {
	act.mu.Lock()
	defer act.mu.Unlock()
	delete(act.calls, r)
}

// giveUp refuses calls from now on, and gives up those there are.
func (act *inlineActor) giveUp() {
	act.mu.Lock()
	act.ending = true
	ended := procpool.ActorEndedError(act.instance.Actor(), nil)
	act.instance.Refuse(ended)
	var calls []*inlineCall
	for r := range act.calls {
		calls = append(calls, r)
	}
	children := act.children
	act.children = nil
	act.mu.Unlock()
	for _, r := range calls {
		if r.finish(nil, ended) {
			r.cancel()
		}
	}
	for _, child := range children {
		child.end()
	}
}

// end ends the actor. It does not wait for that.
func (act *inlineActor) end() {
	act.ex.Enqueue(context.Background(), act.instance.NewClose(0), 1)
}

// run runs one step of the actor, when it is its turn.
func (act *inlineActor) run(a *attempt, in []byte) ([]byte, error) {
	c := a.r.call
	switch c.Step() {
	case procpool.StepOpen:
		task, _ := a.r.task.(procpool.ActorTask)
		resident, err := task.OpenActor(a.ctx, c.Codec(), in)
		act.resident = resident
		return []byte(mark), err
	case procpool.StepClose:
		return []byte(mark), act.close()
	}
	if act.resident == nil {
		return nil, procpool.ActorEndedError(act.instance.Actor(), nil)
	}
	method := slices.Index(act.ex.tasks[act.instance.Actor()].methods, c.Method())
	return act.resident.RunMethod(a.ctx, method, c.Codec(), in, []byte(mark))
}

// close closes the state, the first time.
func (act *inlineActor) close() error {
	defer act.gone()
	if resident := act.resident; resident != nil {
		act.resident = nil
		act.closed = resident.Close()
	}
	return act.closed
}

func (act *inlineActor) gone() {
	act.ex.mu.Lock()
	delete(act.ex.actors, act.instance.Number())
	act.ex.mu.Unlock()
	act.instance.End(procpool.ActorEndedError(act.instance.Actor(), nil))
}
