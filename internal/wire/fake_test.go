//go:build unix

package wire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire"
)

// A fake worker speaks the contract through the generated code alone, as an SDK
// in another language would, and breaks it where its behaviour says so.
type fakeWorker struct {
	workerv1.UnimplementedWorkerServiceServer
	behaviour string
}

const fakePrefix = "fake-"

func runFake(behaviour string) int {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "fake")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2(proto.Name)}))
	workerv1.RegisterWorkerServiceServer(s, fakeWorker{behaviour: behaviour})
	go func() { _ = s.Serve(l) }()
	fmt.Println("1|1|unix|" + path + "|grpc")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// rawMessage is a message that is sent as it is.
type rawMessage []byte

type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if raw, ok := v.(rawMessage); ok {
		return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (f fakeWorker) Hello(_ context.Context, r *workerv1.HelloRequest) (*workerv1.HelloResponse, error) {
	h := &workerv1.HelloResponse{
		Sdk: "fake", Language: "none", Revision: 1, Lanes: r.GetLanes(),
		Tasks: []*workerv1.TaskDescription{{Name: "square", Codecs: []string{"cbor"}}},
	}
	if strings.HasPrefix(f.behaviour, streamPrefix) {
		fakeStreams(h)
	}
	switch f.behaviour {
	case "dies-in-hello":
		dies()
	case "refuses":
		return nil, status.Error(codes.Internal, "the moon is in the wrong phase")
	case "no-revision":
		h.Revision = 0
	case "future":
		h.Revision = 99
	case "no-lanes":
		h.Lanes = 0
	case "many-lanes":
		h.Lanes = 1000
	case "twice":
		h.Tasks = append(h.Tasks, h.GetTasks()[0])
	case "nonsense-page":
		h.RecorderOpen = true
	case "methods-twice", "methods-nameless", "actors-unknown", "actors":
		fakeActor(h, f.behaviour)
	}
	return h, nil
}

func (f fakeWorker) Work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	if f.behaviour == "dies-behind-hello" {
		dies()
	}
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, task := range request.GetTasks() {
			if err := f.answer(stream, task); err != nil {
				return err
			}
		}
	}
}

