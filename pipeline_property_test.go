package procpool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// numbered is what passes through a random pipeline: a value that remembers the input
// that it came of. As an outcome it has the stage in which that failed, or -1.
type numbered struct{ Input, Value, Stage int }

func compareNumbered(a, b numbered) int {
	return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Value, b.Value))
}

// randomStage is one stage of a random pipeline: what it does and what it promises.
type randomStage struct {
	number, parallel, buffer int
	kind                     string
	unordered                bool
	running, most            atomic.Int64
}

func newRandomStage(rng *rand.Rand, number int) *randomStage {
	s := &randomStage{number: number, parallel: 1 + rng.IntN(4), buffer: rng.IntN(4), unordered: rng.IntN(4) == 0}
	s.kind = []string{"call", "stream", "local"}[rng.IntN(3)]
	if s.kind == "stream" {
		s.parallel = 1 // all stages together take fewer places than Inline has
	}
	return s
}

// fails reports whether the stage fails with v.
func (s *randomStage) fails(v numbered) bool { return (v.Value*31+s.number)%11 == 0 }

// results is what the stage makes of v before it fails, if it does.
func (s *randomStage) results(v numbered) []numbered {
	n := 1
	if s.kind == "stream" {
		n = (v.Value + s.number) % 4
	} else if s.fails(v) {
		n = 0
	}
	out := make([]numbered, n)
	for i := range out {
		out[i] = numbered{Input: v.Input, Value: v.Value*3 + i + 1, Stage: -1}
	}
	return out
}

// work is the stage's work on v. It takes some virtual time.
func (s *randomStage) work(ctx context.Context, v numbered, emit func(numbered) error) error {
	running := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.most.Load(); running > most && !s.most.CompareAndSwap(most, running); {
		most = s.most.Load()
	}
	select {
	case <-time.After(time.Duration(v.Value*7919%23) * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, out := range s.results(v) {
		if err := emit(out); err != nil {
			return err
		}
	}
	if s.fails(v) {
		return errBoom
	}
	return nil
}

// one is work where it has one result.
func (s *randomStage) one(ctx context.Context, v numbered) (result numbered, err error) {
	err = s.work(ctx, v, func(out numbered) error { result = out; return nil })
	return result, err
}

// make makes the stage, and the task that it calls if there is one.
func (s *randomStage) make() (*procpool.Pipeline[numbered, numbered], procpool.Task) {
	opts := []procpool.StageOption{procpool.Parallel(s.parallel), procpool.Buffer(s.buffer)}
	if s.unordered {
		opts = append(opts, procpool.Unordered())
	}
	name := fmt.Sprint("stage_", s.number)
	switch s.kind {
	case "call":
		f := procpool.Define(name, s.one)
		return procpool.Stage(f, opts...), f
	case "stream":
		f := procpool.DefineStream(name, s.work, procpool.Window(2))
		return procpool.Stage(f, opts...), f
	}
	return procpool.StageFunc(name, s.one, opts...), nil
}

// sequential is what a loop makes of v in the stages.
func sequential(stages []*randomStage, v numbered) []numbered {
	if len(stages) == 0 {
		return []numbered{v}
	}
	var all []numbered
	for _, out := range stages[0].results(v) {
		all = append(all, sequential(stages[1:], out)...)
	}
	if stages[0].fails(v) {
		all = append(all, numbered{Input: v.Input, Stage: stages[0].number})
	}
	return all
}

// ledger counts the inputs that are in a pipeline.
type ledger struct {
	mu         sync.Mutex
	left       []int // of each input, what is to come of it
	open, most int
}

func (l *ledger) pull(input int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left[input] > 0 {
		l.open++
		l.most = max(l.most, l.open)
	}
}

func (l *ledger) take(input int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[input]--
	if l.left[input] == 0 {
		l.open--
	}
}

// A pipeline of whatever stages yields what a loop would have come to, in its order
// where the order is kept, and holds no more than its bounds on the way.
func TestPipelineProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // to be repeated
			var (
				pipeline *procpool.Pipeline[numbered, numbered]
				stages   []*randomStage
				tasks    []procpool.Task
				ordered  = true
				room     int
			)
			for i := range 1 + rng.IntN(4) {
				s := newRandomStage(rng, i)
				p, task := s.make()
				if task != nil {
					tasks = append(tasks, task)
				}
				if pipeline == nil {
					pipeline = p
				} else {
					pipeline = procpool.Join(pipeline, p)
				}
				stages = append(stages, s)
				ordered = ordered && !s.unordered
				room += s.parallel + s.buffer
			}
			strict := rng.IntN(3) == 0
			if strict {
				pipeline = pipeline.StopAtError()
			}
			var want, got []numbered
			books := &ledger{}
			for i := range rng.IntN(60) {
				all := sequential(stages, numbered{Input: i, Value: i, Stage: -1})
				books.left = append(books.left, len(all))
				want = append(want, all...)
			}
			inputs := func(yield func(numbered) bool) {
				for i := range books.left {
					books.pull(i)
					if !yield(numbered{Input: i, Value: i, Stage: -1}) {
						return
					}
				}
			}
			for v, err := range pipeline.Run(t.Context(), procpooltest.Inline(tasks...), inputs) {
				if err != nil {
					se, ok := errors.AsType[*procpool.StageError](err)
					if !ok || se.Name != fmt.Sprint("stage_", se.Stage) || !errors.Is(err, errBoom) && !taskFailed(err) {
						t.Fatalf("seed %d: %v", seed, err)
					}
					v = numbered{Input: se.Input, Stage: se.Stage}
				}
				books.take(v.Input)
				got = append(got, v)
				if rng.IntN(5) == 0 {
					<-time.After(time.Duration(rng.IntN(50)) * time.Millisecond)
				}
			}
			first := slices.IndexFunc(got, func(v numbered) bool { return v.Stage >= 0 })
			switch failure := func(v numbered) bool { return v.Stage >= 0 }; {
			case strict && first >= 0 && first != len(got)-1:
				t.Errorf("seed %d: %d items follow the first error", seed, len(got)-1-first)
			case strict && ordered && slices.ContainsFunc(want, failure):
				want = want[:slices.IndexFunc(want, failure)+1]
			case strict && first >= 0:
				want = got // what had passed by then is open
			}
			if !ordered {
				slices.SortFunc(got, compareNumbered)
				slices.SortFunc(want, compareNumbered)
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d (%d stages, ordered %v, strict %v):\ngot  %v\nwant %v", seed, len(stages), ordered, strict, got, want)
			}
			if books.most > room+1 { // and the reader has one in its hands
				t.Errorf("seed %d: %d inputs were in the pipeline, which has room for %d", seed, books.most, room)
			}
			for _, s := range stages {
				if most := s.most.Load(); most > int64(s.parallel) {
					t.Errorf("seed %d: stage %d did %d at a time, %d are allowed", seed, s.number, most, s.parallel)
				}
				if n := s.running.Load(); s.kind == "local" && n != 0 {
					t.Errorf("seed %d: Run has returned and %d functions of stage %d run on", seed, n, s.number)
				}
			}
			synctest.Wait()
		})
	}
}

func taskFailed(err error) bool {
	te, ok := errors.AsType[*procpool.TaskError](err)
	return ok && te.Message == errBoom.Error()
}
