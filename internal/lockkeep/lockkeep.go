// Package lockkeep lets a call that locks a mutex again and again keep it for a moment
// between an unlock and the next lock, so that only the first of them asks the host.
//
// A lock and an unlock are messages to the host and back, which take longer than most
// of what is done under a lock. A call that comes back for a mutex at once keeps it
// when it unlocks, at most for [Slice] from the grant; whoever else wants it waits that
// long. It is the trade that sync.Mutex makes, where a goroutine that runs may lock
// again before those that wait, for a millisecond at most. The host knows nothing of
// it: to the host the call simply has the lock for that long.
package lockkeep

import (
	"sync"
	"time"
)

// Slice is how long from its grant a mutex may be kept, and how soon a call must be
// back for it to be seen as one that comes back at once.
const Slice = time.Millisecond

// A Keeper has the mutexes of one call. The zero Keeper is ready to use. Its methods
// may be called from any goroutine.
type Keeper struct {
	mu    sync.Mutex
	locks map[string]*lock
	over  bool
}

// lock is a mutex that the call has used.
type lock struct {
	back     func() // tells the host that it is unlocked; nil when the call does not have it
	held     bool   // by the call's code, not merely kept
	quick    bool   // the code came back for it at once
	granted  time.Time
	unlocked time.Time   // when the code unlocked it last
	timer    *time.Timer // runs while it is kept, from the first unlock to the end of its time
	grants   int
}

// Take locks a mutex that is kept. It reports whether it was; else the host is to be
// asked.
func (k *Keeper) Take(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.locks[name]
	switch {
	case l == nil:
		return false
	case l.back == nil: // the wait that begins is not the code's own time
		l.quick = time.Since(l.unlocked) <= Slice
		return false
	case l.held:
		return false
	}
	l.held = true
	return true
}

// Granted says that the host has granted a mutex. back tells the host that it is
// unlocked, and must neither block nor call the Keeper.
func (k *Keeper) Granted(name string, back func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.locks[name]
	if l == nil {
		if k.locks == nil {
			k.locks = make(map[string]*lock)
		}
		l = new(lock)
		k.locks[name] = l
	}
	l.back, l.held, l.granted = back, true, time.Now()
	l.grants++
}

// Unlock says that the call's code has unlocked a mutex that it got by Take or Granted.
// The host is told now, or when the mutex has been kept for its time.
func (k *Keeper) Unlock(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.locks[name]
	now := time.Now()
	l.held, l.unlocked = false, now
	left := Slice - now.Sub(l.granted)
	if !l.quick || left <= 0 || k.over {
		l.giveBack()
		return
	}
	if l.timer == nil {
		grant := l.grants
		l.timer = time.AfterFunc(left, func() { k.expire(l, grant) })
	}
}

// expire ends the time for which a mutex may be kept since that grant. If it is held
// then it is given back when it is unlocked.
func (k *Keeper) expire(l *lock, grant int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.back != nil && !l.held && l.grants == grant {
		l.giveBack()
	}
}

// giveBack tells the host. It does so with the Keeper's lock held, so that End comes
// behind it.
func (l *lock) giveBack() {
	back := l.back
	l.back = nil
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	back()
}

// End says that the call ends: what it merely keeps is given back, and what its code
// still has is not. The host has been told of every unlock when it returns.
func (k *Keeper) End() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	for _, l := range k.locks {
		if l.back != nil && !l.held {
			l.giveBack()
		}
	}
}
