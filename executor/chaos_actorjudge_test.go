//go:build unix

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/procpool/procpool"
)

// judgeOpening says what is wrong with an opening that has failed.
func (a *stay) judgeOpening(err error) {
	c := a.chaos
	crash, crashed := errors.AsType[*procpool.CrashError](err)
	_, unstarted := errors.AsType[*procpool.StartError](err)
	switch {
	case errors.Is(err, procpool.ErrClosed) && c.closing.Load():
		c.tell("closed")
	case crashed && !errors.Is(err, procpool.ErrActorEnded) && (a.shared || c.monkey.hasHarmed(crash.Worker, crash.PID)):
		c.tell("crashed while it opened")
	case unstarted:
		c.tell("not started") // all its processes were killed before they were ready
	case a.shared && errors.Is(err, procpool.ErrActorEnded):
		c.tell("ended before it was opened") // by its neighbours
	default:
		c.t.Errorf("the opening of tally %d (shared %v): %v", a.open.ID, a.shared, err)
	}
}

// judge returns how a step has ended, and what is wrong with that.
func (a *stay) judge(s *step) (kind, complaint string) {
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
	switch err := s.err; {
	case err == nil:
		return "added", unless(s.How == "", "it was not to succeed")
	case errors.Is(err, procpool.ErrActorEnded):
		return "its actor had ended", "" // which it has by now
	case errors.Is(err, procpool.ErrClosed):
		return "closed", unless(a.chaos.closing.Load(), "the pool is open")
	case s.use != 0 && (errors.As(err, &crash) || errors.As(err, &failed)):
		return "failed in a task", "" // which died, or tells what the step was to do
	case errors.As(err, &crash):
		return "its actor crashed", a.judgeCrash(s, crash)
	case errors.As(err, &timeout):
		return "timed out", unless(s.limited, "it had no Timeout")
	case errors.As(err, &failed):
		return "failed", unless(s.How == endFail, "it was not to fail")
	case errors.As(err, &panics):
		return "panicked", unless(s.How == endPanic || s.How == endGoexit, "it was not to panic")
	case errors.Is(err, context.DeadlineExceeded):
		return "out of time", unless(s.deadline, "nobody limited its time")
	case errors.Is(err, context.Canceled):
		return "cancelled", unless(s.cancelled, "nobody cancelled it")
	}
	return "odd", "nobody knows this error"
}

func (a *stay) judgeCrash(s *step, crash *procpool.CrashError) string {
	harmed := a.chaos.monkey.hasHarmed(crash.Worker, crash.PID)
	switch {
	case errors.Is(s.err, procpool.ErrPoison) != (s.rerun > 0):
		return "whether it was run again does not agree with what it allows"
	case s.future.Info().Attempts != 1+s.rerun:
		return "it was not run as often as it may"
	case a.shared:
		return "" // it may be a neighbour's doing
	case crash.Hung && !harmed:
		return "its process hung, and nobody had stopped it"
	case crash.Suspects != 1 && !crash.Finished:
		return fmt.Sprintf("%d calls are suspects, where one runs at a time", crash.Suspects)
	case !killsItsWorker(s.How) && !harmed:
		return "its process was left alone"
	}
	return ""
}

