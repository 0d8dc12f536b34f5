//go:build unix

package executor_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/procpool/procpool"
)

// mapped is a Map of the chaos test.
type mapped struct {
	chaos  *chaos
	task   *procpool.Func[order, answer]
	n      int
	deadly int        // one in so many kills its worker; 0 means none does
	like   record     // what its items have in common
	stop   int        // after how many results its reader leaves; n for never
	mu     sync.Mutex // the input is pulled in a goroutine of Map's
	items  []*record
}

// mapSome maps over some calls, and may leave early.
func (c *chaos) mapSome(rng *rand.Rand) []*record {
	m := &mapped{chaos: c, task: chaosTiny, n: 1 + rng.IntN(600)}
	if m.stop = m.n; rng.IntN(4) == 0 {
		m.stop = rng.IntN(m.n)
	}
	if rng.IntN(2) == 0 {
		m.task, m.deadly = chaosEnd, 100
	}
	var opts []procpool.Option
	if rng.IntN(3) == 0 {
		opts = m.like.mayRunAgain(rng)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	in, task := m.inputs(rng.Uint64()), m.task.With(opts...)
	if rng.IntN(2) == 0 {
		m.read(inOrder(task.Map(ctx, c.pool, in)))
	} else {
		m.read(task.MapUnordered(ctx, c.pool, in))
	}
	return m.items
}

// inOrder gives the results of Map the form of those of MapUnordered.
func inOrder(results iter.Seq2[answer, error]) iter.Seq[procpool.Item[order, answer]] {
	return func(yield func(procpool.Item[order, answer]) bool) {
		i := 0
		for got, err := range results {
			if !yield(procpool.Item[order, answer]{Index: i, Out: got, Err: err}) {
				return
			}
			i++
		}
	}
}

func (m *mapped) inputs(seed uint64) iter.Seq[order] {
	rng := rand.New(rand.NewPCG(seed, 0))
	return func(yield func(order) bool) {
		for range m.n {
			r := &record{order: order{ID: int(m.chaos.ids.Add(1))}, task: m.task.Name(), rerun: m.like.rerun}
			if m.deadly > 0 && rng.IntN(m.deadly) == 0 {
				r.order.How = endKill
			}
			m.mu.Lock()
			m.items = append(m.items, r)
			m.mu.Unlock()
			if !yield(r.order) {
				return
			}
		}
	}
}

// read takes the results.
func (m *mapped) read(results iter.Seq[procpool.Item[order, answer]]) {
	t, n := m.chaos.t, 0
	for item := range results {
		if errors.Is(item.Err, procpool.ErrClosed) && m.chaos.closing.Load() {
			return
		}
		m.mu.Lock()
		if item.Index < 0 || item.Index >= len(m.items) || m.items[item.Index].over {
			t.Errorf("a Map of %d items gives a result for item %d: %v", m.n, item.Index, item.Err)
		} else {
			r := m.items[item.Index]
			r.got, r.err, r.over = item.Out, item.Err, true
		}
		m.mu.Unlock()
		if n++; n == m.stop {
			return
		}
	}
	if n != m.n {
		t.Errorf("Map gave %d results for %d items", n, m.n)
	}
}
