package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// sentOutcomes decodes what a worker sends as the contract says.
func sentOutcomes(t *testing.T, r *workResponse) []*workerv1.Outcome {
	t.Helper()
	out := r.marshal(newBufferPool())
	defer out.Free()
	if out.Len() != r.size() || r.wireSize() != uint64(5+out.Len()) {
		t.Errorf("the message has %d bytes, announced were %d, with gRPC's header %d", out.Len(), r.size(), r.wireSize())
	}
	var response workerv1.WorkResponse
	if err := proto.Unmarshal(out.Materialize(), &response); err != nil {
		t.Fatalf("what we send is not a WorkResponse: %v", err)
	}
	return response.GetOutcomes()
}

func TestOutcomeIsTheContracts(t *testing.T) {
	t.Parallel()
	var r workResponse
	var want []*workerv1.Outcome
	for i, n := range payloadSizes {
		seq, lane, run := uint64(1)<<(4*i)+1, uint32(i*i), time.Duration(i)*time.Second
		var m outcomeMark
		r.data, m = beginOutcome(r.data, seq, lane)
		r.data = append(r.data, payload(n)...)
		if got := len(r.data) - m.result; got != n {
			t.Errorf("a result of %d bytes is taken for one of %d", n, got)
		}
		r.data = endOutcome(r.data, m, run)
		want = append(want, &workerv1.Outcome{
			Seq: seq, Lane: lane, RunNanos: uint64(run), Result: &workerv1.Outcome_Inline{Inline: payload(n)},
		})
	}
	r.data = appendDeclined(r.data, 77, 0)
	want = append(want, &workerv1.Outcome{Seq: 77, Result: &workerv1.Outcome_Declined{Declined: &workerv1.Declined{}}})

	dst, m := beginOutcome(r.data, 78, 1)
	dst = append(dst, "half a result"...)
	r.data = failOutcome(dst, m, time.Millisecond, "echo", errors.New("no paper"))
	want = append(want, &workerv1.Outcome{Seq: 78, Lane: 1, RunNanos: 1e6, Result: &workerv1.Outcome_Failure{Failure: &workerv1.Failure{
		Kind: workerv1.FailureKind_FAILURE_KIND_TASK, Task: "echo", Type: "*errors.errorString", Message: "no paper", Language: "go",
	}}})
	for _, n := range []int{0, 20_000, 3 << 20} {
		dst, m := beginOutcome([]byte("something before"), uint64(100+n), 3)
		r.addBig(append(dst, payload(n)...), m, time.Minute)
		want = append(want, &workerv1.Outcome{
			Seq: uint64(100 + n), Lane: 3, RunNanos: uint64(time.Minute), Result: &workerv1.Outcome_Inline{Inline: payload(n)},
		})
	}

	got := sentOutcomes(t, &r)
	if len(got) != len(want) {
		t.Fatalf("the contract sees %d outcomes, want %d", len(got), len(want))
	}
	for i := range want {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("outcome %d: seq %d, lane %d, %v, want seq %d, lane %d, %v", i,
				got[i].GetSeq(), got[i].GetLane(), got[i].GetFailure(), want[i].GetSeq(), want[i].GetLane(), want[i].GetFailure())
		}
	}
}

func TestOutcomeNeedsNoMoreThanItsSlack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 127, 128, 20_000} {
		dst, m := beginOutcome(make([]byte, 0, n+outcomeSlack), 1<<64-1, 1<<32-1)
		dst = append(dst, payload(n)...)
		end := endOutcome(dst, m, 1<<63-1)
		if unsafe.SliceData(end) != unsafe.SliceData(dst) {
			t.Errorf("the outcome of a result of %d bytes takes %d bytes, more than %d beside it", n, len(end), outcomeSlack)
		}
	}
}

func TestBigResultIsNotCopied(t *testing.T) {
	t.Parallel()
	var r workResponse
	dst, m := beginOutcome(nil, 1, 0)
	dst = append(dst, payload(1<<20)...)
	r.addBig(dst, m, 0)
	out := r.marshal(newBufferPool())
	defer out.Free()
	if i := slices.IndexFunc(out, func(b mem.Buffer) bool {
		return unsafe.SliceData(b.ReadOnlyData()) == unsafe.SliceData(dst[m.result:])
	}); i < 0 {
		t.Error("a result of 1 MiB was copied")
	}
}

