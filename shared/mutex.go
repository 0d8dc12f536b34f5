package shared

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/lockkeep"
	"github.com/procpool/procpool/internal/sharedop"
)

// Mutex is a lock that one holds at a time, of all calls of a pool and all goroutines
// of its program. It is a handle, immutable and safe for concurrent use.
type Mutex struct{ name string }

// DefineMutex makes a handle on the mutex of that name. It panics when name is empty,
// longer than 1 KiB, or no UTF-8 text.
func DefineMutex(name string) *Mutex {
	checkName("DefineMutex", name)
	return &Mutex{name: name}
}

// Name returns the mutex's name.
func (m *Mutex) Name() string { return m.name }

// Lock locks the mutex. It blocks until that is possible, at most until ctx ends. Locks
// are granted in the order in which they were asked for; but a call that locks again
// within a millisecond of its unlock goes on without asking the host, and before those
// that wait, until a millisecond has passed since it was granted the lock. That makes
// a lock in a loop some hundred times cheaper.
//
// The program keeps what it gets and unlocks it: a lock whose Held is garbage counts as
// abandoned. A call may leave it to its own end.
func (m *Mutex) Lock(ctx context.Context, ex procpool.Executor) (*Held, error) {
	return m.lock(ctx, ex, sharedop.Args{Name: m.name})
}

// TryLock locks the mutex if that is possible at once, else the error matches
// [ErrWouldBlock].
func (m *Mutex) TryLock(ctx context.Context, ex procpool.Executor) (*Held, error) {
	return m.lock(ctx, ex, sharedop.Args{Name: m.name, NoWait: true})
}

func (m *Mutex) lock(ctx context.Context, ex procpool.Executor, args sharedop.Args) (*Held, error) {
	var kept *lockkeep.Keeper // nil for the program, which asks nobody else
	if call, ok := ex.(interface{ Kept() *lockkeep.Keeper }); ok {
		if kept = call.Kept(); ctx.Err() == nil && kept.Take(m.name) {
			return &Held{name: m.name, kept: kept}, nil
		}
	}
	g, reply, err := acquire(ctx, ex, mutexLock, mutexUnlock, args, fmt.Sprintf("mutex %q was not locked", m.name))
	if err != nil {
		return nil, err
	}
	h := &Held{name: m.name, kept: kept, grant: g, abandoned: reply.Abandoned}
	if kept != nil {
		kept.Granted(m.name, func() { g.back(sharedop.Args{}) })
	} else {
		h.keeper = keep(h, g, reply)
	}
	return h, nil
}

// Do calls fn while it holds the mutex, and returns its error.
func (m *Mutex) Do(ctx context.Context, ex procpool.Executor, fn func(context.Context) error) error {
	held, err := m.Lock(ctx, ex)
	if err != nil {
		return err
	}
	defer held.Unlock()
	return fn(ctx)
}

// Held is a mutex that somebody has locked.
type Held struct {
	grant     *grant
	keeper    keeper
	abandoned bool

	// Of a task the mutex of that name is unlocked through what its call keeps.
	name     string
	kept     *lockkeep.Keeper
	unlocked atomic.Bool
}

// Abandoned reports whether the last to hold this did not give it back, but died, or
// ended without doing so: what it guards may be half changed. It counts as not given
// back, too, where a process died in the moment for which [Mutex.Lock] says that a call
// goes on.
func (h *Held) Abandoned() bool { return h.abandoned }

// Unlock gives the lock back. It does not block. Further calls do
// nothing, and neither does one behind the end of the call that it belonged to.
func (h *Held) Unlock() {
	if h.kept != nil {
		if h.unlocked.CompareAndSwap(false, true) {
			h.kept.Unlock(h.name)
		}
		return
	}
	h.keeper.stop()
	h.grant.back(sharedop.Args{})
	runtime.KeepAlive(h)
}
