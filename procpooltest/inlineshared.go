package procpooltest

import (
	"context"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedstate"
)

// inlineWaits is how many operations of tasks on shared state may wait, as in a pool by
// default.
const inlineWaits = 1 << 14

// share carries out an operation on shared state that parent makes, nil for the program.
func (ex *inline) share(ctx context.Context, c *procpool.Call, parent *attempt) {
	if parent == nil {
		ex.shared.Do(ctx, c, sharedstate.Owner{}, sharedstate.Hooks{})
		return
	}
	if !parent.share(ctx, c) {
		c.Finish(nil, procpool.NestingError(c.Task(), "the call that makes it has ended"))
	}
}

// share carries out an operation of the attempt's, unless that has ended.
func (a *attempt) share(ctx context.Context, c *procpool.Call) bool {
	a.sharing.Lock()
	defer a.sharing.Unlock()
	if a.over {
		return false
	}
	a.r.ex.shared.Do(ctx, c, a.owner(), sharedstate.Hooks{Lend: a.r.lend, Waits: a.pause})
	return true
}

// pause stops the attempt's clock, and returns what has it go on.
func (a *attempt) pause() (goesOn func()) {
	a.clock.wait()
	return a.clock.resume
}

// stopSharing takes back what the attempt holds, which has ended.
func (a *attempt) stopSharing() {
	a.sharing.Lock()
	a.over = true
	a.sharing.Unlock()
	a.r.ex.shared.EndCall(a.owner())
}

// owner names the attempt.
func (a *attempt) owner() sharedstate.Owner {
	return sharedstate.Owner{Worker: 1, Lane: uint32(a.number), Seq: uint64(a.r.number)}
}

// lend gives the call's place to another, and returns what takes one more in its stead.
func (r *inlineCall) lend() (back func()) {
	if r.placeless {
		return nil
	}
	ex := r.ex
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.leaveLocked(r)
	return func() {
		ex.mu.Lock()
		defer ex.mu.Unlock()
		ex.running++ // nobody is interrupted for it
	}
}