// manyOutcomes is a message with outcomes of every kind and size.
func manyOutcomes() *workerv1.WorkResponse {
	response := &workerv1.WorkResponse{Opening: []byte("hello"), Credits: []*workerv1.Credit{{Seq: 9}}}
	for i, n := range append([]int{3, 5, 7, 11}, payloadSizes...) {
		response.Outcomes = append(
			response.Outcomes,
			&workerv1.Outcome{
				Seq: uint64(i + 1), Lane: uint32(i), RunNanos: uint64(i) * 1e6, Result: &workerv1.Outcome_Inline{Inline: payload(n)},
			},
			&workerv1.Outcome{Seq: 1 << 63, Result: &workerv1.Outcome_Declined{Declined: &workerv1.Declined{}}},
			&workerv1.Outcome{Seq: 4, Lane: 2, RunNanos: 5, Result: &workerv1.Outcome_Failure{Failure: &workerv1.Failure{
				Kind: workerv1.FailureKind_FAILURE_KIND_TASK, Task: "t", Type: "E", Message: string(bytes.Repeat([]byte("m"), n%70_000)),
				Code: "c", Stack: "s", Language: "l", Notes: []string{"note"}, Cause: &workerv1.Failure{Message: "cause"},
			}}},
		)
	}
	return response
}

func compareReplies(t *testing.T, got []Reply, want []*workerv1.Outcome) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("decoded %d replies, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Seq != w.GetSeq() || g.Lane != w.GetLane() || uint64(g.Run) != min(w.GetRunNanos(), 1<<63-1) {
			t.Errorf("reply %d decoded as seq %d, lane %d, %v, want seq %d, lane %d, %d ns", i, g.Seq, g.Lane, g.Run, w.GetSeq(), w.GetLane(), w.GetRunNanos())
		}
		kind := Result
		switch w.GetResult().(type) {
		case *workerv1.Outcome_Failure:
			kind = Failed
		case *workerv1.Outcome_Declined:
			kind = Declined
		}
		if g.Kind != kind || (g.Err != nil) != (kind == Failed) {
			t.Errorf("reply %d is of kind %d with error %v, want kind %d", i, g.Kind, g.Err, kind)
		}
		if !bytes.Equal(g.Data, w.GetInline()) {
			t.Errorf("reply %d: the result of %d bytes was changed", i, len(w.GetInline()))
		}
		var te *procpool.TaskError
		if f := w.GetFailure(); errors.As(g.Err, &te) && (te.Task != f.GetTask() || te.Type != f.GetType() || te.Code != f.GetCode() ||
			te.Stack != f.GetStack() || te.Language != f.GetLanguage() || te.Message != cutText(f.GetMessage())) {
			t.Errorf("reply %d: failure %#v, want %v", i, te, f)
		}
	}
}

func TestReplyBatchReadsTheContract(t *testing.T) {
	t.Parallel()
	response := manyOutcomes()
	whole, err := proto.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	pool := newBufferPool()
	rng := rand.New(rand.NewPCG(3, 4))
	var batch replyBatch
	for round := range 30 {
		// What gRPC reads into is overwritten when we have decoded it.
		data := bytes.Clone(whole)
		pieces := mem.BufferSlice{mem.NewBuffer(&data, pool)}
		if round > 0 {
			pieces = nil
			for _, s := range split(data, rng) {
				b := s.ReadOnlyData()
				if len(b) <= 1024 {
					b = bytes.Clone(b) // as gRPC does, which then never uses them again
				}
				pieces = append(pieces, mem.SliceBuffer(b))
			}
		}
		if err := batch.unmarshal(pieces, pool); err != nil {
			t.Fatal(err)
		}
		clear(data)
		compareReplies(t, batch.replies, response.GetOutcomes())
	}
}

func TestReplyBatchOfSmallMessages(t *testing.T) {
	t.Parallel()
	pool := newBufferPool()
	for _, results := range [][]int{{1}, {0}, {100, 3, 0, 900}, {ownMemory - 1, ownMemory, 1}, {40_000}} {
		response := &workerv1.WorkResponse{}
		for i, n := range results {
			response.Outcomes = append(response.Outcomes, &workerv1.Outcome{Seq: uint64(i + 1), Result: &workerv1.Outcome_Inline{Inline: payload(n)}})
		}
		data, err := proto.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		var batch replyBatch
		if err := batch.unmarshal(mem.BufferSlice{mem.Copy(data, pool)}, pool); err != nil {
			t.Fatal(err)
		}
		compareReplies(t, batch.replies, response.GetOutcomes())
		for i, r := range batch.replies {
			if n := len(r.Data); n >= ownMemory && cap(r.Data) > n+n/4 {
				t.Errorf("result %d of %v has %d bytes and keeps %d", i, results, n, cap(r.Data))
			}
		}
	}
}

