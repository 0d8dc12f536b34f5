package executor

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/sharedstate"
	"github.com/procpool/procpool/internal/wire"
)

// share carries out n linked operations on shared state that the program makes; see
// procpool.Executor.
func (c *core) share(ctx context.Context, first *procpool.Call, n int) {
	for call := first; n > 0; n-- {
		next := call.Slot.Next
		call.Slot.Next = nil
		if size := int64(len(call.Payload())); size > c.cfg.MaxPayload {
			call.Finish(nil, fmt.Errorf("%w: the arguments of %s have %d bytes, and Config.MaxPayload is %d", procpool.ErrTooLarge, call.Task(), size, c.cfg.MaxPayload))
		} else {
			c.shared.Do(ctx, call, sharedstate.Owner{}, sharedstate.Hooks{})
		}
		call = next
	}
}

// share carries out an operation on shared state that the call with that number makes:
// one that runs, was given up and still runs, or is the pool's own. It does not block.
func (m *member) share(lane uint32, seq uint64, c *procpool.Call) {
	var hooks sharedstate.Hooks
	parent := sched.Parent{Worker: m.number, Lane: lane, Seq: seq}
	hooks.Waits = func() (goes func()) { return m.sched.Pause(parent) }
	if m.sched == m.core.sched && m.own.Load() == nil { // else it has no slot to lend
		hooks.Lend = func() func() {
			over, err := m.sched.Lend(parent, c.Task())
			if err != nil {
				return nil // it waits all the same
			}
			return over
		}
		hooks.Stuck = func(waiting int) bool { return waiting >= m.sched.Active() }
	}
	m.core.shared.Do(context.Background(), c, sharedstate.Owner{Worker: m.number, Lane: lane, Seq: seq}, hooks)
}

// takeBack takes from calls what they hold of the shared state, which the worker says
// have ended. It comes before anybody hears of their end.
func (m *member) takeBack(ended []wire.Reply) {
	if !m.core.shared.Busy() {
		return
	}
	for i := range ended {
		m.core.shared.EndCall(sharedstate.Owner{Worker: m.number, Lane: ended[i].Lane, Seq: ended[i].Seq})
	}
}
