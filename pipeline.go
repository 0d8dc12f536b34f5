package procpool

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
)

// A Pipeline turns a sequence of inputs into a sequence of results in stages, each of
// which works on several inputs at once while the others do the same. [Stage] makes
// one of a handle and [StageFunc] one of a function of this program; [Join] puts two
// pipelines together. [Pipeline.Run] runs it. A pipeline is immutable and safe for
// concurrent use; each run has queues of its own.
type Pipeline[In, Out any] struct {
	// start starts the stages of a run on what the sequence yields, and returns
	// what comes out of the last.
	start  func(r *pipelineRun, in iter.Seq[flowItem[In]]) iter.Seq[flowItem[Out]]
	stages []stageSettings
	stop   bool // at the first error
}

// StageTask is a handle that can be a stage of a [Pipeline]: a [*Func], which makes one
// result of each input, or a [*Stream], which makes a number of them.
type StageTask[In, Out any] interface {
	// Name returns the task's name.
	Name() string
	stageWork() stageWork[In, Out]
}

// Stage makes a pipeline of one stage, which makes a call of the task for each input.
// The call's own options are the handle's (see [Func.With]): [Timeout], [Retries],
// [Priority] and so on hold in a pipeline as they do elsewhere.
//
// Of a Func up to twice GOMAXPROCS calls are in flight unless [Parallel] says
// otherwise: one that runs and one that waits for each worker of a pool as it is by
// default. Each input is one message each way; where the work on it takes
// microseconds, let an input be many things.
//
// Of a Stream one call at a time is in flight unless Parallel says otherwise. A stream
// holds a worker also while the stages behind it are not ready for its values. So a
// pool in which the streams of a pipeline can take every worker, while other stages
// need one too, comes to a standstill: give it more workers than there are streams at
// a time, or the stage a pool of its own (see [On]).
func Stage[In, Out any](task StageTask[In, Out], opts ...StageOption) *Pipeline[In, Out] {
	work := task.stageWork()
	s := stageSettings{name: task.Name(), parallel: 2 * runtime.GOMAXPROCS(0), buffer: -1}
	if work.many {
		s.parallel = 1
	}
	return newStage(s, work, opts)
}

// StageFunc makes a pipeline of one stage, which calls fn in this program for each
// input. name is for errors. fn is called by one goroutine at a time unless [Parallel]
// says otherwise, so that it may keep state. Its context ends with that of Run and when
// the reader leaves, and Run waits for it to return. A panic in it reaches the reader,
// as one in the input sequence does. StageFunc panics when fn is nil.
func StageFunc[In, Out any](name string, fn func(context.Context, In) (Out, error), opts ...StageOption) *Pipeline[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("procpool: StageFunc(%q): the function is nil", name))
	}
	return newStage(stageSettings{name: name, local: true, parallel: 1, buffer: -1}, localWork(fn), opts)
}

func newStage[In, Out any](s stageSettings, work stageWork[In, Out], opts []StageOption) *Pipeline[In, Out] {
	for _, o := range opts {
		o.applyStage(&s)
	}
	if s.buffer < 0 {
		s.buffer = s.parallel
	}
	return &Pipeline[In, Out]{
		stages: []stageSettings{s},
		start: func(r *pipelineRun, in iter.Seq[flowItem[In]]) iter.Seq[flowItem[Out]] {
			return startStage(r, s, work, in)
		},
	}
}

// Join returns the pipeline in which the results of first are the inputs of then. It
// has the stages of both, so Join(Join(a, b), c) and Join(a, Join(b, c)) are the same,
// and stops at the first error if one of them does.
func Join[In, Mid, Out any](first *Pipeline[In, Mid], then *Pipeline[Mid, Out]) *Pipeline[In, Out] {
	return &Pipeline[In, Out]{
		stages: append(slices.Clip(first.stages), then.stages...),
		stop:   first.stop || then.stop,
		start: func(r *pipelineRun, in iter.Seq[flowItem[In]]) iter.Seq[flowItem[Out]] {
			return then.start(r, first.start(r, in))
		},
	}
}

// StopAtError returns a copy of the pipeline whose runs end at their first error: it is
// yielded last, and once it has happened no more inputs are pulled. Where every stage
// keeps the order, what is yielded is what a loop over the inputs would have come to.
func (p *Pipeline[In, Out]) StopAtError() *Pipeline[In, Out] {
	return &Pipeline[In, Out]{start: p.start, stages: p.stages, stop: true}
}