func (f fakeWorker) answer(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse], task *workerv1.Task) error {
	switch {
	case strings.HasPrefix(f.behaviour, fakeNested):
		return f.nest(stream, task)
	case strings.HasPrefix(f.behaviour, fakeTells):
		return f.tell(stream, task)
	case strings.HasPrefix(f.behaviour, streamPrefix):
		return f.answerStream(stream, task)
	}
	outcome := &workerv1.Outcome{Seq: task.GetSeq(), Lane: task.GetLane(), Result: &workerv1.Outcome_Inline{Inline: task.GetInline()}}
	switch f.behaviour {
	case "wrong-lane":
		outcome.Lane = 77
	case "garbage":
		return stream.SendMsg(rawMessage("\x0a\xff\xff\xff\xff\x7f garbage"))
	case "huge":
		outcome.Result = &workerv1.Outcome_Inline{Inline: make([]byte, 8<<20)}
	case "breaks":
		return status.Error(codes.DataLoss, "the dog ate it")
	case "nonsense-page":
		if err := scribble(os.Getenv("PROCPOOL_RECORDER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(5)
	}
	return stream.Send(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{outcome}})
}

// scribble has the page say that a call was started which was never sent, and
// that the journal is longer than it can be.
func scribble(page string) error {
	file, err := os.OpenFile(page, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	const firstLane, journalLen = 128, 32
	huge := binary.NativeEndian.AppendUint64(nil, 1<<60)
	_, startedErr := file.WriteAt(huge, firstLane)
	_, lengthErr := file.WriteAt(huge, firstLane+journalLen)
	return errors.Join(startedErr, lengthErr)
}

func (f fakeWorker) Control(stream grpc.BidiStreamingServer[workerv1.ControlRequest, workerv1.ControlResponse]) error {
	// What the host does not know it skips.
	if err := stream.Send(pongOf(1)); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := f.answerPing(stream); err != nil {
			return err
		}
	}
}

// answerPing answers the first ping.
func (f fakeWorker) answerPing(stream grpc.BidiStreamingServer[workerv1.ControlRequest, workerv1.ControlResponse]) error {
	switch f.behaviour {
	case "control-garbage":
		return stream.SendMsg(rawMessage("\x0a\xff\xff\xff\xff\x7f garbage"))
	case "control-huge":
		return stream.SendMsg(rawMessage(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), make([]byte, 2<<20))))
	case "pongs":
		for _, id := range []uint64{0, 2, 1 << 63, math.MaxUint64, 3, 1, 1, 2} {
			if err := stream.Send(pongOf(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

func pongOf(id uint64) *workerv1.ControlResponse {
	return &workerv1.ControlResponse{Event: &workerv1.ControlResponse_Pong{Pong: &workerv1.Pong{Id: id}}}
}

func fake(behaviour string) func(*wire.Options) {
	return func(o *wire.Options) {
		*o = withRole(*o, fakePrefix+behaviour)
		o.MaxPayload = 1 << 20
	}
}

func TestForeignWorker(t *testing.T) {
	h := start(t, fake("future"))
	hello := h.worker.Hello()
	if hello.SDK != "fake" || hello.Recorder {
		t.Errorf("got %+v", hello)
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 7 {
		t.Errorf("the echo of 7 is %d", got)
	}
	if _, ok := h.worker.Fence(0, 0); ok {
		t.Error("there is a fence without a recorder")
	}
	h.worker.Unfence(0)
	h.worker.Kill(nil)
	if r := h.awaitExit(); r.PageOK || r.Lanes != nil || r.Replies != nil {
		t.Errorf("the report says what nobody recorded: %+v", r)
	}
}

func TestForeignHello(t *testing.T) {
	for behaviour, want := range map[string]string{
		"refuses":     "the moon is in the wrong phase",
		"no-revision": "revision",
		"no-lanes":    "0 lanes",
		"many-lanes":  "1000 lanes",
		"twice":       `"square" twice`,
	} {
		t.Run(behaviour, func(t *testing.T) {
			o := options(t)
			fake(behaviour)(&o)
			wantText(t, startError(t.Context(), t, o).Error(), want)
		})
	}
}

// What a worker does wrong costs the worker, and the report says what it was.
func TestForeignViolations(t *testing.T) {
	for behaviour, want := range map[string]string{
		"wrong-lane": "lane 77",
		"garbage":    "in the middle of a field",
		"huge":       "larger than max",
		"breaks":     "the dog ate it",

		"control-garbage": "control stream: ",
		"control-huge":    "larger than max",
	} {
		t.Run(behaviour, func(t *testing.T) {
			h := start(t, fake(behaviour))
			if strings.HasPrefix(behaviour, "control") {
				h.worker.Ping()
			} else {
				square.Submit(t.Context(), h, 7)
			}
			r := h.awaitExit()
			if r.Err == nil || !strings.Contains(r.Err.Error(), want) || !r.Exit.Killed {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestForeignPageIsNonsense(t *testing.T) {
	h := start(t, fake("nonsense-page"))
	square.Submit(t.Context(), h, 7)
	r := h.awaitExit()
	if r.Exit.Code != 5 || r.PageOK || len(r.Replies) != 0 {
		t.Errorf("got %+v", r)
	}
}

// A worker that does not take what it is sent holds nobody up for ever.
func TestStoppedWorker(t *testing.T) {
	h := start(t)
	big := make([]byte, 64<<20)
	h.setHold(true)
	echo.Submit(t.Context(), h, big)
	h.stopWorker()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		h.flush()
	}()
	h.worker.Cancel(0, 1)
	if started, ok := h.worker.Fence(0, 0); !ok || started != 0 {
		t.Errorf("the fence says %d, %v", started, ok)
	}
	h.worker.Kill(nil)
	<-sent
	r := h.awaitExit()
	if !r.PageOK || r.Lanes[0].Started != 0 || !r.Exit.Killed {
		t.Errorf("got %+v", r)
	}
	// What comes too late does nothing, and does not block.
	h.awaitDone()
	square.Submit(t.Context(), h, 7)
	h.flush()
	h.worker.Cancel(0, 1)
	h.worker.SetHot(true)
	h.worker.Unfence(0)
	h.worker.Stop()
	if _, ok := h.worker.Fence(0, 0); ok {
		t.Error("there is a fence in front of nobody")
	}
}
