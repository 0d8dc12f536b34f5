//go:build unix

package wire_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// quantiles reports the middle and the end of times.
func quantiles(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e3, "p99-us")
}

// BenchmarkRoundTrip is one Send to its OnReplies, one call at a time.
func BenchmarkRoundTrip(b *testing.B) {
	for _, polling := range []bool{true, false} {
		name := "polling"
		if !polling {
			name = "sleeping"
		}
		b.Run(name, func(b *testing.B) {
			replied := make(chan struct{}, 1)
			h := start(b, func(o *wire.Options) {
				o.OnReplies = func([]wire.Reply) { replied <- struct{}{} }
				o.Env = append(o.Env, "GOMAXPROCS=1")
				if !polling {
					o.Poller = nil
				}
			})
			h.setHold(true)
			square.Submit(b.Context(), h, 7)
			h.worker.SetHot(true)
			times := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			for b.Loop() {
				h.held[0].Slot.Seq++
				began := time.Now()
				h.worker.Send(0, h.held)
				<-replied
				times = append(times, time.Since(began))
			}
			quantiles(b, times)
		})
	}
}

// BenchmarkBatch is tiny calls in batches of 256 through one worker.
func BenchmarkBatch(b *testing.B) {
	const batch, ahead = 256, 4
	var replies atomic.Int64
	room := make(chan struct{}, 1)
	h := start(b, func(o *wire.Options) {
		o.OnReplies = func(r []wire.Reply) {
			replies.Add(int64(len(r)))
			select {
			case room <- struct{}{}:
			default:
			}
		}
		o.Env = append(o.Env, "GOMAXPROCS=1")
	})
	h.setHold(true)
	for i := range batch {
		square.Submit(b.Context(), h, i)
	}
	h.worker.SetHot(true)
	b.ReportAllocs()
	seq, sent := h.seq, int64(0)
	began := time.Now()
	for b.Loop() {
		for sent-replies.Load() > (ahead-1)*batch {
			<-room
		}
		for _, c := range h.held {
			seq++
			c.Slot.Seq = seq
		}
		h.worker.Send(0, h.held)
		sent += batch
	}
	for replies.Load() < sent {
		<-room
	}
	b.ReportMetric(float64(sent)/time.Since(began).Seconds()/1e6, "Mcalls/s")
}

// BenchmarkEcho sends bytes there and back, one call at a time.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			h := start(b, func(o *wire.Options) { o.Env = append(o.Env, "GOMAXPROCS=1") })
			in := make([]byte, size)
			b.SetBytes(2 * int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if got := mustResult(b, echo.Submit(b.Context(), h, in)); len(got) != size {
					b.Fatalf("%d bytes came back", len(got))
				}
			}
		})
	}
}

// BenchmarkStart is a start up to Hello.
func BenchmarkStart(b *testing.B) {
	o := options(b)
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		w, err := wire.Start(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
		w.Kill(nil)
		<-w.Done()
	}
	quantiles(b, times)
}

// BenchmarkKill is SIGKILL of a busy worker to OnExit.
func BenchmarkKill(b *testing.B) {
	o := options(b)
	exited := make(chan time.Time, 1)
	o.OnExit = func(wire.ExitReport) { exited <- time.Now() }
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		w, err := wire.Start(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		h := &testHost{t: b, worker: w, open: make(map[uint64]*procpool.Call)}
		forever.Submit(b.Context(), h, 0)
		h.awaitStarted(1)
		began := time.Now()
		if err := syscall.Kill(w.PID(), syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		times = append(times, (<-exited).Sub(began))
		<-w.Done()
	}
	quantiles(b, times)
}
