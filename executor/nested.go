package executor

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// nested takes a call that the running call with that number makes of the pool (rule
// 6.12). It does not block.
func (m *member) nested(lane uint32, seq uint64, c *procpool.Call) {
	if err := m.enqueueNested(lane, seq, c); err != nil {
		c.Finish(nil, err)
	}
}

func (m *member) enqueueNested(lane uint32, seq uint64, c *procpool.Call) error {
	parent := sched.Parent{Worker: m.number, Lane: lane, Seq: seq}
	call, depth := m.sched.Caller(parent)
	if own := m.own.Load(); own != nil {
		if own.opens == nil {
			return procpool.NestingError(c.Task(), fmt.Sprintf("task %q runs as the pool's initializer or finalizer, which can't wait for the pool's workers", own.task))
		}
		call, parent = own.opens, sched.Parent{}
	}
	if call == nil {
		return procpool.NestingError(c.Task(), "the call that makes it has ended")
	}
	if c.Actor() != nil {
		return m.nestedActor(caller{call: call, parent: parent, depth: depth, key: callKey{lane, seq}}, c)
	}
	c.Nest(call)
	pool := m.core
	if !c.Dedicated() {
		if m.sched == pool.sched {
			return pool.sched.EnqueueNested(c, parent, depth+1)
		}
		// It has a process of its own, and no slot to lend; or shares one.
		if err := m.lendFor(caller{parent: parent}, c); err != nil {
			return err
		}
		return pool.sched.EnqueueNested(c, sched.Parent{}, depth+1)
	}
	if most := pool.cfg.NestingDepth; depth >= most {
		return procpool.NestingError(c.Task(), fmt.Sprintf("calls of tasks are nested %d deep already (Config.NestingDepth)", most))
	}
	over := func() {}
	if m.home == nil || m.home.shared {
		var err error
		if over, err = m.sched.Lend(parent, c.Task()); err != nil {
			return err
		}
	}
	c.Slot.Depth = uint16(depth + 1)
	pool.dedicated.enqueue(context.Background(), c, over)
	return nil
}
