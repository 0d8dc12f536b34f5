package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// discard is a connection that takes everything, until it fails.
type discard struct {
	net.Conn
	fail error
}

func (d *discard) Write(b []byte) (int, error) {
	if d.fail != nil {
		return len(b) / 2, d.fail
	}
	return len(b), nil
}

func (d *discard) Close() error { return nil }

// watched returns a connection that watches stream 3.
func watched(t *testing.T, to net.Conn) *pollConn {
	t.Helper()
	c := newPollConn(to, nil)
	c.watchStream([]byte("open"))
	if _, err := c.Write(appendFrame(nil, frameData, 3, []byte("\x00\x00\x00\x00\x04open"))); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWaitWritten(t *testing.T) {
	t.Parallel()
	c := watched(t, &discard{})
	if err := c.waitWritten(0, nil); err != nil {
		t.Errorf("waiting for nothing: %v", err)
	}
	const waiters = 20
	results := make(chan error, waiters)
	for i := range uint64(waiters) {
		go func() {
			err := c.waitWritten(10*i, nil)
			if err == nil && c.written() < 10*i {
				err = errors.New("woken too early")
			}
			results <- err
		}()
	}
	for range waiters {
		frame := appendFrame(nil, frameData, 3, make([]byte, 10))
		for _, part := range [][]byte{frame[:4], frame[4:12], frame[12:]} {
			if _, err := c.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Write(appendFrame(nil, frameData, 5, make([]byte, 1000))); err != nil {
			t.Fatal(err)
		}
	}
	for range waiters {
		select {
		case err := <-results:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(enough):
			t.Fatal("somebody waits for what was written")
		}
	}
	if got := c.written(); got != 10*waiters {
		t.Errorf("counted %d bytes, want %d", got, 10*waiters)
	}
	if len(c.frames.waiters) != 0 || c.frames.waiting.Load() != 0 {
		t.Errorf("%d waiters are left", len(c.frames.waiters))
	}
}

func TestWaitWrittenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := watched(t, &discard{})
	for range 100 { // waiters are used again
		done := make(chan struct{})
		result := make(chan error, 1)
		go func() { result <- c.waitWritten(1, done) }()
		close(done)
		select {
		case err := <-result:
			if err == nil {
				t.Fatal("a wait that was given up succeeded")
			}
		case <-time.After(enough):
			t.Fatal("a wait that was given up goes on")
		}
	}
	if _, err := c.Write(appendFrame(nil, frameData, 3, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if err := c.waitWritten(1, nil); err != nil {
		t.Errorf("a wait for what was written: %v", err)
	}
}

func TestWaitWrittenEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*pollConn, *discard){
		"a write fails": func(c *pollConn, d *discard) {
			d.fail = errors.New("broken pipe")
			if n, err := c.Write(appendFrame(nil, frameData, 3, make([]byte, 11))); n != 10 || err == nil {
				t.Errorf("the write gave %d, %v", n, err)
			}
			if got := c.written(); got != 1 {
				t.Errorf("of a frame of which 10 bytes were written, %d count, want 1", got)
			}
		},
		"it is closed": func(c *pollConn, _ *discard) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := &discard{}
			c := watched(t, to)
			result := make(chan error, 2)
			for range 2 {
				go func() { result <- c.waitWritten(11, nil) }()
			}
			end(c, to)
			for range 2 {
				select {
				case err := <-result:
					if !errors.Is(err, errWriteFailed) {
						t.Errorf("the wait gave %v", err)
					}
				case <-time.After(enough):
					t.Fatal("somebody waits for what will never be written")
				}
			}
			if err := c.waitWritten(12, nil); !errors.Is(err, errWriteFailed) {
				t.Errorf("a wait afterwards gave %v", err)
			}
		})
	}
}

// countingServer is a worker that counts what the kernel took of its replies.
type countingServer struct {
	workerv1.UnimplementedWorkerServiceServer
	conn   chan *pollConn
	result chan error
}

