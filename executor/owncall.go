package executor

import (
	"context"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// ownCall is a call that the pool makes for itself, in a worker that the scheduler
// gives no calls: its initializer or its finalizer.
type ownCall struct {
	task   string
	opens  *procpool.Call // that makes an actor again, which may make calls; nil for others
	answer chan error     // has room for the one that comes
}

// runOwn has the worker make a call on lane 0, with the given number, and waits for
// its end. The worker is killed when the call does not end in time, or ctx does
// first.
func (m *member) runOwn(ctx context.Context, call *procpool.Call, seq uint64, limit time.Duration) error {
	if t := call.Timeout(); t > 0 {
		limit = min(limit, t)
	}
	own := &ownCall{task: call.Task(), answer: make(chan error, 1)}
	if call.Actor() != nil {
		own.opens = call
	}
	m.own.Store(own)
	defer m.own.Store(nil)
	call.Slot.Seq = seq
	m.Send(0, []*procpool.Call{call})
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case err = <-own.answer:
		return err
	case <-m.died:
		select {
		case err = <-own.answer: // it was found in the recorder
			return err
		default:
		}
		crash := m.crash(m.report)
		crash.Task, crash.Attempt, crash.Suspects = call.Task(), 1, 1
		return &crash
	case <-timer.C:
		err = &procpool.TimeoutError{Task: call.Task(), Limit: limit, Attempt: 1}
	case <-ctx.Done():
		err = procpool.CancelError(ctx, call)
	}
	m.Kill(nil)
	<-m.died
	return err
}

// answered takes the replies that are those of the pool's own call, and reports
// whether there is one.
func (m *member) answered(batch []wire.Reply) bool {
	own := m.own.Load()
	if own == nil {
		return false
	}
	for _, r := range batch {
		err := r.Err
		if r.Kind == wire.Declined {
			err = procpool.ErrClosed
		}
		select {
		case own.answer <- err:
		default:
		}
	}
	return true
}
