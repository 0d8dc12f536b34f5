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
	if own := m.own.Load(); own != nil {
		return procpool.NestingError(c.Task(), fmt.Sprintf("task %q runs as the pool's initializer or finalizer, which can't wait for the pool's workers", own.task))
	}
	parent := sched.Parent{Worker: m.number, Lane: lane, Seq: seq}
	depth, running := m.sched.DepthOf(parent)
	if !running {
		return procpool.NestingError(c.Task(), "the call that makes it has ended")
	}
	pool := m.core
	if !c.Dedicated() {
		if m.sched != pool.sched {
			parent = sched.Parent{} // it has a process of its own, and no slot to lend
		}
		return pool.sched.EnqueueNested(c, parent, depth+1)
	}
	if most := pool.cfg.NestingDepth; depth >= most {
		return procpool.NestingError(c.Task(), fmt.Sprintf("calls of tasks are nested %d deep already (Config.NestingDepth)", most))
	}
	over, err := m.sched.Lend(parent, c.Task())
	if err != nil {
		return err
	}
	c.Slot.Depth = uint16(depth + 1)
	pool.dedicated.enqueue(context.Background(), c, over)
	return nil
}