func (s *countingServer) Control(stream grpc.BidiStreamingServer[workerv1.ControlRequest, workerv1.ControlResponse]) error {
	for i := range uint64(50) { // traffic that must not be counted
		pong := &workerv1.ControlResponse{Event: &workerv1.ControlResponse_Pong{Pong: &workerv1.Pong{Id: i}}}
		if err := stream.Send(pong); err != nil {
			return err
		}
	}
	return nil
}

func (s *countingServer) Work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	err := s.work(stream)
	s.result <- err
	return err
}

func (s *countingServer) work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	conn := <-s.conn
	opening := append([]byte{tagResponseOpening, 20}, "nobody else sends it"...)
	conn.watchStream(opening)
	if err := stream.SendMsg(&workResponse{data: opening}); err != nil {
		return err
	}
	expect := uint64(0)
	for i, n := range payloadSizes {
		batch := newTaskBatch()
		if err := stream.RecvMsg(batch); err != nil {
			return err
		}
		task := batch.tasks[0]
		var r workResponse
		dst, m := beginOutcome(nil, task.seq, task.lane)
		dst = append(dst, task.payload...)
		if i%2 == 0 {
			r.data = endOutcome(dst, m, 1)
		} else {
			r.addBig(dst, m, 1)
		}
		expect += r.wireSize()
		if len(task.payload) != n {
			return errors.New("the argument was changed on its way")
		}
		batch.release()
		if err := stream.SendMsg(&r); err != nil {
			return err
		}
		if err := conn.waitWritten(expect, stream.Context().Done()); err != nil {
			return err
		}
		if got := conn.written(); got != expect {
			return errors.New("more was counted than was sent")
		}
	}
	return nil
}

// TestStreamIsCountedInGRPC holds what the counting is built on: that gRPC sends
// a first message of a few bytes in one frame, and five bytes more than a
// message.
func TestStreamIsCountedInGRPC(t *testing.T) {
	t.Parallel()
	pool := newBufferPool()
	a, b := socketPair(t)
	service := &countingServer{conn: make(chan *pollConn, 1), result: make(chan error, 1)}
	server := grpc.NewServer(grpc.ForceServerCodecV2(newCodec(pool)), grpc.MaxRecvMsgSize(1<<30))
	workerv1.RegisterWorkerServiceServer(server, service)
	serverConn := newPollConn(b, aPoller())
	service.conn <- serverConn
	l := &oneConn{conn: serverConn, closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	clientConn := newPollConn(a, aPoller())
	clientConn.setHot(true)
	client, err := grpc.NewClient(
		"passthrough:worker", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return clientConn, nil }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec(pool)), grpc.MaxCallRecvMsgSize(1<<30)),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	worker := workerv1.NewWorkerServiceClient(client)
	control, err := worker.Control(ctx)
	if err != nil {
		t.Fatal(err)
	}
	work, err := worker.Work(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := control.Recv(); err != nil {
				return
			}
		}
	}()
	var replies replyBatch
	if err := work.RecvMsg(&replies); err != nil || len(replies.replies) != 0 {
		t.Fatalf("the opening decodes to %v, %v, want no replies", replies.replies, err)
	}
	for i, n := range payloadSizes {
		call := rawCall(ctx, payload(n))
		call.Slot.Seq = uint64(i + 1)
		if err := work.SendMsg(&workRequest{calls: []*procpool.Call{call}, function: functionOf, lane: 2, now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := work.RecvMsg(&replies); err != nil {
			t.Fatal(err, <-service.result)
		}
		if len(replies.replies) != 1 || replies.replies[0].Seq != uint64(i+1) || !bytes.Equal(replies.replies[0].Data, payload(n)) {
			t.Fatalf("%d bytes came back as %d replies", n, len(replies.replies))
		}
	}
	if err := <-service.result; err != nil {
		t.Error(err)
	}
}

// oneConn is a listener with one connection.
type oneConn struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "one", Net: "unix"} }
