package wire //nolint:testpackage // measures what is not exported

import (
	"testing"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/procpool/procpool"
)

// benchBatch is how many calls or outcomes a batch holds here.
const benchBatch = 256

func BenchmarkRequestMarshal(b *testing.B) {
	pool := newBufferPool()
	r := workRequest{calls: calls(b, benchBatch, 7), function: func(string) uint32 { return 1 }, now: time.Now()}
	r.firstCodec = func(uint32) string { return "cbor" }
	b.ReportAllocs()
	for b.Loop() {
		r.marshal(pool).Free()
	}
	perItem(b, benchBatch)
}

func BenchmarkTaskBatchUnmarshal(b *testing.B) {
	pool := newBufferPool()
	r := workRequest{calls: calls(b, benchBatch, 7), function: func(string) uint32 { return 1 }, now: time.Now()}
	data := r.marshal(pool)
	b.ReportAllocs()
	for b.Loop() {
		batch := newTaskBatch()
		if err := batch.unmarshal(data, pool); err != nil {
			b.Fatal(err)
		}
		batch.release()
	}
	perItem(b, benchBatch)
}

func BenchmarkPackUnmarshal(b *testing.B) {
	pool := newBufferPool()
	r := workRequest{calls: []*procpool.Call{packOf(b, benchBatch)}, function: func(string) uint32 { return 1 }, now: time.Now()}
	data := r.marshal(pool)
	b.ReportAllocs()
	for b.Loop() {
		batch := newTaskBatch()
		if err := batch.unmarshal(data, pool); err != nil {
			b.Fatal(err)
		}
		batch.release()
	}
	perItem(b, benchBatch)
}

func BenchmarkOutcomeAppend(b *testing.B) {
	journal := make([]byte, 0, journalSize)
	b.ReportAllocs()
	for b.Loop() {
		tinyOutcomes(journal, benchBatch)
	}
	perItem(b, benchBatch)
}

func BenchmarkResponseMarshal(b *testing.B) {
	pool := newBufferPool()
	r := workResponse{data: tinyOutcomes(nil, benchBatch)}
	b.ReportAllocs()
	for b.Loop() {
		r.marshal(pool).Free()
	}
	perItem(b, benchBatch)
}

func BenchmarkReplyBatchUnmarshal(b *testing.B) {
	pool := newBufferPool()
	data := mem.BufferSlice{mem.Copy(tinyOutcomes(nil, benchBatch), pool)}
	var batch replyBatch
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.unmarshal(data, pool); err != nil {
			b.Fatal(err)
		}
	}
	perItem(b, benchBatch)
}

// BenchmarkReplyUnmarshalBig decodes one result of 16 MiB that came in frames of
// 16 KiB.
func BenchmarkReplyUnmarshalBig(b *testing.B) {
	const size = 16 << 20
	var r workResponse
	dst, m := beginOutcome(nil, 9, 0)
	r.addBig(append(dst, make([]byte, size)...), m, 1)
	whole := r.marshal(newBufferPool()).Materialize()
	var data mem.BufferSlice
	for len(whole) > 0 {
		n := min(len(whole), 16<<10)
		data = append(data, mem.SliceBuffer(whole[:n]))
		whole = whole[n:]
	}
	pool := newBufferPool()
	var batch replyBatch
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.unmarshal(data, pool); err != nil {
			b.Fatal(err)
		}
	}
}

// perItem reports the time per call.
func perItem(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
}

// tinyOutcomes appends n outcomes of a small result each.
func tinyOutcomes(dst []byte, n int) []byte {
	for i := range n {
		var m outcomeMark
		dst, m = beginOutcome(dst, uint64(70_000+i), 0)
		dst = append(dst, 24, byte(i))
		dst = endOutcome(dst, m, 180*time.Nanosecond)
	}
	return dst
}
