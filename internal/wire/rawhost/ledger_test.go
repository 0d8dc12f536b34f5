package rawhost_test

import (
	"strings"
	"testing"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// A ledger of a host that offers everything and has sent: calls 1, 2, 3 on lane 0, of
// which 2 was cancelled; a stream 1 on lane 1 with credit for two values and 10 bytes,
// and a session 2 behind it.
func ledger(offers ...string) *rawhost.Ledger {
	l := rawhost.NewLedger(&workerv1.HelloRequest{
		Capabilities: offers, MaxPayloadBytes: 100, LogLevel: workerv1.LogLevel_LOG_LEVEL_WARN,
	}, &workerv1.HelloResponse{Lanes: 2})
	l.Sent(&workerv1.WorkRequest{Tasks: []*workerv1.Task{
		{Seq: 1, ItemSizes: []uint32{0, 0}},
		{Seq: 3},
		{Seq: 1, Lane: 1, ResultCredit: 2, ResultCreditBytes: 10},
		{Seq: 2, Lane: 1, ResultCredit: 1, ResultCreditBytes: 10, StreamsArgument: true},
	}})
	l.Cancelled(0, 2)
	return l
}

func result(lane uint32, seq uint64, size int) *workerv1.Outcome {
	return &workerv1.Outcome{Seq: seq, Lane: lane, Result: &workerv1.Outcome_Inline{Inline: make([]byte, size)}}
}

func declined(lane uint32, seq uint64) *workerv1.Outcome {
	return &workerv1.Outcome{Seq: seq, Lane: lane, Result: &workerv1.Outcome_Declined{Declined: &workerv1.Declined{}}}
}

func outcomes(all ...*workerv1.Outcome) *workerv1.WorkResponse {
	return &workerv1.WorkResponse{Outcomes: all}
}

func value(lane uint32, seq uint64, size int) *workerv1.StreamValue {
	return &workerv1.StreamValue{Seq: seq, Lane: lane, Payload: &workerv1.StreamValue_Inline{Inline: make([]byte, size)}}
}

func values(all ...*workerv1.StreamValue) *workerv1.WorkResponse {
	return &workerv1.WorkResponse{Values: all}
}

func calls(all ...*workerv1.HostCall) *workerv1.WorkResponse {
	return &workerv1.WorkResponse{HostCalls: all}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	everything := []string{"host_call", "actor", "shared_state", "progress", "log"}
	session := &workerv1.HostCall{Id: 7, Name: "s", Codec: "cbor", Kind: workerv1.TaskKind_TASK_KIND_SESSION}
	function := &workerv1.HostCall{Id: 7, Name: "f", Codec: "cbor"}
	toSession := func(size int) *workerv1.StreamValue {
		return &workerv1.StreamValue{HostCall: 7, Payload: &workerv1.StreamValue_Inline{Inline: make([]byte, size)}}
	}
	shared := func(change func(c *workerv1.HostCall)) *workerv1.WorkResponse {
		c := &workerv1.HostCall{Id: 7, ParentSeq: 1, Name: "mutex.unlock", Codec: "cbor", Kind: workerv1.TaskKind_TASK_KIND_SHARED, NoReply: true}
		change(c)
		return calls(c)
	}
	asIs := func(*workerv1.HostCall) {}
	late := declined(0, 2)
	late.RunNanos = 5
	for _, test := range []struct {
		name   string
		offers []string
		sent   []*workerv1.WorkResponse
		want   string // in the error of the last message; empty for none
	}{
		{"in order", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 1)), outcomes(declined(0, 2), result(0, 3, 100)), outcomes(result(1, 1, 0))}, ""},
		{"out of order", everything, []*workerv1.WorkResponse{outcomes(result(0, 2, 1))}, "call 1 was the next to be answered"},
		{"twice", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 1)), outcomes(result(0, 1, 1))}, "call 2 was the next"},
		{"too many", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 1), result(0, 2, 1), result(0, 3, 1), result(0, 4, 1))}, "no answer was due"},
		{"no lane", everything, []*workerv1.WorkResponse{outcomes(result(2, 1, 1))}, "has 2 lanes"},
		{"no number", everything, []*workerv1.WorkResponse{outcomes(result(0, 0, 1))}, "answered call 0"},
		{"too large", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 101))}, "more than max_payload_bytes"},
		{"segment", everything, []*workerv1.WorkResponse{outcomes(&workerv1.Outcome{Seq: 1, Result: &workerv1.Outcome_Segment{Segment: &workerv1.SegmentRef{}}})}, "segment"},
		{"result of a stream", everything, []*workerv1.WorkResponse{outcomes(result(1, 1, 1))}, "is empty"},
		{"declined for nothing", everything, []*workerv1.WorkResponse{outcomes(declined(0, 1))}, "beyond no fence"},
		{"declined and ran", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 1)), outcomes(late)}, "ran for 5 ns"},

		{"values", everything, []*workerv1.WorkResponse{values(value(1, 1, 9), value(1, 1, 50))}, ""},
		{"beyond the values", everything, []*workerv1.WorkResponse{values(value(1, 1, 1), value(1, 1, 1), value(1, 1, 1))}, "credit left was 0 values"},
		{"beyond the bytes", everything, []*workerv1.WorkResponse{values(value(1, 1, 10), value(1, 1, 1))}, "and 0 bytes"},
		{"value too large", everything, []*workerv1.WorkResponse{values(value(1, 1, 101))}, "more than max_payload_bytes"},
		{"value of a function", everything, []*workerv1.WorkResponse{values(value(0, 1, 1))}, "is no stream"},
		{"value before its turn", everything, []*workerv1.WorkResponse{values(value(1, 2, 1))}, "does not run"},
		{"value of nobody", everything, []*workerv1.WorkResponse{values(value(0, 9, 1))}, "does not run"},
		{"value behind the outcome", everything, []*workerv1.WorkResponse{outcomes(result(1, 1, 0)), values(value(1, 1, 1))}, "does not run"},
		{"end of a call that it runs", everything, []*workerv1.WorkResponse{values(&workerv1.StreamValue{Seq: 1, Lane: 1, End: true})}, "sent end"},

		{"call", everything, []*workerv1.WorkResponse{calls(function)}, ""},
		{"call not offered", nil, []*workerv1.WorkResponse{calls(function)}, "not offered"},
		{"call without a number", everything, []*workerv1.WorkResponse{calls(&workerv1.HostCall{Name: "f", Codec: "cbor"})}, "has the id 0"},
		{"call of the same number", everything, []*workerv1.WorkResponse{calls(function), calls(function)}, "not used twice"},
		{"call of nothing", everything, []*workerv1.WorkResponse{calls(&workerv1.HostCall{Id: 1, Codec: "cbor"})}, "it needs both"},
		{"value for a function", everything, []*workerv1.WorkResponse{calls(function), values(toSession(1))}, "is no session"},
		{"value for no call", everything, []*workerv1.WorkResponse{values(toSession(1))}, "has not made"},
		{"value without credit", everything, []*workerv1.WorkResponse{calls(session), values(toSession(1))}, "credit left was 0 values"},
		{"value behind the end", everything, []*workerv1.WorkResponse{calls(session), values(&workerv1.StreamValue{HostCall: 7, End: true}, toSession(1))}, "behind the end"},
		{"call of an actor", everything, []*workerv1.WorkResponse{calls(&workerv1.HostCall{Id: 7, Name: "a", Codec: "cbor", Kind: workerv1.TaskKind_TASK_KIND_ACTOR})}, ""},
		{"call of an actor not offered", []string{"host_call"}, []*workerv1.WorkResponse{calls(&workerv1.HostCall{Id: 7, Name: "a", Codec: "cbor", Kind: workerv1.TaskKind_TASK_KIND_ACTOR})}, "not offered (actor)"},
		{"call without a reply", everything, []*workerv1.WorkResponse{calls(&workerv1.HostCall{Id: 7, Name: "f", Codec: "cbor", NoReply: true})}, "for shared state alone"},

		{"shared", []string{"shared_state"}, []*workerv1.WorkResponse{shared(asIs), shared(asIs), shared(func(c *workerv1.HostCall) { c.NoReply = false })}, ""},
		{"shared not offered", []string{"host_call"}, []*workerv1.WorkResponse{shared(asIs)}, "not offered (shared_state)"},
		{"shared of a number in use", everything, []*workerv1.WorkResponse{calls(function), shared(asIs)}, "not used twice"},
		{"shared of no call", everything, []*workerv1.WorkResponse{shared(func(c *workerv1.HostCall) { c.ParentSeq = 2 })}, "which does not run"},
		{"shared behind the outcome", everything, []*workerv1.WorkResponse{outcomes(result(0, 1, 1)), shared(asIs)}, "which does not run"},
		{"shared in JSON", everything, []*workerv1.WorkResponse{shared(func(c *workerv1.HostCall) { c.Codec = "json" })}, "is cbor"},

		{"progress", everything, []*workerv1.WorkResponse{{Progress: []*workerv1.Progress{{Seq: 1}}}}, ""},
		{"progress not offered", nil, []*workerv1.WorkResponse{{Progress: []*workerv1.Progress{{Seq: 1}}}}, "Progress"},
		{"log", everything, []*workerv1.WorkResponse{{Logs: []*workerv1.Log{{Level: workerv1.LogLevel_LOG_LEVEL_ERROR}}}}, ""},
		{"log below the level", everything, []*workerv1.WorkResponse{{Logs: []*workerv1.Log{{Level: workerv1.LogLevel_LOG_LEVEL_INFO}}}}, "the least that is wanted"},
		{"log not offered", nil, []*workerv1.WorkResponse{{Logs: []*workerv1.Log{{Level: workerv1.LogLevel_LOG_LEVEL_ERROR}}}}, "not offered"},
		{"too many elements", everything, []*workerv1.WorkResponse{{Credits: make([]*workerv1.Credit, 65537)}}, "65537 elements"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := ledger(test.offers...)
			for i, r := range test.sent {
				err := l.Check(r)
				if last := i == len(test.sent)-1; !last || test.want == "" {
					if err != nil {
						t.Errorf("message %d: %v", i, err)
					}
				} else if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
			}
		})
	}
}

