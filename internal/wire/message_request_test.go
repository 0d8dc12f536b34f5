package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// payloadSizes are around every place where the encoding changes.
var payloadSizes = []int{0, 1, 100, 110, 120, 127, 128, 129, 1000, ownMemory - 1, ownMemory, ownMemory + 1, 100_000, 3 << 20}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func functionOf(name string) uint32 {
	return map[string]uint32{"square": 0, "echo": 300}[name]
}

// sentTasks marshals r and decodes it as the contract says.
func sentTasks(t *testing.T, r *workRequest) []*workerv1.Task {
	t.Helper()
	out := r.marshal(newBufferPool())
	defer out.Free()
	var request workerv1.WorkRequest
	if err := proto.Unmarshal(out.Materialize(), &request); err != nil {
		t.Fatalf("what we send is not a WorkRequest: %v", err)
	}
	if len(request.GetTasks()) != len(r.calls) {
		t.Fatalf("sent %d calls, the contract sees %d", len(r.calls), len(request.GetTasks()))
	}
	return request.GetTasks()
}

func TestRequestIsTheContracts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), now.Add(90*time.Second))
	defer cancel()
	metadata := map[string]string{"traceparent": "00-1234", "tenant": string(payload(200)[:0]) + "ümlaut", "": "x"}

	r := workRequest{function: functionOf, lane: 5, now: now}
	for _, n := range payloadSizes {
		r.calls = append(r.calls, rawCall(t.Context(), payload(n)))
	}
	r.calls = append(r.calls, rawCall(ctx, payload(9), procpool.Metadata(metadata)), packOf(t, 200), calls(t, 1, 1_000_000)[0])
	for i, c := range r.calls {
		c.Slot.Seq = 1<<40 + uint64(1000*i)
		c.Slot.Attempts = uint16(i % 3 * (1<<15 - 1))
	}

	for i, got := range sentTasks(t, &r) {
		c := r.calls[i]
		name := fmt.Sprintf("call %d of %q with %d bytes", i, c.Task(), len(c.Payload()))
		if got.GetSeq() != c.Slot.Seq || got.GetLane() != 5 || got.GetFunction() != functionOf(c.Task()) || got.GetCodec() != c.Codec() {
			t.Errorf("%s: sent as seq %d, lane %d, function %d, codec %q", name, got.GetSeq(), got.GetLane(), got.GetFunction(), got.GetCodec())
		}
		if !bytes.Equal(got.GetInline(), c.Payload()) {
			t.Errorf("%s: the argument was changed", name)
		}
		if n := uint32(c.Slot.Attempts); n == 0 && got.GetAttempt() != 0 || n > 0 && got.GetAttempt() != n+1 {
			t.Errorf("%s: sent as attempt %d behind %d others", name, got.GetAttempt(), n)
		}
		if !slices.Equal(got.GetItemSizes(), c.ItemSizes()) {
			t.Errorf("%s: item sizes %v, want %v", name, got.GetItemSizes(), c.ItemSizes())
		}
		var timeout time.Duration
		if _, ok := c.Deadline(); ok {
			timeout = 90 * time.Second
		}
		if got := time.Duration(got.GetTimeoutNanos()); got != timeout {
			t.Errorf("%s: time left %v, want %v", name, got, timeout)
		}
		if len(got.GetMetadata()) != len(c.Metadata()) {
			t.Errorf("%s: metadata %q, want %q", name, got.GetMetadata(), c.Metadata())
		}
		for k, v := range c.Metadata() {
			if got.GetMetadata()[k] != v {
				t.Errorf("%s: metadata %q is %q, want %q", name, k, got.GetMetadata()[k], v)
			}
		}
	}
}

func TestRequestLeavesOutTheFirstCodec(t *testing.T) {
	t.Parallel()
	r := workRequest{calls: calls(t, 2, 7), function: functionOf, firstCodec: func(uint32) string { return "cbor" }}
	for _, got := range sentTasks(t, &r) {
		if got.GetCodec() != "" {
			t.Errorf("named the codec %q, which is the task's first", got.GetCodec())
		}
	}
	r.firstCodec = func(uint32) string { return "json" }
	for _, got := range sentTasks(t, &r) {
		if got.GetCodec() != "cbor" {
			t.Errorf("codec %q, want cbor", got.GetCodec())
		}
	}
}

func TestRequestOfPassedDeadlineHasTimeoutLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	r := workRequest{calls: []*procpool.Call{rawCall(ctx, nil)}, function: functionOf, now: time.Now().Add(2 * time.Hour)}
	if got := sentTasks(t, &r)[0].GetTimeoutNanos(); got != 1 {
		t.Errorf("a call past its deadline has %d ns left, want 1: 0 would mean no limit", got)
	}
}

func TestRequestDoesNotCopyLargePayloads(t *testing.T) {
	t.Parallel()
	call := rawCall(t.Context(), payload(1<<20))
	out := (&workRequest{calls: []*procpool.Call{call}, function: functionOf}).marshal(newBufferPool())
	defer out.Free()
	for _, b := range out {
		if unsafe.SliceData(b.ReadOnlyData()) == unsafe.SliceData(call.Payload()) {
			return
		}
	}
	t.Error("an argument of 1 MiB was copied")
}

// split cuts data into pieces at random places.
func split(data []byte, rng *rand.Rand) mem.BufferSlice {
	var pieces mem.BufferSlice
	for len(data) > 0 {
		n := min(len(data), 1+rng.IntN(1+min(rng.IntN(40_000), len(data))))
		pieces = append(pieces, mem.SliceBuffer(data[:n]))
		data = data[n:]
	}
	return pieces
}