func TestResultsDoNotOverlap(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{
		{Seq: 1, Result: &workerv1.Outcome_Inline{Inline: payload(2000)}},
		{Seq: 2, Result: &workerv1.Outcome_Inline{Inline: payload(2000)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pool := newBufferPool()
	var batch replyBatch
	if err := batch.unmarshal(mem.BufferSlice{mem.Copy(data, pool)}, pool); err != nil {
		t.Fatal(err)
	}
	_ = append(batch.replies[0].Data, "overflow"...)
	if !bytes.Equal(batch.replies[1].Data, payload(2000)) {
		t.Error("appending to one result changed the next")
	}
}

func TestReplyBatchRefusesNonsense(t *testing.T) {
	t.Parallel()
	encode := func(outcomes ...*workerv1.Outcome) []byte {
		data, err := proto.Marshal(&workerv1.WorkResponse{Outcomes: outcomes})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	whole := encode(&workerv1.Outcome{Seq: 300, RunNanos: 1 << 40, Result: &workerv1.Outcome_Inline{Inline: []byte("abc")}})
	cases := map[string][]byte{
		"no sequence number":   encode(&workerv1.Outcome{Lane: 1, Result: &workerv1.Outcome_Inline{Inline: []byte("abc")}}),
		"nothing in it":        {tagResponseOutcomes, 0},
		"a segment":            encode(&workerv1.Outcome{Seq: 1, Result: &workerv1.Outcome_Segment{Segment: &workerv1.SegmentRef{Id: 1}}}),
		"an endless varint":    bytes.Repeat([]byte{0xff}, 20),
		"field number 0":       {0, 0},
		"a group":              {9<<3 | 3, 9<<3 | 4},
		"a group within":       {tagResponseOutcomes, 4, tagOutcomeSeq, 1, 9<<3 | 3, 9<<3 | 4},
		"length of 63 bits":    {tagResponseOutcomes, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1},
		"a broken failure":     {tagResponseOutcomes, 6, tagOutcomeSeq, 1, tagOutcomeFailure, 2, tagFailureMessage, 9},
		"too many outcomes":    bytes.Repeat([]byte{tagResponseOutcomes, 2, tagOutcomeSeq, 1}, maxElements+1),
		"an overlong fixed32":  {15<<3 | 5, 1, 2},
		"a seq that overflows": append([]byte{tagResponseOutcomes, 12, tagOutcomeSeq}, bytes.Repeat([]byte{0xff}, 11)...),
	}
	for n := 1; n < len(whole); n++ {
		cases[fmt.Sprintf("cut behind %d bytes", n)] = whole[:n]
	}
	for name, data := range cases {
		var batch replyBatch
		if err := batch.unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, newBufferPool()); err == nil {
			t.Errorf("%s: decoded as %+v, want an error", name, batch.replies)
		}
		// The same in pieces, behind a result that makes the message long.
		long := append(encode(&workerv1.Outcome{Seq: 1, Result: &workerv1.Outcome_Inline{Inline: payload(2 * wholeMessage)}}), data...)
		if err := batch.unmarshal(split(long, rand.New(rand.NewPCG(1, 2))), newBufferPool()); err == nil {
			t.Errorf("%s, in pieces: decoded, want an error", name)
		}
	}
}

func TestDecodeRepliesKeepsWhatCameBeforeTheDamage(t *testing.T) {
	t.Parallel()
	journal := tinyOutcomes(nil, 3)
	got, err := decodeReplies(make([]Reply, 1), append(journal, tagResponseOutcomes, 200))
	if err == nil || len(got) != 1+3 {
		t.Errorf("of three good outcomes and a broken one, decoded %d with error %v", len(got)-1, err)
	}
}

// TestHostileReplyAllocatesInProportion holds that no message makes the host
// allocate without bound. It is not parallel, for the others allocate too.
func TestHostileReplyAllocatesInProportion(t *testing.T) {
	outcome := []byte{tagResponseOutcomes, 4, tagOutcomeSeq, 1, tagOutcomeFailure, 0}
	many := bytes.Repeat(outcome, maxElements)
	var batch replyBatch
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := batch.unmarshal(mem.BufferSlice{mem.SliceBuffer(many)}, newBufferPool())
	runtime.ReadMemStats(&after)
	if err != nil || len(batch.replies) != maxElements {
		t.Fatalf("decoded %d replies with error %v, want %d", len(batch.replies), err, maxElements)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	if limit := uint64(maxElements) * 1024; allocated > limit {
		t.Errorf("a message of %d bytes made the host allocate %d, want at most %d", len(many), allocated, limit)
	}
}