// A fence, credit and an answer are what they permit.
func TestLedgerEntersWhatTheHostDoes(t *testing.T) {
	t.Parallel()
	l := ledger("host_call")
	l.Fenced(0, 0)
	if err := l.Check(outcomes(declined(0, 1))); err != nil {
		t.Errorf("beyond a fence: %v", err)
	}
	l.Sent(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Lane: 1, Values: 1, Bytes: 1}, {Seq: 99, Values: 1}}})
	if err := l.Check(values(value(1, 1, 1), value(1, 1, 1), value(1, 1, 50))); err != nil {
		t.Errorf("with more credit: %v", err)
	}
	session := &workerv1.HostCall{Id: 7, Name: "s", Codec: "cbor", Kind: workerv1.TaskKind_TASK_KIND_SESSION}
	toSession := &workerv1.StreamValue{HostCall: 7, Payload: &workerv1.StreamValue_Inline{Inline: []byte{1}}}
	if err := l.Check(calls(session)); err != nil {
		t.Error(err)
	}
	l.Sent(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{HostCall: 7, Values: 1, Bytes: 1}}})
	if err := l.Check(values(toSession)); err != nil {
		t.Errorf("with credit for a session: %v", err)
	}
	l.Sent(&workerv1.WorkRequest{HostReplies: []*workerv1.HostReply{{Id: 7}}})
	if err := l.Check(values(toSession)); err != nil {
		t.Errorf("what crossed the answer: %v", err)
	}
}
