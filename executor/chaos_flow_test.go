//go:build unix

package executor_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/procpool/procpool"
)

func (c *chaos) newCourse(rng *rand.Rand) (course, *record) {
	in := course{ID: int(c.ids.Add(1)), N: rng.IntN(8), Die: -1}
	if rng.IntN(3) == 0 {
		in.N = rng.IntN(3000)
	}
	if rng.IntN(4) == 0 {
		in.Die = rng.IntN(in.N + 1)
	}
	if in.N < 20 && rng.IntN(2) == 0 {
		in.Nap = time.Duration(rng.Int64N(int64(10 * time.Millisecond)))
	}
	return in, &record{order: order{ID: in.ID}, task: "a flow"}
}

// window chooses how far a task may be ahead of its reader.
func window(rng *rand.Rand) procpool.Option {
	return procpool.Window([]int{1, 2, 16, 1024}[rng.IntN(4)])
}

// stream reads a stream, may be slow, and may leave. A crash before the first value,
// between values, while the reader waits and while the task is out of credit all end
// it with what had come, in order, and a *CrashError.
func (c *chaos) stream(rng *rand.Rand) *record {
	in, r := c.newCourse(rng)
	opts := []procpool.Option{window(rng)}
	if rng.IntN(3) == 0 {
		opts = append(opts, r.mayRunAgain(rng)...)
	}
	leave, slow := -1, rng.IntN(4) == 0
	if rng.IntN(4) == 0 {
		leave = rng.IntN(in.N + 1)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	n := 0
	for v, err := range chaosStream.All(ctx, c.pool, in, opts...) {
		if r.err = err; err != nil {
			break
		}
		if v != n {
			c.t.Errorf("value %d of stream %d is %d", n, in.ID, v)
		}
		if n++; n == leave {
			c.tell("left")
			return r
		}
		if slow && n < 10 {
			pause(c.t.Context(), rng.IntN(5))
		}
	}
	if r.err == nil && (n != in.N || in.Die >= 0) {
		c.t.Errorf("stream %d ended with %d of %d values, and was to die at %d", in.ID, n, in.N, in.Die)
	}
	if in.Die >= 0 && n > in.Die {
		c.t.Errorf("stream %d was to die before value %d and yielded %d", in.ID, in.Die, n)
	}
	c.judgeFlow(in, r)
	return r
}

// talk converses with a session, in turn or not, and may leave it.
func (c *chaos) talk(rng *rand.Rand) *record {
	in, r := c.newCourse(rng)
	in.N = min(in.N, 300)
	in.Die = min(in.Die, in.N)
	opts := []procpool.Option{window(rng)}
	if rng.IntN(4) == 0 {
		opts = append(opts, procpool.Shared())
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	talk := chaosTalk.Open(ctx, c.pool, in, opts...)
	defer talk.Close()
	sent := make(chan error, 1)
	go func() {
		defer close(sent)
		for i := range in.N {
			if err := talk.Send(ctx, i); err != nil {
				sent <- err
				return
			}
		}
		talk.CloseSend()
	}()
	leave := -1
	if rng.IntN(4) == 0 {
		leave = rng.IntN(in.N + 1)
	}
	n := 0
	for ; n != leave; n++ {
		v, err := talk.Recv(ctx)
		if err == io.EOF { //nolint:errorlint // Recv returns it bare
			break
		}
		if r.err = err; err != nil {
			break
		}
		if v != 2*n {
			c.t.Errorf("answer %d of session %d is %d", n, in.ID, v)
		}
	}
	if n == leave {
		_ = talk.Close() // it may have ended in any way
	}
	if err := <-sent; err != nil && r.err == nil && n != leave {
		c.t.Errorf("session %d ended well, and could not be sent a value: %v", in.ID, err)
	}
	if r.err == nil && n != leave && (n != in.N || in.Die >= 0) {
		c.t.Errorf("session %d ended with %d of %d answers, and was to die at %d", in.ID, n, in.N, in.Die)
	}
	c.judgeFlow(in, r)
	return r
}

// judgeFlow says what is wrong with how a stream or a session has ended.
func (c *chaos) judgeFlow(in course, r *record) {
	crash, crashed := errors.AsType[*procpool.CrashError](r.err)
	_, unstarted := errors.AsType[*procpool.StartError](r.err)
	switch {
	case r.err == nil:
		c.tell("flowed")
	case crashed:
		c.tell("crashed in its flow")
		if !c.shared && in.Die < 0 && !c.monkey.hasHarmed(crash.Worker, crash.PID) {
			c.t.Errorf("the worker of flow %d was left alone: %v", in.ID, r.err)
		}
	case unstarted:
		c.tell("not started") // all its processes were killed before they were ready
	case errors.Is(r.err, procpool.ErrClosed) && c.closing.Load():
		c.tell("closed")
	default:
		c.t.Errorf("flow %d: %v", in.ID, r.err)
	}
}

func (c *chaos) tell(outcome string) {
	c.outcomes.mu.Lock()
	defer c.outcomes.mu.Unlock()
	c.outcomes.times[outcome]++
}

// nest submits a call that makes calls itself, and returns all of them.
func (c *chaos) nest(rng *rand.Rand) (parent *record, kids []*record) {
	n := rng.IntN(12)
	first := int(c.ids.Add(int64(n)+1)) - n
	o := order{ID: first, Deep: 2, For: time.Duration(rng.Int64N(int64(5 * time.Millisecond)))}
	if rng.IntN(3) == 0 {
		o.How = []string{endFail, endPanic, endExit, endKill}[rng.IntN(4)]
	}
	parent = &record{order: o, task: chaosNest.Name()}
	for i := range n {
		parent.order.Kids = append(parent.order.Kids, first+1+i)
	}
	ctx, giveUp := c.patienceFor(rng, parent)
	opts := c.options(rng, parent)
	c.ids.Add(int64(n * parent.rerun)) // it makes its calls each time that it runs
	parent.future = chaosNest.Submit(ctx, c.pool, parent.order, opts...)
	parent.future.OnDone(func() { parent.told.Add(1) })
	for i := range n {
		kids = append(kids, &record{order: order{ID: first + 1 + i}, task: "a nested call", rerun: parent.rerun})
	}
	if giveUp != nil {
		pause(c.t.Context(), rng.IntN(10))
		if parent.deadline {
			parent.future.OnDone(giveUp)
		} else {
			giveUp()
		}
	}
	return parent, kids
}
