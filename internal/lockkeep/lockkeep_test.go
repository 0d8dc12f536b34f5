package lockkeep_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/procpool/procpool/internal/lockkeep"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller locks and unlocks a mutex through a Keeper, as a task does.
type caller struct {
	t      *testing.T
	keeper lockkeep.Keeper
	asked  int          // how often the host was
	told   atomic.Int64 // how often the host was told that it is unlocked
}

func (c *caller) lock() {
	if !c.keeper.Take("m") {
		c.asked++
		c.keeper.Granted("m", func() { c.told.Add(1) })
	}
}

func (c *caller) unlock() { c.keeper.Unlock("m") }

// host fails the test unless the host has heard of so many locks and unlocks.
func (c *caller) host(asked int, told int64) {
	c.t.Helper()
	synctest.Wait()
	if got := c.told.Load(); c.asked != asked || got != told {
		c.t.Errorf("the host was asked %d times and told %d times, want %d and %d", c.asked, got, asked, told)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func keeping(t *testing.T, test func(*caller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(&caller{t: t}) })
}

// The first lock is given back at its unlock: most calls lock once.
func TestFirstLockIsNotKept(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.host(1, 0)
		c.unlock()
		c.host(1, 1)
	})
}

func TestKeptForASlice(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		for range 1000 {
			c.lock()
			c.unlock()
		}
		c.host(2, 1)
		pass(lockkeep.Slice - 1)
		c.lock()
		c.unlock()
		c.host(2, 1)
		pass(time.Nanosecond)
		c.host(2, 2)
		c.lock()
		c.host(3, 2)
		c.unlock()
		c.keeper.End()
	})
}

// Whatever is done under the lock, and between an unlock and the next lock, nobody else
// waits longer than the slice and the one critical section in which it ends.
func TestEndOfTheSliceInACriticalSection(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		c.lock()
		pass(lockkeep.Slice / 2)
		c.unlock()
		c.lock()
		c.host(2, 1)
		pass(lockkeep.Slice)
		c.host(2, 1)
		c.unlock()
		c.host(2, 2)
	})
}

func TestNotKeptByWhoComesBackLate(t *testing.T) {
	keeping(t, func(c *caller) {
		for n := 1; n < 5; n++ {
			c.lock()
			c.unlock()
			c.host(n, int64(n))
			pass(lockkeep.Slice + 1)
		}
	})
}

// How long the host takes to grant the lock, because others have it, says nothing about
// the call.
func TestKeptAfterAWait(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		if c.keeper.Take("m") {
			c.t.Fatal("it was not kept")
		}
		pass(time.Hour)
		c.keeper.Granted("m", func() { c.told.Add(1) })
		c.unlock()
		c.host(1, 1)
		pass(lockkeep.Slice)
		c.host(1, 2)
	})
}

// The timer of one grant leaves the next alone.
func TestEachGrantHasItsSlice(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		c.lock()
		c.unlock() // kept
		c.lock()
		pass(lockkeep.Slice)
		c.unlock() // given back
		c.lock()
		c.unlock() // kept, by the third grant
		c.host(3, 2)
		pass(lockkeep.Slice - 1)
		c.host(3, 2)
		pass(time.Nanosecond)
		c.host(3, 3)
	})
}

func TestAnotherGoroutineAsksTheHost(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		c.lock()
		if c.keeper.Take("m") {
			c.t.Error("two have the lock at a time")
		}
		if c.keeper.Take("other") {
			c.t.Error("it has a lock that it never got")
		}
		c.unlock()
		c.keeper.End()
		c.host(2, 2)
	})
}

// At the end of the call what it keeps goes back, so that nobody takes it to be
// abandoned; what it has not unlocked does not.
func TestEnd(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		c.lock()
		c.unlock()
		c.keeper.Take("held")
		c.keeper.Granted("held", func() { c.t.Error("a lock that is held was given back") })
		c.host(2, 1)
		c.keeper.End()
		c.host(2, 2)
		if c.keeper.Take("m") {
			c.t.Error("it is kept beyond the end")
		}
		pass(time.Second) // no timer is left
		c.host(2, 2)
	})
}

// A goroutine that outlives its call has its unlock told, which the host then refuses.
func TestUnlockBehindTheEnd(t *testing.T) {
	keeping(t, func(c *caller) {
		c.lock()
		c.unlock()
		c.lock()
		c.keeper.End()
		c.host(2, 1)
		c.unlock()
		c.host(2, 2)
	})
}

// The lock excludes, whoever takes it, and however it comes.
func TestManyGoroutines(t *testing.T) {
	var (
		keeper lockkeep.Keeper
		mutex  sync.Mutex // the host's
		inside int
		all    sync.WaitGroup
	)
	for range 4 {
		all.Go(func() {
			for range 2000 {
				if !keeper.Take("m") {
					mutex.Lock()
					keeper.Granted("m", mutex.Unlock)
				}
				inside++
				keeper.Unlock("m")
			}
		})
	}
	all.Wait()
	keeper.End()
	if inside != 8000 {
		t.Errorf("%d of 8000: two had the lock at a time", inside)
	}
	if !mutex.TryLock() {
		t.Error("it is not given back")
	}
}