// Run runs the pipeline over a sequence of inputs and yields what comes out of the last
// stage, in the order of the inputs unless a stage is [Unordered]. The calls are made
// of ex, but for those of a stage that has an executor of its own (see [On]). Run
// panics when a stage has none.
//
// An input that fails in a stage is yielded as a [*StageError] in its place, passes no
// further stage, and the run goes on; see StopAtError. The end of ctx, and a refusal by
// an executor that would meet every input alike (closed, queue full, unknown task, no
// worker starts), are yielded once and end it.
//
// Nothing is pulled, called or kept beyond what the stages have room for: see [Buffer].
// Inputs are pulled in one goroutine. When the reader leaves, the rest is cancelled; Run
// returns when all its goroutines are gone, that is, when a pending pull of in and the
// functions of StageFunc have returned. A panic in the sequence in reaches the reader
// after the results of the inputs before it, or when the reader leaves.
//
// Each use of the returned sequence runs the whole again.
func (p *Pipeline[In, Out]) Run(ctx context.Context, ex Executor, in iter.Seq[In]) iter.Seq2[Out, error] {
	for i, s := range p.stages {
		if ex == nil && s.ex == nil && !s.local {
			panic(fmt.Sprintf("procpool: Pipeline.Run: stage %d (%q) has no executor: give Run one, or the stage with On", i, s.name))
		}
	}
	return func(yield func(Out, error) bool) {
		r := newPipelineRun(ctx, ex, p.stop)
		defer r.stop()
		for item := range p.start(r, pipelineInput(r, in)) {
			if item.err == errStagePanicked { //nolint:errorlint // it never leaves the run
				return
			}
			if !yield(item.value, item.err) || item.err != nil && (item.ends || p.stop) {
				return
			}
		}
		if r.cut.Load() && ctx.Err() != nil {
			var zero Out
			yield(zero, pipelineCancelled(ctx))
		}
	}
}

// pipelineCancelled is the error of a run whose context has ended.
func pipelineCancelled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == err { //nolint:errorlint // identity: is there a cause beside the context's own error?
		return fmt.Errorf("procpool: the pipeline was given up: %w", err)
	}
	return fmt.Errorf("procpool: the pipeline was given up: %w (%w)", err, cause)
}

// StageError says in which stage of a [Pipeline] an input failed. It wraps the error of
// the call, or of the function of [StageFunc].
type StageError struct {
	// Stage is the place of the stage in the pipeline, counted from 0, and Name the
	// name of its task or what StageFunc was given.
	Stage int
	Name  string
	// Input is the place in the pipeline's input, counted from 0, of what it was
	// that failed or came from.
	Input int
	// Err is what went wrong.
	Err error
}

// Error tells which stage failed, with which input, and why.
func (e *StageError) Error() string {
	return fmt.Sprintf("procpool: stage %q failed with input %d: %v", e.Name, e.Input, e.Err)
}

// Unwrap returns what went wrong.
func (e *StageError) Unwrap() error { return e.Err }

// stageSettings is what is said of a stage. It is never modified once a pipeline has
// it.
type stageSettings struct {
	name             string
	parallel, buffer int
	unordered        bool
	local            bool     // it makes no calls
	ex               Executor // nil: the run's
}

// A StageOption says how a stage of a [Pipeline] works. Options are given to [Stage] and
// [StageFunc].
type StageOption interface{ applyStage(*stageSettings) }

type stageOptionFunc func(*stageSettings)

func (f stageOptionFunc) applyStage(s *stageSettings) { f(s) }

// Parallel bounds how many calls of a stage are in flight at a time, running or waiting
// for a worker. It panics when n is below 1.
func Parallel(n int) StageOption {
	if n < 1 {
		panic(fmt.Sprintf("procpool: Parallel(%d): a stage makes at least one call at a time", n))
	}
	return stageOptionFunc(func(s *stageSettings) { s.parallel = min(n, maxWindow) })
}

// Buffer bounds how many inputs a stage has done and not passed on: what waits for the
// next stage, or for its turn behind an input that takes longer. The default is as many
// as the stage does in parallel. So a pipeline holds no more inputs than its stages'
// Parallel and Buffer come to; of a Stream it holds beside these what each call is ahead
// (see [Window]). It panics when n is negative.
func Buffer(n int) StageOption {
	if n < 0 {
		panic(fmt.Sprintf("procpool: Buffer(%d): a buffer can't be smaller than none", n))
	}
	return stageOptionFunc(func(s *stageSettings) { s.buffer = min(n, maxWindow) })
}

// Unordered has a stage pass on each result as soon as it is there, so that one that
// takes long holds up no other.
func Unordered() StageOption {
	return stageOptionFunc(func(s *stageSettings) { s.unordered = true })
}

// On has a stage make its calls of an executor of its own, such as a pool of other
// workers or limits, in place of that which is given to Run. It panics when ex is nil.
func On(ex Executor) StageOption {
	if ex == nil {
		panic("procpool: On(nil): a stage's calls need an executor")
	}
	return stageOptionFunc(func(s *stageSettings) { s.ex = ex })
}
