//go:build unix

package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/procpool/procpool"
)

// stay is a tally of the chaos test, from its opening to its end, and what is known of it.
type stay struct {
	chaos    *chaos
	open     tallyOpening
	restarts int
	shared   bool // a process with others, and their fate
	ref      *procpool.Ref
	steps    []*step // in the order of their submission
	closing  bool    // the test has asked for its end
}

// step is a call of a tally and what is known of it.
type step struct {
	tallyStep
	future *procpool.Future[tallyAnswer]
	use    int // the id of the task that makes it; 0: the test itself does

	cancelled, deadline, limited bool // as in record
	rerun                        int

	got    tallyAnswer
	err    error
	over   bool
	asked  bool // its outcome may have come after the test had asked for the end of the tally
	giveUp func()
}

// givenUp reports whether the step may have been stopped, which costs the tally its
// process if it does not heed that in time.
func (s *step) givenUp() bool { return s.cancelled || s.deadline || s.limited }

// tally spawns an actor, calls it, and closes it, while its process is attacked as any
// other is. It holds every outcome against the actor's own books.
func (c *chaos) tally(rng *rand.Rand) (records []*record) {
	a := &stay{chaos: c, open: tallyOpening{ID: int(c.ids.Add(1)), Start: 1000 * rng.IntN(1000)}}
	c.ids.Add(1) // of the call that closes its state
	var opts []procpool.Option
	switch rng.IntN(4) {
	case 0:
		a.shared = true
		opts = append(opts, procpool.Shared())
	case 1:
	default:
		a.restarts = 1 + rng.IntN(3)
		opts = append(opts, procpool.Restarts(a.restarts))
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	ref, err := chaosTally.Spawn(ctx, c.pool, a.open, opts...)
	if err != nil {
		a.judgeOpening(err)
		return records
	}
	a.ref = ref
	for range 1 + rng.IntN(5) {
		for range 1 + rng.IntN(20) {
			records = append(records, a.submit(rng)...)
		}
		if rng.IntN(4) > 0 {
			a.awaitAll()
		}
		pause(c.t.Context(), rng.IntN(20))
	}
	if rng.IntN(2) == 0 {
		a.awaitAll()
		reads := &step{tallyStep: tallyStep{ID: int(c.ids.Add(1))}}
		records = append(records, a.add(context.Background(), reads))
		a.await(reads)
	}
	a.closing = true
	closed := ref.Close()
	a.awaitAll()
	select {
	case <-ref.Done():
	case <-time.After(patience):
		c.t.Errorf("tally %d was closed (%v) and does not end", a.open.ID, closed)
		return records
	}
	a.check(closed)
	return records
}

// submit makes some step, and gives it up perhaps.
func (a *stay) submit(rng *rand.Rand) []*record {
	c := a.chaos
	s := &step{tallyStep: tallyStep{ID: int(c.ids.Add(1)), N: 1 + rng.IntN(9)}}
	up := func(most time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(most))) }
	switch n := rng.IntN(100); {
	case n < 4:
		s.How = []string{endFail, endPanic, endGoexit, endExit, endKill}[rng.IntN(5)]
	case n < 30:
		s.For = up(5 * time.Millisecond)
	case n < 32:
		s.For, s.Deaf = up(100*time.Millisecond), true
	}
	if c.nests && rng.IntN(8) == 0 {
		return a.use(s)
	}
	ctx := c.t.Context()
	var opts []procpool.Option
	switch rng.IntN(25) {
	case 0:
		s.deadline = true
		ctx, s.giveUp = context.WithTimeout(ctx, up(20*time.Millisecond))
	case 1:
		s.cancelled = true
		ctx, s.giveUp = context.WithCancel(ctx)
	case 2:
		s.limited = true
		opts = append(opts, procpool.Timeout(time.Millisecond+up(20*time.Millisecond)))
	case 3, 4:
		s.rerun = 1 + rng.IntN(2)
		opts = append(opts, procpool.Retries(s.rerun), procpool.Backoff(time.Millisecond, 10*time.Millisecond))
	}
	r := a.add(ctx, s, opts...)
	if s.cancelled {
		pause(c.t.Context(), rng.IntN(5))
		s.giveUp()
	}
	return []*record{r}
}

func (a *stay) add(ctx context.Context, s *step, opts ...procpool.Option) *record {
	s.future = tallyAdd.Submit(ctx, a.ref, s.tallyStep, opts...)
	if s.deadline {
		s.future.OnDone(s.giveUp) // which is no news then
	}
	a.steps = append(a.steps, s)
	return &record{order: order{ID: s.ID}, task: tallyAdd.Name(), rerun: s.rerun}
}

// use has a task make the step.
func (a *stay) use(s *step) []*record {
	s.use = int(a.chaos.ids.Add(1))
	s.future = chaosUse.Submit(a.chaos.t.Context(), a.chaos.pool, tallyUse{ID: s.use, Ref: a.ref, Step: s.tallyStep})
	a.steps = append(a.steps, s)
	return []*record{{order: order{ID: s.use}, task: chaosUse.Name()}, {order: order{ID: s.ID}, task: "a task's " + tallyAdd.Name()}}
}

func (a *stay) awaitAll() {
	for _, s := range a.steps {
		a.await(s)
	}
}

// await takes the outcome of a step, once.
func (a *stay) await(s *step) {
	c := a.chaos
	if s.over {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.got, s.err = s.future.Result(ctx)
	s.over, s.asked = true, a.closing
	if errors.Is(s.err, procpool.ErrNotDone) {
		c.t.Errorf("step %d of tally %d has no outcome after %v: %+v", s.ID, a.open.ID, patience, s.future.Info())
	}
	if !s.asked && errors.Is(s.err, procpool.ErrActorEnded) {
		select {
		case <-a.ref.Done():
		case <-time.After(patience):
			c.t.Errorf("step %d was told that tally %d has ended, and it does not: %v", s.ID, a.open.ID, s.err)
		}
	}
	kind, complaint := a.judge(s)
	c.tell(kind)
	if complaint != "" {
		c.t.Errorf("step %+v of tally %d (%d restarts, shared %v): %s\nerror: %v\n%+v", s.tallyStep, a.open.ID, a.restarts, a.shared, complaint, s.err, s.future.Info())
	}
}
