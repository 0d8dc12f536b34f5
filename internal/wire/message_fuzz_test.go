package wire //nolint:testpackage // tests what is not exported

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// FuzzReplyBatch decodes what a worker may send, in one piece, in many, and with
// protobuf's own decoder, which must agree.
func FuzzReplyBatch(f *testing.F) {
	small, err := proto.Marshal(&workerv1.WorkResponse{Outcomes: manyOutcomes().GetOutcomes()[:6]})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Add(sideResponse(f))
	f.Add(tinyOutcomes(nil, 3))
	f.Add([]byte{tagResponseOutcomes, 2, tagOutcomeSeq, 1})
	f.Add([]byte{tagResponseOutcomes | 0x80, 0, 6, tagOutcomeSeq | 0x80, 0, 0x85, 0, tagOutcomeSegment, 0})
	pool := newBufferPool()
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, pieced replyBatch
		var wholeErr, piecedErr error
		// An outcome of four bytes is a structure of a hundred, with a failure
		// in it of four hundred, in a slice that grows; and all that twice.
		boundAllocations(t, len(data), 512, func() {
			buf := append([]byte(nil), data...)
			wholeErr = whole.unmarshal(mem.BufferSlice{mem.NewBuffer(&buf, pool)}, pool)
			piecedErr = pieced.parsePieces(split(data, rand.New(rand.NewPCG(uint64(len(data)), 1))))
		})
		if (wholeErr == nil) != (piecedErr == nil) {
			t.Fatalf("in one piece: %v, in many: %v", wholeErr, piecedErr)
		}
		var response workerv1.WorkResponse
		contractErr := proto.Unmarshal(data, &response)
		if wholeErr != nil || contractErr != nil {
			// We are stricter about sequence numbers, segments and groups.
			// We repair texts, and don't look into fields that we pass over.
			return
		}
		compareReplies(t, whole.replies, response.GetOutcomes())
		compareReplies(t, pieced.replies, response.GetOutcomes())
		for _, b := range []*replyBatch{&whole, &pieced} {
			compareValues(t, b.values, response.GetValues())
			compareCredits(t, b.credits, response.GetCredits())
			compareSide(t, b.side, &response)
		}
	})
}

// FuzzTaskBatch decodes what a host may send, with protobuf's own decoder beside
// it.
func FuzzTaskBatch(f *testing.F) {
	data, err := proto.Marshal(&workerv1.WorkRequest{Tasks: []*workerv1.Task{
		{Seq: 1, Lane: 2, Function: 3, Codec: "cbor", Payload: &workerv1.Task_Inline{Inline: []byte("abc")}, TimeoutNanos: 99},
		{Seq: 300, ItemSizes: []uint32{1, 2}, Payload: &workerv1.Task_Inline{Inline: []byte("abc")}},
		{Seq: 4, Codec: "other", Metadata: map[string]string{"a": "b"}, Attempt: 1 << 31},
		{Seq: 5, Attempt: 2},
		{Seq: 6, ResultCredit: 1024, ResultCreditBytes: 1 << 20, StreamsArgument: true},
		{Seq: 8, Actor: 1<<53 - 1, Method: methodClose},
		{Seq: 9, Actor: 1, Method: 2, Metadata: map[string]string{"a": "b"}},
		{Seq: 7, ResultCredit: 1, Payload: &workerv1.Task_Inline{Inline: []byte("abc")}},
	}, Values: manyValues(), Credits: manyCredits(), HostReplies: []*workerv1.HostReply{{Id: 1, Result: &workerv1.HostReply_Inline{Inline: payload(ownMemory)}}, {Id: 2}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{tagRequestTasks, 6, tagTaskSeq, 1, tagTaskSize, 0, tagTaskSize, 0})
	pool := newBufferPool()
	f.Fuzz(func(t *testing.T, data []byte) {
		batch := newTaskBatch()
		defer batch.release()
		err := batch.unmarshal(split(data, rand.New(rand.NewPCG(uint64(len(data)), 2))), pool)
		var request workerv1.WorkRequest
		contractErr := proto.Unmarshal(data, &request)
		if err != nil || contractErr != nil {
			return
		}
		compareTasks(t, batch.tasks, request.GetTasks())
		compareStreams(t, batch, request.GetTasks())
		compareValues(t, batch.values, request.GetValues())
		compareCredits(t, batch.credits, request.GetCredits())
		compareHostReplies(t, batch.hostReplies, request.GetHostReplies())
	})
}

// FuzzFrames writes frames in pieces and checks that the count of the watched
// stream is right.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 3, 1, 4, 1, 5, 0, 9, 2, 6}, uint64(1), true)
	f.Add([]byte{255, 255, 0, 0, 0}, uint64(2), false)
	f.Fuzz(func(t *testing.T, plan []byte, seed uint64, client bool) {
		opening := []byte("an opening")
		var stream []byte
		if client {
			stream = append(stream, clientPreface...)
		}
		var want uint64
		for i, p := range plan {
			// Type, stream and length of the frame, from one byte.
			typ, id, size := p&1*4, uint32(1+2*(p>>1&3)), int(p>>3)*i
			stream = appendFrame(stream, typ, id, make([]byte, size))
			if i > len(plan)/2 && typ == frameData && id == 3 {
				want += uint64(size)
			}
			if i == len(plan)/2 {
				stream = appendFrame(stream, frameData, 3, slices.Concat(make([]byte, 4), []byte{byte(len(opening))}, opening))
			}
		}
		c := &pollConn{}
		c.watchStream(opening)
		rng := rand.New(rand.NewPCG(seed, 3))
		for len(stream) > 0 {
			n := min(len(stream), 1+rng.IntN(1+rng.IntN(300)))
			c.frames.wrote(stream[:n])
			stream = stream[n:]
		}
		if got := c.written(); got != want {
			t.Errorf("counted %d bytes of the stream, want %d", got, want)
		}
	})
}

func appendFrame(dst []byte, typ byte, stream uint32, body []byte) []byte {
	n := len(body)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), typ, 0, byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
	return append(dst, body...)
}

// FuzzFailure decodes a failure from a worker and makes an error of it.
func FuzzFailure(f *testing.F) {
	seed := failure{kind: 4, task: "t", typ: "T", message: "m", code: "c", stack: "s", lang: "go", codec: "cbor", op: "decode"}
	f.Add(seed.append(nil))
	f.Add([]byte{tagFailureMessage, 2, 0xff, 0xfe, tagFailureKind, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		var got failure
		var err error
		boundAllocations(t, len(data), 8, func() { err = got.parse(data, maxCauses) })
		if err != nil {
			return
		}
		if text := got.err().Error(); !utf8.ValidString(text) {
			t.Errorf("the error's text is %q", text)
		}
		// What we made of it survives another trip.
		var again failure
		if err := again.parse(got.append(nil), maxCauses); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v came back as %+v, error %v", got, again, err)
		}
		var contract workerv1.Failure
		if len(data) < maxFailureText && proto.Unmarshal(data, &contract) == nil &&
			(contract.GetMessage() != got.message || contract.GetOp() != got.op || contract.GetKind() != got.kind) {
			t.Errorf("decoded %+v, protobuf says %v", got, &contract)
		}
	})
}
