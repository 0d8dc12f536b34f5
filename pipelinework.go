package procpool

import (
	"context"
	"iter"
)

// stageWork is what a stage of a pipeline does.
type stageWork[In, Out any] struct {
	// begin begins with the work on an input, of which a call is made of ex, and
	// returns what comes of it, for one reader. done is called, maybe with locks
	// held, when the work is no longer in flight, with what it failed with if that is
	// known.
	begin func(r *pipelineRun, ex Executor, in In, done func(error)) iter.Seq2[Out, error]
	many  bool // it yields any number of results
}

// whenDone has done called with the call's error, or nil, when there is an outcome.
func (c *Call) whenDone(done func(error)) {
	w := &waiter{here: true, fn: func() { done(c.err) }}
	if !c.addWaiter(w) {
		w.fn()
	}
}

func (f *Func[In, Out]) stageWork() stageWork[In, Out] {
	return stageWork[In, Out]{begin: func(r *pipelineRun, ex Executor, in In, done func(error)) iter.Seq2[Out, error] {
		future := f.Submit(r.ctx, ex, in)
		future.call.whenDone(done)
		return func(yield func(Out, error) bool) { yield(future.await()) }
	}}
}

func (s *Stream[In, Out]) stageWork() stageWork[In, Out] {
	return stageWork[In, Out]{many: true, begin: func(r *pipelineRun, ex Executor, in In, done func(error)) iter.Seq2[Out, error] {
		c, err := startCall(r.ctx, ex, s.spec, in)
		if err != nil {
			done(err)
			return func(yield func(Out, error) bool) {
				var zero Out
				yield(zero, err)
			}
		}
		c.whenDone(done)
		return func(yield func(Out, error) bool) { yieldValues(r.ctx, c, yield) }
	}}
}

// localWork is the work of a function that runs here.
func localWork[In, Out any](fn func(context.Context, In) (Out, error)) stageWork[In, Out] {
	type outcome struct {
		out Out
		err error
	}
	return stageWork[In, Out]{begin: func(r *pipelineRun, _ Executor, in In, done func(error)) iter.Seq2[Out, error] {
		result := make(chan outcome, 1)
		r.wg.Go(func() {
			o := outcome{err: errStagePanicked}
			defer func() {
				if o.err == errStagePanicked { //nolint:errorlint // it never leaves the run
					r.die(recover())
				}
				result <- o
				done(o.err)
			}()
			out, err := fn(r.ctx, in)
			o = outcome{out, err}
		})
		return func(yield func(Out, error) bool) {
			if o, ok := wait(r, result); ok {
				yield(o.out, o.err)
			}
		}
	}}
}
