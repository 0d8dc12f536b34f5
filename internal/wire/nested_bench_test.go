//go:build unix

package wire_test

import (
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// BenchmarkNested is a call that a task makes, up to its outcome in the task, where
// the host answers at once. BenchmarkRoundTrip is the plain call beside it.
func BenchmarkNested(b *testing.B) {
	for _, polling := range []bool{true, false} {
		name := "polling"
		if !polling {
			name = "sleeping"
		}
		b.Run(name, func(b *testing.B) {
			h := start(b, func(o *wire.Options) {
				o.OnNested = func(_ uint32, _ uint64, c *procpool.Call) { c.Finish(c.Payload(), nil) }
				o.Env = append(o.Env, "GOMAXPROCS=1")
				if !polling {
					o.Poller = nil
				}
			})
			h.worker.SetHot(true)
			b.ReportAllocs()
			times := mustResult(b, timesAsked.Submit(b.Context(), h, b.N))
			quantiles(b, times)
			var total time.Duration
			for _, d := range times {
				total += d
			}
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/op")
		})
	}
}
