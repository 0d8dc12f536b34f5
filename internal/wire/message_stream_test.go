package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// manyValues are values of every kind and size.
func manyValues() []*workerv1.StreamValue {
	values := []*workerv1.StreamValue{
		{Seq: 1, End: true},
		{HostCall: 1 << 50, End: true},
		{Seq: math.MaxUint64, Lane: math.MaxUint32, HostCall: math.MaxUint64, Payload: &workerv1.StreamValue_Inline{Inline: []byte("x")}},
		{Seq: 3},
	}
	for i, n := range payloadSizes {
		values = append(values,
			&workerv1.StreamValue{Seq: uint64(i / 3 * 1000), Lane: uint32(i), HostCall: uint64(1 - min(i/3, 1)), Payload: &workerv1.StreamValue_Inline{Inline: payload(n)}},
			&workerv1.StreamValue{Seq: 9, Payload: &workerv1.StreamValue_Inline{Inline: payload(n)}},
			&workerv1.StreamValue{Seq: 9, Payload: &workerv1.StreamValue_Inline{Inline: payload(n / 2)}})
	}
	return values
}

func manyCredits() []*workerv1.Credit {
	return []*workerv1.Credit{
		{Seq: 1, Values: 512, Bytes: 1 << 19},
		{Seq: 1 << 40, Lane: 7, Values: 1},
		{HostCall: 5, Bytes: 9},
		{Seq: 2, Values: math.MaxUint64, Bytes: math.MaxUint64},
	}
}

// manySides is a message with an element of every kind, an outcome in between.
func manySides() *workerv1.WorkResponse {
	return &workerv1.WorkResponse{
		Outcomes: manyOutcomes().GetOutcomes()[:4], Values: manyValues(), Credits: manyCredits(),
		Progress:    []*workerv1.Progress{{Seq: 1, Done: 0.5, Message: "half"}, {}},
		Logs:        []*workerv1.Log{{Message: "m", Fields: map[string]string{"a": "b"}, Seq: 1}},
		HostCalls:   []*workerv1.HostCall{{Id: 1, Name: "n", Payload: &workerv1.HostCall_Inline{Inline: payload(2 * ownMemory)}}, {Id: 2}},
		HostCancels: []*workerv1.HostCancel{{Id: 1}},
		Opening:     []byte("hello"),
	}
}

func sideResponse(tb testing.TB) []byte {
	tb.Helper()
	m := manySides()
	m.Values = m.GetValues()[:8]
	data, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func compareValues(t *testing.T, got []streamValue, want []*workerv1.StreamValue) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("decoded %d values, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := &got[i]
		if g.seq != w.GetSeq() || g.lane != w.GetLane() || g.hostCall != w.GetHostCall() || g.end != w.GetEnd() || !bytes.Equal(g.data, w.GetInline()) {
			t.Errorf("value %d of %d bytes decoded as %+v, end %v, %d bytes", i, len(w.GetInline()), g.streamKey, g.end, len(g.data))
		}
	}
}

func compareCredits(t *testing.T, got []credit, want []*workerv1.Credit) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("decoded %d credits, want %d", len(got), len(want))
	}
	for i, w := range want {
		key := streamKey{seq: w.GetSeq(), lane: w.GetLane(), hostCall: w.GetHostCall()}
		if g := got[i]; g.streamKey != key || uint64(g.values) != min(w.GetValues(), maxCredit) || uint64(g.bytes) != min(w.GetBytes(), maxCredit) {
			t.Errorf("credit %d decoded as %+v, want %v", i, g, w)
		}
	}
}

// compareSide compares the other elements, kind by kind.
func compareSide(t *testing.T, got []sideElement, want *workerv1.WorkResponse) {
	t.Helper()
	var again []byte
	for _, e := range got {
		again = append(again, byte(e.tag))
		again = appendLength(again, len(e.body))
		again = append(again, e.body...)
	}
	var sides workerv1.WorkResponse
	if err := proto.Unmarshal(again, &sides); err != nil {
		t.Errorf("what was handed on is not what came: %v", err)
		return
	}
	only := &workerv1.WorkResponse{Progress: want.GetProgress(), Logs: want.GetLogs(), HostCalls: want.GetHostCalls(), HostCancels: want.GetHostCancels()}
	if !proto.Equal(&sides, only) {
		t.Errorf("handed on %v, want %v", &sides, only)
	}
}

func appendLength(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

func compareStreams(t *testing.T, b *taskBatch, want []*workerv1.Task) {
	t.Helper()
	for i, w := range want {
		var got taskStream
		if n := b.tasks[i].stream; n > 0 {
			got = b.streams[n-1]
		}
		if (b.tasks[i].stream > 0) != (w.GetResultCredit() > 0) {
			t.Errorf("task %d with credit %d is of stream %d", i, w.GetResultCredit(), b.tasks[i].stream)
		}
		if w.GetResultCredit() > 0 && (uint64(got.credit) != min(w.GetResultCredit(), maxCredit) ||
			uint64(got.creditBytes) != min(w.GetResultCreditBytes(), maxCredit) || got.input != w.GetStreamsArgument()) {
			t.Errorf("task %d begins with %+v, want %v", i, got, w)
		}
	}
}

func compareHostReplies(t *testing.T, got [][]byte, want []*workerv1.HostReply) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("decoded %d replies of the host, want %d", len(got), len(want))
	}
	for i, w := range want {
		var g workerv1.HostReply
		if err := proto.Unmarshal(got[i], &g); err != nil || !proto.Equal(&g, w) {
			t.Errorf("reply %d of the host: %v, error %v, want %v", i, &g, err, w)
		}
	}
}

