//go:build unix

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/procpool/procpool"
)

// outcomes counts the calls by how they ended.
type outcomes struct {
	mu    sync.Mutex
	times map[string]int
}

func newOutcomes() outcomes { return outcomes{times: make(map[string]int)} }

func (o *outcomes) String() string { return fmt.Sprint(o.times) }

// check holds the calls of a round against the ledger and against each other. None
// of them runs any more.
func (c *chaos) check(records []*record) {
	t := c.t
	starts := c.ledger.starts(t)
	crashes := make(map[int]*record) // by worker
	for _, r := range records {
		runs := starts[r.order.ID]
		delete(starts, r.order.ID)
		if complaint := c.judge(r, runs); complaint != "" {
			info := procpool.CallInfo{}
			if r.future != nil {
				info = r.future.Info()
			}
			t.Errorf("call %d (%s %s %v, %d bytes): %s\nerror: %v\n%d entries in the ledger, %+v\n"+
				"cancelled %v, with a deadline %v, a Timeout %v, %d runs more allowed",
				r.order.ID, r.task, r.order.How, r.order.For, len(r.order.Data), complaint, r.err, runs, info,
				r.cancelled, r.deadline, r.limited, r.rerun)
		}
		crash, ok := errors.AsType[*procpool.CrashError](r.err)
		if !ok || c.shared {
			continue
		}
		// Rule 6.2: a worker runs one call at a time, so its death costs one.
		if other := crashes[crash.Worker]; other != nil {
			t.Errorf("worker %d took two calls with it, %d and %d: %v", crash.Worker, other.order.ID, r.order.ID, r.err)
		}
		crashes[crash.Worker] = r
	}
	for id, runs := range starts {
		t.Errorf("call %d is over, and was started %d times since", id, runs)
	}
}

// judge returns what is wrong with a call's outcome, given how often it was entered
// into the ledger.
func (c *chaos) judge(r *record, runs int) string {
	if runs > 1+r.rerun {
		return "it ran more often than it may"
	}
	if r.future != nil {
		if n := r.told.Load(); n != 1 {
			eventually(c.t, "OnDone is called", func() bool { return r.told.Load() == 1 })
		}
		if r.future.State() != procpool.Done {
			return "it has an outcome and is not done"
		}
		if attempts := r.future.Info().Attempts; runs > attempts {
			return "it was started without the pool's knowledge"
		}
		if _, again := r.future.Result(c.t.Context()); !errors.Is(again, r.err) {
			return fmt.Sprintf("it has two outcomes, and the second is: %v", again)
		}
	}
	if !r.over {
		return ""
	}
	kind, complaint := c.judgeOutcome(r, runs)
	c.outcomes.mu.Lock()
	c.outcomes.times[kind]++
	c.outcomes.mu.Unlock()
	if complaint == "" && r.wonByCancel && kind != "cancelled" {
		return "Cancel said that it decided the outcome"
	}
	return complaint
}

func (c *chaos) judgeOutcome(r *record, runs int) (kind, complaint string) {
	var (
		crash   *procpool.CrashError
		timeout *procpool.TimeoutError
		failed  *procpool.TaskError
		panics  *procpool.PanicError
	)
	unless := func(fine bool, complaint string) string {
		if fine {
			return ""
		}
		return complaint
	}
	how := r.order.How
	switch err := r.err; {
	case err == nil:
		fine := how == "" && runs > 0 && r.got.ID == r.order.ID && bytes.Equal(r.got.Data, r.order.Data)
		return "succeeded", unless(fine, fmt.Sprintf("it succeeded with the answer %d of %d bytes", r.got.ID, len(r.got.Data)))
	case errors.As(err, &crash):
		return "crashed", c.judgeCrash(r, crash)
	case errors.As(err, &timeout):
		return "timed out", unless(r.limited, "it had no Timeout")
	case errors.As(err, &failed):
		return "failed", unless(how == endFail, "it was not to fail")
	case errors.As(err, &panics):
		return "panicked", unless(how == endPanic || how == endGoexit, "it was not to panic")
	case errors.Is(err, context.DeadlineExceeded):
		return "out of time", unless(r.deadline, "nobody limited its time")
	case errors.Is(err, context.Canceled):
		return "cancelled", unless(r.cancelled, "nobody cancelled it")
	case errors.Is(err, procpool.ErrQueueFull):
		return "refused", unless(r.maybeFull && runs == 0, "it was not to be refused")
	case errors.Is(err, procpool.ErrClosed):
		return "closed", unless(c.closing.Load(), "the pool is open")
	}
	return "odd", "nobody knows this error"
}

func (c *chaos) judgeCrash(r *record, crash *procpool.CrashError) string {
	harmed := c.monkey.hasHarmed(crash.Worker, crash.PID)
	switch {
	case crash.Hung && !harmed:
		return "its worker hung, and nobody had stopped it"
	case errors.Is(r.err, procpool.ErrPoison) != (r.rerun > 0):
		return "whether it was run again does not agree with what it allows"
	case r.future != nil && r.future.Info().Attempts != 1+r.rerun:
		return "it was not run as often as it may"
	case c.shared:
		return "" // it may be a neighbour's doing
	case crash.Suspects != 1 && !crash.Finished:
		return fmt.Sprintf("%d calls are suspects, where one runs at a time", crash.Suspects)
	case !killsItsWorker(r.order.How) && !harmed:
		return "its worker was left alone"
	}
	return ""
}