// check holds what is known of a tally that has ended, and of its steps, against its
// books. closed is what Close has returned.
func (a *stay) check(closed error) {
	complain := func(format string, arguments ...any) {
		a.chaos.t.Errorf("tally %d (%d restarts, shared %v): "+format, append([]any{a.open.ID, a.restarts, a.shared}, arguments...)...)
	}
	books := a.audit(complain)
	costs := make(map[int]int) // steps that each worker has taken with it
	for _, s := range a.steps {
		begun, added := books.begun[s.ID], books.added[s.ID]
		switch crash, crashed := errors.AsType[*procpool.CrashError](s.err); {
		case begun > 1+s.rerun:
			complain("step %d began %d times", s.ID, begun)
		case s.use == 0 && begun > s.future.Info().Attempts:
			complain("step %d began %d times, and the pool knows of %d", s.ID, begun, s.future.Info().Attempts)
		case s.err == nil:
			if n := len(added); n == 0 || added[n-1] != (tallyAnswer{PID: s.got.PID, Sum: s.got.Sum}) {
				complain("step %d was answered with %+v, and by the books it was %v", s.ID, s.got, added)
			}
		case errors.Is(s.err, procpool.ErrActorEnded):
			if begun > 0 && s.rerun == 0 && !s.asked && !a.chaos.closing.Load() {
				complain("step %d had begun, and failed with %v", s.ID, s.err)
			}
		case crashed && s.use == 0 && !a.shared:
			if costs[crash.Worker]++; costs[crash.Worker] > 1 {
				complain("worker %d took two steps with it, one of them %d: %v", crash.Worker, s.ID, s.err)
			}
		}
	}
	a.weigh(complain)
	a.judgeEnd(books, closed, complain)
}

// weigh holds the last sum that was read against the steps alone: what was acknowledged is
// in it, and nothing but that and what may have been added all the same.
func (a *stay) weigh(complain func(string, ...any)) {
	reads := a.steps[len(a.steps)-1]
	if reads.N != 0 || reads.err != nil {
		return
	}
	least, most := a.open.Start, a.open.Start
	for _, s := range a.steps {
		switch {
		case s.err == nil && s.got.PID == reads.got.PID:
			least += s.N
			most += s.N
		case s.err != nil:
			most += s.N
		}
	}
	if sum := reads.got.Sum; sum < least || sum > most {
		complain("its sum is %d; %d is acknowledged, and %d possible", sum, least, most)
	}
}

// judgeEnd says what is wrong with how the tally has ended.
func (a *stay) judgeEnd(books *books, closed error, complain func(string, ...any)) {
	c, reason := a.chaos, a.ref.Err()
	crash, crashed := errors.AsType[*procpool.CrashError](reason)
	_, unstarted := errors.AsType[*procpool.StartError](reason)
	byItself := crashed || unstarted
	if !errors.Is(reason, procpool.ErrActorEnded) {
		complain("it has ended with %v", reason)
	}
	if books.lives > 1+a.restarts {
		complain("it was opened %d times", books.lives)
	}
	switch {
	case byItself:
		c.tell("ended by a death")
		// Those that were killed before they had opened it are not in the books.
		if least := 1 + a.restarts; books.lives+c.monkey.killedYoung() < least {
			complain("it has ended with %v after %d processes", reason, books.lives)
		}
		if crashed && !a.shared && !c.monkey.hasHarmed(crash.Worker, crash.PID) && !slices.ContainsFunc(a.steps, (*step).mayKill) {
			complain("nobody has harmed it, and it has ended with %v", reason)
		}
	case closed == nil && books.closes > 0:
		c.tell("closed its state")
	case c.closing.Load():
	case errors.Is(closed, procpool.ErrCrashed):
		c.tell("crashed while it closed")
	case errors.Is(closed, context.DeadlineExceeded):
		c.tell("closed too late") // it was stopped, or the machine is slow
	case closed != nil:
		complain("Close: %v", closed)
	default:
		// Its process had died, and nothing was to be closed, or was killed for a step.
		c.tell("ended without its state")
		reads := a.steps[len(a.steps)-1]
		if info := reads.future.Info(); reads.err == nil && !reads.asked && reads.use == 0 && !a.shared && !c.monkey.hasHarmed(info.Worker, info.PID) &&
			!slices.ContainsFunc(a.steps, (*step).mayKill) {
			complain("its state was not closed, though its process, %d, was left alone", info.PID)
		}
	}
}

// mayKill reports whether the step may cost its process: by how it ends, or since it went
// on when it was given up.
func (s *step) mayKill() bool { return killsItsWorker(s.How) || s.givenUp() || s.use != 0 }
