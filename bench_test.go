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

// A value's way through the caller's end of a stream, in messages of 64.
func BenchmarkConduit(b *testing.B) {
	c, d := newConduit(1024, 1<<20)
	feed := d.Attach(new(fakeFar), 0)
	message := slices.Repeat([][]byte{encoded(7)}, 64)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%len(message) == 0 && !feed.Values(message) {
			b.Fatal("there is no credit")
		}
		if _, err := d.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	c.Finish(nil, nil)
}

func BenchmarkPipeline(b *testing.B) {
	same := procpool.StageFunc("same", func(_ context.Context, n int) (int, error) { return n, nil })
	p := procpool.Join(procpool.Stage(square), same)
	b.ReportAllocs()
	inputs := slices.Repeat([]int{7}, b.N)
	b.ResetTimer()
	for _, err := range p.Run(b.Context(), instant{}, slices.Values(inputs)) {
		if err != nil {
			b.Fatal(err)
		}
	}
}