func TestSideElementsReadTheContract(t *testing.T) {
	t.Parallel()
	response := manySides()
	whole, err := proto.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	pool := newBufferPool()
	rng := rand.New(rand.NewPCG(3, 4))
	var batch replyBatch
	for round := range 20 {
		data := bytes.Clone(whole)
		pieces := mem.BufferSlice{mem.NewBuffer(&data, pool)}
		if round > 0 {
			pieces = split(data, rng)
		}
		if err := batch.unmarshal(pieces, pool); err != nil {
			t.Fatal(err)
		}
		clear(data) // which gRPC uses again
		compareReplies(t, batch.replies, response.GetOutcomes())
		compareValues(t, batch.values, response.GetValues())
		compareCredits(t, batch.credits, response.GetCredits())
		compareSide(t, batch.side, response)
		for i, v := range batch.values {
			if n := len(v.data); n >= ownMemory && cap(v.data) > n+n/4 {
				t.Errorf("value %d has %d bytes and keeps %d", i, n, cap(v.data))
			}
		}
	}
}

func TestRequestElementsReadTheContract(t *testing.T) {
	t.Parallel()
	request := &workerv1.WorkRequest{
		Values: manyValues(), Credits: manyCredits(),
		HostReplies: []*workerv1.HostReply{{Id: 1}, {Id: 2, Result: &workerv1.HostReply_Inline{Inline: payload(1 << 20)}}},
		Tasks:       []*workerv1.Task{{Seq: 1}, {Seq: 2, ResultCredit: 5, ResultCreditBytes: 6, StreamsArgument: true}},
	}
	data, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	pool := newBufferPool()
	batch := newTaskBatch()
	if err := batch.unmarshal(split(data, rand.New(rand.NewPCG(5, 6))), pool); err != nil {
		t.Fatal(err)
	}
	compareTasks(t, batch.tasks, request.GetTasks())
	compareStreams(t, batch, request.GetTasks())
	values, credits, replies := batch.values, batch.credits, batch.hostReplies
	batch.values, batch.credits, batch.hostReplies = nil, nil, nil
	batch.release()
	// What outlives the batch is not in memory that others use now.
	for range 20 {
		b := pool.Get(len(data))
		clear(*b)
	}
	compareValues(t, values, request.GetValues())
	compareCredits(t, credits, request.GetCredits())
	compareHostReplies(t, replies, request.GetHostReplies())
}

func TestPostedRequestIsTheContracts(t *testing.T) {
	t.Parallel()
	box := newPostBox(nil, nil)
	var batch []posting
	want := &workerv1.WorkRequest{}
	for i, n := range payloadSizes {
		key := streamKey{seq: uint64(1 + i*i*i), lane: uint32(i)}
		value := &workerv1.StreamValue{Seq: key.seq, Lane: key.lane}
		if i%3 == 2 {
			key = streamKey{hostCall: uint64(i)}
			value = &workerv1.StreamValue{HostCall: key.hostCall}
		}
		far := box.far(key, nil)
		value.Payload = &workerv1.StreamValue_Inline{Inline: payload(n)}
		batch = append(batch, posting{far: far, data: payload(n)}, posting{far: far, end: true}, posting{far: far, credit: true, values: int64(i), bytes: int64(n)})
		want.Values = append(want.Values, value, &workerv1.StreamValue{Seq: key.seq, Lane: key.lane, HostCall: key.hostCall, End: true})
		want.Credits = append(want.Credits, &workerv1.Credit{Seq: key.seq, Lane: key.lane, HostCall: key.hostCall, Values: uint64(i), Bytes: uint64(n)})
		reply := &workerv1.HostReply{Id: uint64(i + 1), Result: &workerv1.HostReply_Inline{Inline: payload(n)}}
		want.HostReplies = append(want.HostReplies, reply)
		field, err := proto.Marshal(&workerv1.WorkRequest{HostReplies: []*workerv1.HostReply{reply}})
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, posting{data: field[:len(field)-n], large: field[len(field)-n:]})
	}
	out := newPostedRequest(batch).marshal(newBufferPool())
	defer out.Free()
	var got workerv1.WorkRequest
	if err := proto.Unmarshal(out.Materialize(), &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, want) {
		t.Error("what is posted is not what the contract sees")
	}
	large := batch[len(batch)-1].large
	shared := false
	for _, b := range out {
		shared = shared || unsafe.SliceData(b.ReadOnlyData()) == unsafe.SliceData(large)
	}
	if !shared {
		t.Errorf("a reply of %d bytes was copied", len(large))
	}
}
