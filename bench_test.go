package procpool_test

import (
	"context"
	"slices"
	"testing"

	"github.com/procpool/procpool"
)

// instant is an executor that answers at once, which leaves what the contract
// itself costs.
type instant struct{}

func (instant) Enqueue(_ context.Context, c *procpool.Call, _ int) {
	c.Seal()
	for i, in := range items(c) {
		c.FinishItem(i, in, nil)
	}
}

func BenchmarkSubmitAndResult(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := square.Submit(b.Context(), instant{}, 7).Result(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResultThatIsWaitedFor(b *testing.B) {
	s := newStage(1)
	go func() {
		for c := range s.calls {
			c.Finish(c.Payload(), nil)
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := square.Call(context.Background(), s, 7); err != nil {
			b.Fatal(err)
		}
	}
	close(s.calls)
}

func BenchmarkMap(b *testing.B) {
	s := newStage(1000)
	s.packs = true
	go func() {
		for c := range s.calls {
			c.Seal()
			payload := c.Payload()
			for i, n := range c.ItemSizes() {
				c.FinishItem(i, payload[:n:n], nil)
				payload = payload[n:]
			}
		}
	}()
	b.ReportAllocs()
	inputs := slices.Repeat([]int{7}, b.N)
	b.ResetTimer()
	for _, err := range square.Map(context.Background(), s, slices.Values(inputs)) {
		if err != nil {
			b.Fatal(err)
		}
	}
	close(s.calls)
}
