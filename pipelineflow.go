package procpool

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// flowItem is what passes between the stages of a pipeline: a value that came of the
// input with that index, or what it failed with.
type flowItem[T any] struct {
	index int
	value T
	err   error
	ends  bool // the error would meet every other input too
}

// errStagePanicked stands in place of the result of a local function that has ended its
// goroutine.
var errStagePanicked = errors.New("procpool: the function of a stage panicked")

// pipelineRun is what the stages of one run share.
type pipelineRun struct {
	ex     Executor
	ctx    context.Context //nolint:containedctx // ends with the caller's, and when the reader leaves
	cancel context.CancelFunc
	stages int  // started so far
	strict bool // it stops at the first error

	wg      sync.WaitGroup
	cut     atomic.Bool // something was left undone because ctx has ended
	failing atomic.Bool // no more inputs are wanted

	mu       sync.Mutex
	died     bool // code of the caller's ended its goroutine
	panicked any  // with this, unless by runtime.Goexit
}

func newPipelineRun(ctx context.Context, ex Executor, strict bool) *pipelineRun {
	r := &pipelineRun{ex: ex, strict: strict}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// stop ends the run and waits for its goroutines. What ended one of them that ran code
// of the caller's ends the reader's.
func (r *pipelineRun) stop() {
	r.cancel()
	r.wg.Wait()
	switch {
	case r.died && r.panicked == nil:
		runtime.Goexit()
	case r.died:
		panic(r.panicked) //nolint:forbidigo // it is the caller's own
	}
}

// die notes what has ended a goroutine of the run: a panic with v, or runtime.Goexit
// where v is nil.
func (r *pipelineRun) die(v any) {
	r.failing.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.died {
		r.died, r.panicked = true, v
	}
}

// wait receives from ch; false says that the run has ended first, or that ch is closed.
func wait[T any](r *pipelineRun, ch <-chan T) (v T, ok bool) {
	select {
	case v, ok = <-ch:
		return v, ok
	case <-r.ctx.Done():
		r.cut.Store(true)
		return v, false
	}
}

// hand sends v; false says that the run has ended first.
func hand[T any](r *pipelineRun, ch chan<- T, v T) bool {
	select {
	case ch <- v:
		return true
	case <-r.ctx.Done():
		r.cut.Store(true)
		return false
	}
}

// pipelineInput yields the inputs for as long as they are wanted.
func pipelineInput[In any](r *pipelineRun, in iter.Seq[In]) iter.Seq[flowItem[In]] {
	return func(yield func(flowItem[In]) bool) {
		n := 0
		for v := range in {
			if !yield(flowItem[In]{index: n, value: v}) || r.failing.Load() {
				return
			}
			n++
		}
	}
}

// stage is a stage of a run.
type stage[In, Out any] struct {
	stageSettings
	run    *pipelineRun
	number int
	work   stageWork[In, Out]

	room chan struct{} // holds one for each input that the stage has
	busy chan struct{} // holds one for each that is in flight

	// What comes of the inputs: sequences in the order of the inputs, or single
	// items as they are there.
	ordered chan iter.Seq[flowItem[Out]]
	mixed   chan flowItem[Out]
}

// startStage starts a stage and returns what comes out of it, for one reader.
func startStage[In, Out any](r *pipelineRun, set stageSettings, work stageWork[In, Out], in iter.Seq[flowItem[In]]) iter.Seq[flowItem[Out]] {
	if set.ex == nil {
		set.ex = r.ex
	}
	s := &stage[In, Out]{stageSettings: set, run: r, number: r.stages, work: work}
	r.stages++
	s.room, s.busy = make(chan struct{}, s.parallel+s.buffer), make(chan struct{}, s.parallel)
	if s.unordered {
		s.mixed = make(chan flowItem[Out])
		r.wg.Go(func() { s.feedMixed(in) })
		return s.readMixed
	}
	s.ordered = make(chan iter.Seq[flowItem[Out]], s.parallel+s.buffer)
	r.wg.Go(func() {
		defer close(s.ordered)
		s.feed(in, func(results iter.Seq[flowItem[Out]]) { s.ordered <- results }) // there is room
	})
	return s.readOrdered
}

// feed takes the inputs, each once there is room for it, begins with the work on them
// and gives what will come of it to put.
func (s *stage[In, Out]) feed(in iter.Seq[flowItem[In]], put func(iter.Seq[flowItem[Out]])) {
	died := true
	defer func() {
		if died {
			s.run.die(recover())
		}
	}()
	if hand(s.run, s.room, struct{}{}) {
		for item := range in {
			results, ok := s.begin(item)
			if !ok {
				break
			}
			put(results)
			if !hand(s.run, s.room, struct{}{}) {
				break
			}
		}
	}
	died = false
}

// begin begins with the work on an input; false says that the run has ended.
func (s *stage[In, Out]) begin(in flowItem[In]) (iter.Seq[flowItem[Out]], bool) {
	if in.err != nil {
		return func(yield func(flowItem[Out]) bool) {
			yield(flowItem[Out]{index: in.index, err: in.err, ends: in.ends})
		}, true
	}
	if !hand(s.run, s.busy, struct{}{}) {
		return nil, false
	}
	results := s.work.begin(s.run, s.ex, in.value, func(err error) {
		<-s.busy
		if err != nil && s.run.strict {
			s.run.failing.Store(true) // long before it is read, maybe
		}
	})
	return func(yield func(flowItem[Out]) bool) {
		for value, err := range results {
			out := flowItem[Out]{index: in.index, value: value}
			if err != nil {
				if s.run.ctx.Err() != nil {
					s.run.cut.Store(true)
					return
				}
				s.fail(&out, err)
			}
			if !yield(out) {
				return
			}
		}
	}, true
}

// fail makes item one that has failed.
func (s *stage[In, Out]) fail(item *flowItem[Out], err error) {
	_, cancelled := errors.AsType[*cancelError](err)
	item.err, item.ends = err, !s.local && endsMap(err)
	switch {
	case err == errStagePanicked: //nolint:errorlint // it never leaves the run
	case item.ends && cancelled: // the context has ended, or is about to
	default:
		item.err = &StageError{Stage: s.number, Name: s.name, Input: item.index, Err: err}
	}
	if item.ends || s.run.strict {
		s.run.failing.Store(true)
	}
}

// readOrdered yields what came of one input after the other. It runs on the goroutine
// of the next stage, which has room when it asks for an item.
func (s *stage[In, Out]) readOrdered(yield func(flowItem[Out]) bool) {
	for {
		results, more := wait(s.run, s.ordered)
		if !more {
			return
		}
		left := s.work.many // only the end tells which of many is the last
		for item := range results {
			if !left {
				<-s.room
			}
			if !yield(item) {
				return
			}
		}
		if left {
			<-s.room
		}
	}
}

// feedMixed is feed with a goroutine for each input, which passes on what comes of it.
func (s *stage[In, Out]) feedMixed(in iter.Seq[flowItem[In]]) {
	var passing sync.WaitGroup
	defer func() { // also after runtime.Goexit
		passing.Wait()
		close(s.mixed)
	}()
	s.feed(in, func(results iter.Seq[flowItem[Out]]) {
		passing.Add(1)
		s.run.wg.Go(func() {
			defer passing.Done()
			for item := range results {
				if !hand(s.run, s.mixed, item) {
					return
				}
			}
			<-s.room
		})
	})
}

// readMixed yields what came of the inputs as it is there.
func (s *stage[In, Out]) readMixed(yield func(flowItem[Out]) bool) {
	for {
		item, more := wait(s.run, s.mixed)
		if !more || !yield(item) {
			return
		}
	}
}