func TestTaskBatchReadsTheContract(t *testing.T) {
	t.Parallel()
	request := &workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Values: 3}}}
	for i, n := range payloadSizes {
		request.Tasks = append(request.Tasks, &workerv1.Task{
			Seq: 1<<60 + uint64(i), Lane: uint32(i), Function: 1 << 30, Codec: []string{"", "cbor", "raw", "mine"}[i%4],
			Payload: &workerv1.Task_Inline{Inline: payload(n)}, TimeoutNanos: uint64(i) << 40,
		})
	}
	request.Tasks = append(
		request.Tasks,
		&workerv1.Task{Seq: 1, ItemSizes: []uint32{3, 0, 200}, Payload: &workerv1.Task_Inline{Inline: payload(203)}},
		&workerv1.Task{Seq: 4, Metadata: map[string]string{"a": "b", "": ""}, ResultCredit: 7, StreamsArgument: true},
		&workerv1.Task{Seq: 5, TimeoutNanos: 1<<64 - 1},
	)
	data, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	pool := newBufferPool()
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		pieces := mem.BufferSlice{mem.SliceBuffer(data)}
		if round > 0 {
			pieces = split(data, rng)
		}
		batch := newTaskBatch()
		if err := batch.unmarshal(pieces, pool); err != nil {
			t.Fatal(err)
		}
		compareTasks(t, batch.tasks, request.GetTasks())
		batch.release()
	}
}

func compareTasks(t *testing.T, got []task, want []*workerv1.Task) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("decoded %d tasks, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.seq != w.GetSeq() || g.lane != w.GetLane() || g.function != w.GetFunction() || g.codec != w.GetCodec() ||
			g.attempt != w.GetAttempt() || g.actor != w.GetActor() || g.method != w.GetMethod() || uint64(g.timeout) != min(w.GetTimeoutNanos(), 1<<63-1) {
			t.Errorf("task %d decoded as %+v, want %v", i, g, w)
		}
		if !bytes.Equal(g.payload, w.GetInline()) {
			t.Errorf("task %d: the argument of %d bytes was changed", i, len(w.GetInline()))
		}
		if !slices.Equal(g.sizes, w.GetItemSizes()) {
			t.Errorf("task %d: item sizes %v, want %v", i, g.sizes, w.GetItemSizes())
		}
		if len(g.metadata) != len(w.GetMetadata()) {
			t.Errorf("task %d: metadata %q, want %q", i, g.metadata, w.GetMetadata())
		}
		for k, v := range w.GetMetadata() {
			if g.metadata[k] != v {
				t.Errorf("task %d: metadata %q is %q, want %q", i, k, g.metadata[k], v)
			}
		}
	}
}

func TestTaskBatchRefusesNonsense(t *testing.T) {
	t.Parallel()
	encode := func(tasks ...*workerv1.Task) []byte {
		data, err := proto.Marshal(&workerv1.WorkRequest{Tasks: tasks})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	whole := encode(&workerv1.Task{Seq: 300, Payload: &workerv1.Task_Inline{Inline: []byte("abc")}})
	cases := map[string][]byte{
		"no sequence number":          encode(&workerv1.Task{Lane: 1}),
		"sizes beyond the payload":    encode(&workerv1.Task{Seq: 1, ItemSizes: []uint32{4}, Payload: &workerv1.Task_Inline{Inline: []byte("abc")}}),
		"sizes short of the payload":  encode(&workerv1.Task{Seq: 1, ItemSizes: []uint32{2}, Payload: &workerv1.Task_Inline{Inline: []byte("abc")}}),
		"sizes that overflow 32 bits": encode(&workerv1.Task{Seq: 1, ItemSizes: []uint32{1 << 31, 1 << 31}}),
		"a segment":                   encode(&workerv1.Task{Seq: 1, Payload: &workerv1.Task_Segment{Segment: &workerv1.SegmentRef{Id: 1}}}),
		"an endless varint":           bytes.Repeat([]byte{0xff}, 20),
		"field number 0":              {0, 0},
		"a group":                     {3<<3 | 3, 3<<3 | 4},
		"too many tasks":              bytes.Repeat([]byte{tagRequestTasks, 2, tagTaskSeq, 1}, maxElements+1),
	}
	for n := 1; n < len(whole); n++ {
		cases[fmt.Sprintf("cut behind %d bytes", n)] = whole[:n]
	}
	for name, data := range cases {
		var batch taskBatch
		if err := batch.unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, newBufferPool()); err == nil {
			t.Errorf("%s: decoded as %+v, want an error", name, batch.tasks)
		}
		if len(batch.tasks) != 0 {
			t.Errorf("%s: an error, and %d tasks", name, len(batch.tasks))
		}
	}
}

func TestTaskBatchReleaseByTheLastHolder(t *testing.T) {
	t.Parallel()
	var freed countingPool
	// One task, and an unknown field that fills the rest.
	data := make([]byte, 4096)
	copy(data, []byte{tagRequestTasks, 2, tagTaskSeq, 1})
	data = append(data[:4], []byte{2<<3 | wireBytes, 0xf9, 0x1f}...)[:4096]
	batch := newTaskBatch()
	buf := mem.NewBuffer(&data, &freed)
	if err := batch.unmarshal(mem.BufferSlice{buf}, newBufferPool()); err != nil {
		t.Fatal(err)
	}
	buf.Free() // gRPC's own reference
	batch.retain(2)
	batch.release()
	batch.release()
	if freed.puts != 0 {
		t.Fatal("the message's memory was given back while a lane held the batch")
	}
	batch.release()
	if freed.puts != 1 {
		t.Errorf("the message's memory was given back %d times, want once", freed.puts)
	}
}

// countingPool counts what is given back.
type countingPool struct{ puts int }

func (p *countingPool) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

func (p *countingPool) Put(*[]byte) { p.puts++ }
