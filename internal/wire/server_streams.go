package wire

import (
	"context"
	"crypto/rand"
	"runtime/metrics"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// Work reads calls and hands them to the lanes until the host is gone. It never
// waits for a lane, so that what is behind a long call gets past it.
func (s *server) Work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	if err := s.beginWork(stream); err != nil {
		return err
	}
	defer s.leave()
	for {
		batch := newTaskBatch()
		if err := stream.RecvMsg(batch); err != nil {
			return err
		}
		if err := s.dispatch(batch); err != nil {
			return err
		}
	}
}

// beginWork makes stream the one on which calls and outcomes travel.
func (s *server) beginWork(stream grpc.ServerStream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lanes == nil:
		return status.Error(codes.FailedPrecondition, "the first call on a connection is Hello")
	case s.working:
		return status.Error(codes.FailedPrecondition, "the work stream is open already; there is one per connection")
	}
	s.working = true
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.stream = stream
	// The connection recognises the stream by its first message, and counts
	// what the kernel takes of it from there on.
	opening := make([]byte, openingBytes)
	if _, err := rand.Read(opening); err != nil {
		return status.Errorf(codes.Internal, "marking the work stream: %v", err)
	}
	message := protowire.AppendBytes([]byte{tagResponseOpening}, opening)
	s.conn.Load().watchStream(message)
	if err := stream.SendMsg(&workResponse{data: message}); err != nil {
		return err
	}
	return nil
}

// openingBytes is enough for nobody else to send the same bytes by chance.
const openingBytes = 32

// lane returns a lane of the worker, nil if there is none of that number. Its first use
// makes it: most of those that a host asks for are for calls that run while others wait.
func (s *server) lane(index uint32) *lane {
	if uint64(index) >= uint64(len(s.lanes)) {
		return nil
	}
	if l := s.lanes[index].Load(); l != nil {
		return l
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[index].Load()
	if l == nil {
		l = newLane(s, index)
		s.lanes[index].Store(l)
		go l.serve()
	}
	return l
}

// dispatch hands the tasks of a message to their lanes, then what is for running calls
// to these. What is for a call that does not run is dropped: it has ended meanwhile.
func (s *server) dispatch(batch *taskBatch) error {
	defer batch.release()
	now := time.Now()
	for tasks := batch.tasks; len(tasks) > 0; {
		index := tasks[0].lane
		l := s.lane(index)
		if l == nil {
			return status.Errorf(codes.InvalidArgument, "lane %d is not open", index)
		}
		n := 1
		for n < len(tasks) && tasks[n].lane == index {
			n++
		}
		batch.retain(1)
		l.queue.put(taskRun{batch: batch, tasks: tasks[:n], arrived: now})
		tasks = tasks[n:]
	}
	for i := range batch.values {
		v := &batch.values[i]
		if p := s.port(v.streamKey); p != nil && !p.in.put(v) {
			return status.Errorf(codes.InvalidArgument, "call %d on lane %d was sent a value for which it had given no credit", v.seq, v.lane)
		}
	}
	for _, c := range batch.credits {
		if p := s.port(c.streamKey); p != nil {
			p.addCredit(c.values, c.bytes)
		}
	}
	if err := s.takeNested(batch); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

// port returns the port of a call that runs, nil if it does not.
func (s *server) port(key streamKey) *port {
	if key.hostCall != 0 || uint64(key.lane) >= uint64(len(s.lanes)) {
		return nil
	}
	l := s.lanes[key.lane].Load()
	if l == nil {
		return nil
	}
	if p := l.port.Load(); p != nil && p.call.seq == key.seq {
		return p
	}
	return nil
}

// send sends outcomes and returns how many bytes the stream has carried when they
// are with the kernel. short says that the next call is likely to come soon. An
// error means that the host is gone, which the reader of the stream sees too.
func (s *server) send(r *workResponse, short bool) (expect uint64) {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.conn.Load().setHot(short)
	return s.sendLocked(r)
}

// sendSide sends fields of a WorkResponse that are no outcomes and are encoded
// already: of the last one large is the end, which is not copied and must not be
// modified afterwards, nil for none. What is sent before an outcome is there before
// it. As for send, the kernel has it all when the stream has carried expect bytes.
func (s *server) sendSide(fields, large []byte) (expect uint64) {
	r := workResponse{data: fields}
	if len(large) > 0 {
		r = workResponse{big: []bigOutcome{{head: fields, result: large}}}
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.sendLocked(&r)
}

func (s *server) sendLocked(r *workResponse) (expect uint64) {
	s.queued += r.wireSize()
	if err := s.stream.SendMsg(r); err != nil {
		s.leave()
	}
	return s.queued
}

// expectAnswer says that the host may react within microseconds to what was sent.
func (s *server) expectAnswer() { s.conn.Load().setHot(true) }

// written returns how many bytes of the stream are with the kernel.
func (s *server) written() uint64 { return s.conn.Load().written() }

// awaitWritten waits until that many are, or the host is gone.
func (s *server) awaitWritten(n uint64) {
	if err := s.conn.Load().waitWritten(n, s.gone); err != nil {
		s.leave()
	}
}

// Control handles what must not wait behind calls.
func (s *server) Control(stream grpc.BidiStreamingServer[workerv1.ControlRequest, workerv1.ControlResponse]) error {
	s.mu.Lock()
	greeted := s.lanes != nil
	s.mu.Unlock()
	if !greeted {
		return status.Error(codes.FailedPrecondition, "the first call on a connection is Hello")
	}
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		switch event := request.GetEvent().(type) {
		case *workerv1.ControlRequest_Cancel:
			if l := s.lane(event.Cancel.GetLane()); l != nil {
				l.cancel(event.Cancel.GetSeq())
			}
		case *workerv1.ControlRequest_Ping:
			pong := &workerv1.Pong{Id: event.Ping.GetId(), MemoryBytes: memoryInUse()}
			if err := stream.Send(&workerv1.ControlResponse{Event: &workerv1.ControlResponse_Pong{Pong: pong}}); err != nil {
				return err
			}
		default:
			// A drain needs nothing here: no call is waited for. What is
			// newer than this worker is not meant for it.
		}
	}
}

// memoryInUse is the memory that the Go runtime has from the system, in bytes.
func memoryInUse() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// controllerService is go-plugin's request to leave. Its messages are empty.
const controllerService = "plugin.GRPCController"

func registerController(rpc *grpc.Server, leave func()) {
	rpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: controllerService,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Shutdown",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := decode(new(emptypb.Empty)); err != nil {
					return nil, err
				}
				leave()
				return new(emptypb.Empty), nil
			},
		}},
	}, struct{}{})
}
