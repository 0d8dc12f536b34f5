package rawhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// link is the connection to the worker.
type link struct {
	conn    *grpc.ClientConn // nil before Dial
	service workerv1.WorkerServiceClient
	hello   *workerv1.HelloResponse // nil before Greet

	work     grpc.BidiStreamingClient[workerv1.WorkRequest, workerv1.WorkResponse]
	control  grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]
	cancel   context.CancelFunc
	readers  sync.WaitGroup
	workRead chan struct{} // closed at the end of Work
	inbox    inbox

	sendMu, controlMu sync.Mutex
}

// maxSideMessage is the largest HelloResponse and ControlResponse, and what a
// WorkResponse may have beside the largest payload.
const maxSideMessage = 1 << 20

// The windows of HTTP/2, as the document names them.
const (
	streamWindow = 16 << 20
	connWindow   = 32 << 20
)

// Dial connects to the worker.
func (h *Host) Dial(ctx context.Context) error {
	path, err := h.socketFile()
	if err != nil {
		return err
	}
	socket, err := Knock(ctx, path)
	if err != nil {
		return fmt.Errorf("connecting to the worker's socket: %w", err)
	}
	dialled := make(chan net.Conn, 1)
	dialled <- socket
	h.conn, err = grpc.NewClient("passthrough:///worker",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-dialled:
				return c, nil
			default:
				return nil, errors.New("the connection has ended; a worker is connected to once")
			}
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithIdleTimeout(0), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxSideMessage), grpc.MaxCallSendMsgSize(1<<31-1)),
	)
	if err != nil {
		_ = socket.Close()
		return err
	}
	h.conn.Connect() // so that the connection is taken up even if nothing is called
	h.service = workerv1.NewWorkerServiceClient(h.conn)
	return nil
}

// Knock connects to a socket and does nothing with it.
func Knock(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Request returns the HelloRequest that the options make.
func (h *Host) Request() *workerv1.HelloRequest {
	r := &workerv1.HelloRequest{
		Revision: 1, Capabilities: append([]string{"pack", "stream", "session"}, h.o.Capabilities...), Lanes: uint32(h.o.Lanes),
		MaxPayloadBytes: h.o.MaxPayload, Recorder: !h.o.NoRecorder,
	}
	if r.GetRecorder() {
		r.Capabilities = append(r.Capabilities, "recorder", "fence", "journal")
	}
	return r
}

// Greet says Hello with a request. The error is gRPC's; see Refused.
func (h *Host) Greet(ctx context.Context, r *workerv1.HelloRequest) (*workerv1.HelloResponse, error) {
	response, err := h.service.Hello(ctx, r)
	if err == nil && h.hello == nil {
		h.hello = response
		h.inbox.begin(r, response)
	}
	return response, err
}

// Refused reports whether an error is the answer FAILED_PRECONDITION.
func Refused(err error) bool { return status.Code(err) == codes.FailedPrecondition }

// Open opens the streams Work and Control.
func (h *Host) Open() error {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	limit := int(min(h.o.MaxPayload, 1<<31-1-maxSideMessage)) + maxSideMessage
	var err error
	if h.work, err = h.service.Work(ctx, grpc.MaxCallRecvMsgSize(limit)); err != nil {
		return fmt.Errorf("opening the stream Work: %w", err)
	}
	if h.control, err = h.service.Control(ctx); err != nil {
		return fmt.Errorf("opening the stream Control: %w", err)
	}
	h.workRead = make(chan struct{})
	h.readers.Add(2)
	go func() { defer h.readers.Done(); h.readWork() }()
	go func() { defer h.readers.Done(); h.readControl() }()
	return nil
}

// OpenUngreeted opens the stream Work before Hello and returns what came of it.
func (h *Host) OpenUngreeted(ctx context.Context) error {
	stream, err := h.service.Work(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// Connect starts a worker, greets it as the options say, and opens the streams. The
// error says how far that came; nothing is left then.
func Connect(ctx context.Context, o Options) (*Host, error) {
	h, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err = h.Dial(ctx); err == nil {
		if _, err = h.Greet(ctx, h.Request()); err != nil {
			err = fmt.Errorf("the answer to Hello is an error: %w", err)
		}
	}
	if err == nil {
		err = h.Open()
	}
	if err != nil {
		err = fmt.Errorf("%w (%s)", err, h.End())
		h.Close()
		return nil, err
	}
	return h, nil
}

// Hello returns what the worker has said of itself.
func (h *Host) Hello() *workerv1.HelloResponse { return h.hello }

// readWork takes what comes on Work until its end.
func (h *Host) readWork() {
	defer close(h.workRead)
	for {
		r, err := h.work.Recv()
		if err != nil {
			h.inbox.end("Work", err)
			return
		}
		h.inbox.take(r)
	}
}

// readControl takes what comes on Control until its end.
func (h *Host) readControl() {
	for {
		r, err := h.control.Recv()
		if err != nil {
			h.inbox.end("Control", err)
			return
		}
		h.inbox.takeControl(r)
	}
}

// Send sends a message on Work. It blocks while the worker does not read.
func (h *Host) Send(r *workerv1.WorkRequest) error {
	h.sendMu.Lock()
	defer h.sendMu.Unlock()
	h.inbox.sent(r)
	return h.told(h.work.Send(r))
}

// Tell sends a message on Control.
func (h *Host) Tell(r *workerv1.ControlRequest) error {
	h.controlMu.Lock()
	defer h.controlMu.Unlock()
	h.inbox.told(r)
	return h.told(h.control.Send(r))
}

// told makes gRPC's error of a send, which only says EOF, into what it is about.
func (h *Host) told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the worker has ended the stream (%w): %s", err, h.End())
}

// Cancel gives a call up.
func (h *Host) Cancel(lane uint32, seq uint64) error {
	return h.Tell(&workerv1.ControlRequest{Event: &workerv1.ControlRequest_Cancel{Cancel: &workerv1.Cancel{Lane: lane, Seq: seq}}})
}

// Ping asks for a Pong.
func (h *Host) Ping(id uint64) error {
	return h.Tell(&workerv1.ControlRequest{Event: &workerv1.ControlRequest_Ping{Ping: &workerv1.Ping{Id: id}}})
}

// EndWork ends the host's side of Work.
func (h *Host) EndWork() error { return h.work.CloseSend() }

// HangUp closes the connection.
func (h *Host) HangUp() { h.hangUp() }

func (l *link) hangUp() {
	if l.cancel != nil {
		l.cancel()
	}
	if l.conn != nil {
		_ = l.conn.Close() // closed twice is closed
	}
	l.readers.Wait()
}

// WithUnknown adds a field to a message that no revision of the contract has.
func WithUnknown[M proto.Message](m M) M {
	// Field 1999, bytes of length 3; and field 1998, the number 7.
	m.ProtoReflect().SetUnknown([]byte{0xfa, 0x7c, 3, 'n', 'e', 'w', 0xf0, 0x7c, 7})
	return m
}
