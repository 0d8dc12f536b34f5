package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/procpool/procpool"
)

var chaosFlowTasks = []procpool.Task{chaosStream, chaosTalk, chaosNest}

// course is what a stream or a session of the chaos test does.
type course struct {
	ID  int
	N   int           // values
	Die int           // before which of them it kills its process; -1 for never
	Nap time.Duration // before each value
}

var (
	// chaosStream yields the numbers below N.
	chaosStream = procpool.DefineStream("chaos_stream", func(ctx context.Context, c course, emit func(int) error) error {
		if err := enter(c.ID, procpool.AttemptFrom(ctx)); err != nil {
			return err
		}
		for i := range c.N {
			if err := c.step(ctx, i); err != nil {
				return err
			}
			if err := emit(i); err != nil {
				return err
			}
		}
		return c.step(ctx, c.N)
	})
	// chaosTalk answers each number with its double.
	chaosTalk = procpool.DefineSession("chaos_talk", func(ctx context.Context, c course, recv iter.Seq[int], send func(int) error) error {
		if err := enter(c.ID, procpool.AttemptFrom(ctx)); err != nil {
			return err
		}
		i := 0
		for n := range recv {
			if err := c.step(ctx, i); err != nil {
				return err
			}
			i++
			if err := send(2 * n); err != nil {
				return err
			}
		}
		return c.step(ctx, i)
	})
	// chaosNest makes calls of its own pool, waits for the first half of them, and then
	// ends as it is told to.
	chaosNest = procpool.Define("chaos_nest", entered(func(ctx context.Context, o order) error {
		var kids []*procpool.Future[answer]
		for i, id := range o.Kids {
			kid := order{ID: id, For: o.For, Base: o.Base + procpool.AttemptFrom(ctx) - 1}
			task := "chaos_nap" // by name, since a variable would refer to itself
			switch {
			case i%3 == 1:
				task = "chaos_tiny"
			case i%7 == 2 && o.Deep > 0:
				task = "chaos_nest"
				kid.Deep = o.Deep - 1
			}
			handle := procpool.Remote[order, answer](task)
			kids = append(kids, handle.Submit(ctx, procpool.ExecutorFrom(ctx), kid))
		}
		for i, f := range kids[:len(kids)/2] {
			got, err := f.Result(ctx)
			if err != nil && !errors.Is(err, procpool.ErrCrashed) && !errors.Is(err, procpool.ErrClosed) && ctx.Err() == nil {
				return fmt.Errorf("its call %d: %w", o.Kids[i], err)
			}
			if err == nil && got.ID != o.Kids[i] {
				return fmt.Errorf("its call %d got the answer of %d", o.Kids[i], got.ID)
			}
		}
		return badEnd(o.How)
	}))
)

func (c course) step(ctx context.Context, i int) error {
	if i == c.Die {
		return badEnd(endKill)
	}
	if c.Nap > 0 {
		return nap(ctx, c.Nap)
	}
	return ctx.Err()
}
