package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"context"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// The tasks of a worker in this process.
var (
	emits = procpool.DefineStream("emits", func(_ context.Context, n int, emit func([]byte) error) error {
		for range n {
			if err := emit([]byte("four")[:3]); err != nil { // four bytes with CBOR's head
				return err
			}
		}
		return nil
	})
	takes = procpool.DefineSession("takes", func(ctx context.Context, _ int, recv iter.Seq[[]byte], send func(int) error) error {
		n := 0
		for b := range recv {
			n += len(b)
		}
		return send(n)
	})
	holds = procpool.DefineSession("holds", func(ctx context.Context, _ int, _ iter.Seq[[]byte], _ func(int) error) error {
		<-ctx.Done()
		return ctx.Err()
	})
	plain = procpool.Define("plain", func(_ context.Context, n int) (int, error) { return n, nil })
)

const (
	emitsIndex = iota
	takesIndex
	holdsIndex
	plainIndex
)

// bareHost is a host that speaks the contract through the generated code alone, with a
// worker in this process.
type bareHost struct {
	t      *testing.T
	server *server
	work   grpc.BidiStreamingClient[workerv1.WorkRequest, workerv1.WorkResponse]
	hello  *workerv1.HelloResponse
}

func newBareHost(t *testing.T, lanes uint32) *bareHost {
	t.Helper()
	s, err := newServer([]procpool.Task{emits, takes, holds, plain}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := socketPair(t)
	rpc := s.newRPC(nil)
	serverConn := newPollConn(b, nil)
	s.conn.Store(serverConn)
	l := &oneConn{conn: serverConn, closed: make(chan struct{})}
	served := make(chan struct{})
	go func() { defer close(served); _ = rpc.Serve(l) }()
	client, err := grpc.NewClient(
		"passthrough:worker", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return a, nil }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	t.Cleanup(func() {
		cancel()
		_ = client.Close()
		rpc.Stop()
		<-served
	})
	worker := workerv1.NewWorkerServiceClient(client)
	h := &bareHost{t: t, server: s}
	if h.hello, err = worker.Hello(ctx, &workerv1.HelloRequest{Revision: 1, Lanes: lanes, MaxPayloadBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if h.work, err = worker.Work(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := h.work.Recv(); err != nil || len(r.GetOpening()) == 0 {
		t.Fatalf("the first message is %v, %v", r, err)
	}
	return h
}

func (h *bareHost) send(r *workerv1.WorkRequest) {
	h.t.Helper()
	if err := h.work.Send(r); err != nil {
		h.t.Fatal(err)
	}
}

func (h *bareHost) receive() *workerv1.WorkResponse {
	h.t.Helper()
	r, err := h.work.Recv()
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// values receives until that many values have come, which no outcome may precede, and
// returns in how many messages.
func (h *bareHost) values(n int) (messages [][]*workerv1.StreamValue) {
	h.t.Helper()
	for n > 0 {
		r := h.receive()
		if len(r.GetOutcomes()) > 0 {
			h.t.Fatalf("answered %v while %d values are to come", r.GetOutcomes(), n)
		}
		if len(r.GetValues()) > 0 {
			messages = append(messages, r.GetValues())
			n -= len(r.GetValues())
		}
	}
	if n < 0 {
		h.t.Fatalf("%d values too many came", -n)
	}
	return messages
}

// quiet checks that the worker sends nothing about the call by itself: a plain call on
// another lane is answered first.
func (h *bareHost) quiet() {
	h.t.Helper()
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{Seq: 1000, Lane: 1, Function: plainIndex, Payload: &workerv1.Task_Inline{Inline: []byte{5}}}}})
	r := h.receive()
	if o := r.GetOutcomes(); len(o) != 1 || o[0].GetSeq() != 1000 || !bytes.Equal(o[0].GetInline(), []byte{5}) || len(r.GetValues()) > 0 {
		h.t.Fatalf("got %v, want the answer to a plain call", r)
	}
}

func emitsTask(n byte, values, bytes uint64) *workerv1.Task {
	return &workerv1.Task{Seq: 1, Function: emitsIndex, Payload: &workerv1.Task_Inline{Inline: []byte{n}}, ResultCredit: values, ResultCreditBytes: bytes}
}

func TestServerKeepsToCreditOfValues(t *testing.T) {
	t.Parallel()
	h := newBareHost(t, 2)
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{emitsTask(9, 1, 1000)}})
	h.values(1)
	for range 4 {
		h.quiet()
		// Neither alone is enough.
		h.send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Bytes: 100}, {Seq: 2, Values: 100}, {Seq: 1, Lane: 1, Values: 100}, {Seq: 1, Lane: 99, Values: 1}, {HostCall: 1, Values: 100}}})
		h.quiet()
		h.send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Values: 2}}})
		h.values(2)
	}
	if o := h.receive().GetOutcomes(); len(o) != 1 || o[0].GetSeq() != 1 || o[0].GetFailure() != nil {
		t.Errorf("got %v", o)
	}
}

func TestServerKeepsToCreditOfBytes(t *testing.T) {
	t.Parallel()
	h := newBareHost(t, 2)
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{emitsTask(9, 1000, 9)}})
	h.values(3) // the third begins within the credit and is three bytes over it
	h.quiet()
	h.send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Bytes: 3}}})
	h.quiet()
	h.send(&workerv1.WorkRequest{Credits: []*workerv1.Credit{{Seq: 1, Bytes: 1}}})
	h.values(1)
	h.quiet()
}

