//go:build unix

package plainworker

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// closing is the number that stands in place of a method's when an actor is closed.
const closing = math.MaxUint32

// actors are those that live in the worker, by number.
type actors struct {
	mu  sync.Mutex
	all map[uint64]*actor
}

// actor is one of them. The lock is for the memory alone, since the host sends the next
// call of an actor when the last has ended.
type actor struct {
	mu    sync.Mutex
	task  procpool.ActorTask
	lives procpool.Resident // nil for one that could not be opened, of KeepsFailed

	codec    string // of what it was opened with, for NewEachTime
	argument []byte
}

func (a *actors) get(number uint64) *actor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[number]
}

func (a *actors) set(number uint64, one *actor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = make(map[uint64]*actor)
	}
	a.all[number] = one
}

func (a *actors) drop(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, number)
}

// nameOf is what a call is called in failures.
func nameOf(task procpool.Task, t *workerv1.Task, fault Fault) string {
	methods := task.Describe().Methods
	n := t.GetMethod()
	if n == 0 || int64(n) > int64(len(methods)) {
		return task.Name()
	}
	if fault == ShortNames {
		return methods[n-1].Name
	}
	return task.Name() + "." + methods[n-1].Name
}

// stepActor opens an actor, calls a method of it, or closes it.
func (l *lane) stepActor(ctx context.Context, task procpool.Task, t *workerv1.Task, codec string, argument []byte) ([]byte, error) {
	fault, all := l.server.fault, &l.server.actors
	kind, ok := task.(procpool.ActorTask)
	if !ok || t.GetActor() == 0 {
		return nil, procpool.ErrUnknownTask
	}
	number, method := t.GetActor(), int64(t.GetMethod())
	switch fault {
	case OneActor:
		number = 1
	case LaneActors:
		number += uint64(l.index) << 60
	}
	one := all.get(number)
	switch {
	case method == 0 && one != nil && fault != Replaces:
		return nil, fmt.Errorf("%w: actor %d is there already", procpool.ErrUnknownTask, number)
	case method == 0:
		return nil, all.open(ctx, number, &actor{task: kind, codec: codec, argument: argument}, fault)
	case one == nil && method == closing && fault != StrictClose:
		return nil, nil
	case one == nil || one.lives == nil || one.task != kind:
		return nil, fmt.Errorf("%w: there is no actor %d", procpool.ErrUnknownTask, number)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if method == closing {
		if fault != KeepsClosed {
			all.drop(number)
		}
		if fault == NeverCloses {
			return nil, nil
		}
		return nil, one.lives.Close()
	}
	if n := int64(len(task.Describe().Methods)); method > n {
		if fault != AnyMethod {
			return nil, fmt.Errorf("%w: there is no method %d", procpool.ErrUnknownTask, method)
		}
		method = n
	}
	if fault == NewEachTime {
		var err error
		if one.lives, err = kind.OpenActor(ctx, one.codec, one.argument); err != nil {
			return nil, err
		}
	}
	result, err := one.lives.RunMethod(ctx, int(method)-1, codec, argument, nil)
	if err != nil && fault == LosesFailed {
		all.drop(number)
	}
	return result, err
}

// open makes an actor.
func (a *actors) open(ctx context.Context, number uint64, one *actor, fault Fault) error {
	lives, err := one.task.OpenActor(ctx, one.codec, one.argument)
	if err != nil && fault != KeepsFailed {
		return err
	}
	one.lives = lives
	a.set(number, one)
	return err
}