// The first value goes alone, those that follow quickly share messages.
func TestServerBatchesValues(t *testing.T) {
	t.Parallel()
	h := newBareHost(t, 1)
	task := emitsTask(0, 1<<30, 1<<30)
	const n = 20_000
	task.Payload = &workerv1.Task_Inline{Inline: []byte{0x19, n >> 8, n & 0xff}}
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{task}})
	messages := h.values(n)
	if len(messages[0]) != 1 {
		t.Errorf("the first message holds %d values", len(messages[0]))
	}
	if len(messages) > n/5 {
		t.Errorf("%d values came in %d messages", n, len(messages))
	}
}

func TestServerRunsASession(t *testing.T) {
	t.Parallel()
	h := newBareHost(t, 2)
	const key, lane = 7, 1
	value := func(data string) *workerv1.StreamValue {
		return &workerv1.StreamValue{Seq: key, Lane: lane, Payload: &workerv1.StreamValue_Inline{Inline: append([]byte{0x40 | byte(len(data))}, data...)}}
	}
	// A value in front of its call is one of a call that does not run.
	h.send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{value("too early")}})
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{
		Seq: key, Lane: lane, Function: takesIndex, Payload: &workerv1.Task_Inline{Inline: []byte{0}}, ResultCredit: 1, ResultCreditBytes: 100, StreamsArgument: true,
	}}})
	if c := h.receive().GetCredits(); len(c) != 1 || c[0].GetSeq() != key || c[0].GetLane() != lane || c[0].GetValues() != inputWindow || c[0].GetBytes() != inputWindowBytes {
		t.Fatalf("got credit %v", c)
	}
	h.send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{
		value("abc"), {Seq: key + 1, Lane: lane, End: true}, {Seq: key, End: true}, {HostCall: key, End: true}, {Seq: key, Lane: 99, End: true}, value("defg"),
	}})
	h.send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{{Seq: key, Lane: lane, End: true}}})
	if got := h.values(1); !bytes.Equal(got[0][0].GetInline(), []byte{7}) {
		t.Errorf("got %v", got)
	}
	if o := h.receive().GetOutcomes(); len(o) != 1 || o[0].GetSeq() != key || o[0].GetFailure() != nil {
		t.Errorf("got %v", o)
	}
	// The call has ended: nobody minds what comes for it.
	h.send(&workerv1.WorkRequest{Values: []*workerv1.StreamValue{value("late")}, Credits: []*workerv1.Credit{{Seq: key, Lane: lane, Values: 5}}})
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{Seq: 1, Function: plainIndex, Payload: &workerv1.Task_Inline{Inline: []byte{5}}}}})
	if o := h.receive().GetOutcomes(); len(o) != 1 || o[0].GetSeq() != 1 {
		t.Errorf("got %v", o)
	}
}

// A host that sends more than it may is left.
func TestServerLeavesAHostThatExceedsItsCredit(t *testing.T) {
	t.Parallel()
	small := &workerv1.StreamValue{Seq: 1, Payload: &workerv1.StreamValue_Inline{Inline: []byte{0x40}}}
	large := &workerv1.StreamValue{Seq: 1, Payload: &workerv1.StreamValue_Inline{Inline: make([]byte, inputWindowBytes)}}
	end := &workerv1.StreamValue{Seq: 1, End: true}
	repeated := func(n int, v *workerv1.StreamValue) (all []*workerv1.StreamValue) {
		for range n {
			all = append(all, v)
		}
		return all
	}
	for name, c := range map[string]struct {
		function uint32
		session  bool
		values   []*workerv1.StreamValue
	}{
		"too many":      {holdsIndex, true, repeated(inputWindow+1, small)},
		"too much":      {holdsIndex, true, repeated(2, large)},
		"behind an end": {holdsIndex, true, []*workerv1.StreamValue{end, small}},
		"two ends":      {holdsIndex, true, []*workerv1.StreamValue{end, end}},
		"to a stream":   {emitsIndex, false, []*workerv1.StreamValue{small}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newBareHost(t, 1)
			h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{
				Seq: 1, Function: c.function, Payload: &workerv1.Task_Inline{Inline: []byte{9}}, ResultCredit: 1, ResultCreditBytes: 100, StreamsArgument: c.session,
			}}})
			h.receive() // the credit, or the first value: it runs
			h.send(&workerv1.WorkRequest{Values: c.values})
			_, err := h.work.Recv()
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "no credit") {
				t.Errorf("got error %v", err)
			}
			select {
			case <-h.server.gone:
			case <-time.After(enough):
				t.Error("the worker stays")
			}
		})
	}
}

// A lane is made for its first call.
func TestServerMakesLanesLazily(t *testing.T) {
	t.Parallel()
	h := newBareHost(t, 300)
	if h.hello.GetLanes() != 300 {
		t.Fatalf("the worker has %d lanes", h.hello.GetLanes())
	}
	h.send(&workerv1.WorkRequest{Tasks: []*workerv1.Task{{Seq: 1, Lane: 299, Function: plainIndex, Payload: &workerv1.Task_Inline{Inline: []byte{5}}}}})
	if o := h.receive().GetOutcomes(); len(o) != 1 || o[0].GetLane() != 299 {
		t.Errorf("got %v", o)
	}
	made := 0
	for i := range h.server.lanes {
		if h.server.lanes[i].Load() != nil {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d lanes were made for one call", made)
	}
}

// liar says that it is a stream and is none.
type liar struct{ procpool.Task }

func (liar) Describe() procpool.TaskInfo {
	return procpool.TaskInfo{Name: "plain", Kind: procpool.KindStream}
}

func TestServerRefusesAKindThatIsNone(t *testing.T) {
	t.Parallel()
	if _, err := newServer([]procpool.Task{liar{plain}}, "", nil); err == nil || !strings.Contains(err.Error(), `"plain" says that it is a stream`) {
		t.Errorf("got %v", err)
	}
}
