//go:build unix

package plainworker

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// server is a worker.
type server struct {
	workerv1.UnimplementedWorkerServiceServer

	fault   Fault
	minimal bool
	tasks   []procpool.Task
	page    string
	gone    chan struct{}
	leaving sync.Once
	kernel  kernel
	alone   sync.Mutex // of OneThread
	load    *load

	mu       sync.Mutex
	hello    *workerv1.HelloRequest // nil before Hello
	recorder page
	lanes    []*lane

	outMu  sync.Mutex
	out    []*workerv1.WorkResponse // what waits to be sent
	posted uint64                   // the bytes of all that was ever put there
	outgo  chan struct{}            // of capacity 1: there is something

	made   madeCalls
	actors actors
}

// kinds are the tasks' kinds on the wire.
var kinds = map[procpool.Kind]workerv1.TaskKind{
	procpool.KindFunction: workerv1.TaskKind_TASK_KIND_FUNCTION,
	procpool.KindStream:   workerv1.TaskKind_TASK_KIND_STREAM,
	procpool.KindSession:  workerv1.TaskKind_TASK_KIND_SESSION,
	procpool.KindActor:    workerv1.TaskKind_TASK_KIND_ACTOR,
	procpool.KindShared:   workerv1.TaskKind_TASK_KIND_SHARED,
}

// Hello answers the host's introduction.
func (s *server) Hello(_ context.Context, r *workerv1.HelloRequest) (*workerv1.HelloResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hello != nil && s.fault != HelloAgain {
		return nil, status.Error(codes.FailedPrecondition, "Hello was said before")
	}
	if s.hello == nil {
		s.hello = r
	}
	lanes, capabilities := max(r.GetLanes(), 1), []string{"pack", "stream", "session", "actor", "host_call", "shared_state", "progress", "log"}
	if s.minimal {
		lanes, capabilities = 1, nil
	}
	if r.GetRecorder() && s.page != "" && !s.minimal {
		var err error
		if s.recorder, err = openPage(s.page, s.fault == AnyPage); err != nil {
			s.recorder = nil // without it, it is a worker all the same
		}
	}
	if s.lanes == nil {
		for i := range lanes {
			s.lanes = append(s.lanes, &lane{server: s, index: i, page: s.recorder.lane(int(i)), wake: make(chan struct{}, 1)})
		}
		for _, l := range s.lanes {
			go l.serve()
		}
	}
	response := &workerv1.HelloResponse{
		Sdk: "plain", Language: "go", Revision: 1, Lanes: uint32(len(s.lanes)), Pid: int64(os.Getpid()), RecorderOpen: s.recorder != nil,
		Capabilities: capabilities,
	}
	for _, task := range s.tasks {
		response.Tasks = append(response.Tasks, describe(task, s.fault))
	}
	return response, nil
}

// describe tells the host of a task.
func describe(task procpool.Task, fault Fault) *workerv1.TaskDescription {
	info := task.Describe()
	d := &workerv1.TaskDescription{
		Name: task.Name(), Input: info.In, Output: info.Out, Receives: info.Receives, Codecs: info.Codecs, Kind: kinds[info.Kind],
	}
	for _, m := range info.Methods {
		d.Methods = append(d.Methods, m.Name)
		if fault == OneType && len(d.GetMethodTypes()) > 0 {
			continue
		}
		d.MethodTypes = append(d.MethodTypes, &workerv1.MethodDescription{Input: m.In, Output: m.Out, Codecs: m.Codecs})
	}
	return d
}

// offered reports whether both sides have named a capability.
func (s *server) offered(capability string) bool {
	if s.minimal {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.hello.GetCapabilities(), capability)
}

// Work takes what the host sends until it ends.
func (s *server) Work(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) error {
	s.mu.Lock()
	greeted := s.hello != nil
	s.mu.Unlock()
	if !greeted && s.fault != WorkAtOnce {
		return status.Error(codes.FailedPrecondition, "the first call is Hello")
	}
	opening := make([]byte, 32)
	if _, err := rand.Read(opening); err != nil {
		return err
	}
	s.kernel.mu.Lock()
	s.kernel.opening = opening
	s.kernel.mu.Unlock()
	s.outgo = make(chan struct{}, 1)
	go s.sendAll(stream)
	s.post(&workerv1.WorkResponse{Opening: opening})
	for {
		r, err := stream.Recv()
		if err != nil {
			if s.fault != StaysHungUp {
				s.leave()
			}
			return err
		}
		if err := s.take(r); err != nil {
			return err
		}
		if s.fault == QueuesLittle {
			s.load.await(func(l *load) bool { return l.waiting < 1<<20 })
		}
	}
}

// post puts a message behind what waits to be sent. It returns what the stream has
// carried when it is with the kernel.
func (s *server) post(r *workerv1.WorkResponse) uint64 {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	s.out = append(s.out, r)
	s.posted += uint64(5 + proto.Size(r))
	select {
	case s.outgo <- struct{}{}:
	default:
	}
	return s.posted
}

// sendAll sends what is posted.
func (s *server) sendAll(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]) {
	for {
		s.outMu.Lock()
		all := s.out
		s.out = nil
		s.outMu.Unlock()
		for _, r := range all {
			if stream.Send(r) != nil {
				return
			}
		}
		if len(all) > 0 {
			continue
		}
		select {
		case <-s.outgo:
		case <-s.gone:
			return
		}
	}
}

// take hands out what a message brings.
func (s *server) take(r *workerv1.WorkRequest) error {
	arrived := time.Now()
	for _, task := range r.GetTasks() {
		if int(task.GetLane()) >= len(s.lanes) {
			return status.Errorf(codes.InvalidArgument, "there is no lane %d", task.GetLane())
		}
		if task.GetSegment() != nil {
			return status.Error(codes.InvalidArgument, "segments were not agreed to")
		}
		if s.fault == EndsOnUnknown && int(task.GetFunction()) >= len(s.tasks) {
			return status.Error(codes.NotFound, "there is no such function")
		}
		s.lanes[task.GetLane()].put(task, arrived)
	}
	for _, v := range r.GetValues() {
		if v.GetHostCall() != 0 {
			s.made.value(v)
		} else if p := s.port(v.GetLane(), v.GetSeq()); p != nil && !p.receive(v) {
			return status.Errorf(codes.InvalidArgument, "call %d was sent a value without credit", v.GetSeq())
		}
	}
	for _, c := range r.GetCredits() {
		if c.GetHostCall() != 0 {
			s.made.credit(c)
		} else if p := s.port(c.GetLane(), c.GetSeq()); p != nil {
			p.grant(c.GetValues(), c.GetBytes())
		}
	}
	for _, reply := range r.GetHostReplies() {
		s.made.reply(reply, s.fault)
	}
	return nil
}

// port returns the port of a call that runs, nil if it does not.
func (s *server) port(lane uint32, seq uint64) *port {
	if int(lane) >= len(s.lanes) {
		return nil
	}
	l := s.lanes[lane]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.port == nil || l.running != seq {
		return nil
	}
	return l.port
}

// load is what the worker has to do.
type load struct {
	mu      sync.Mutex
	changed *sync.Cond
	running int // calls
	waiting int // bytes of calls
}

func newLoad() *load {
	l := new(load)
	l.changed = sync.NewCond(&l.mu)
	return l
}

// add counts calls that begin to run, and bytes of calls that begin to wait.
func (l *load) add(running, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.waiting = l.running+running, l.waiting+waiting
	l.changed.Broadcast()
}

// await waits until the load is as a fault wants it to be.
func (l *load) await(is func(*load) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !is(l) {
		l.changed.Wait()
	}
}

// Control takes what must not wait.
func (s *server) Control(stream grpc.BidiStreamingServer[workerv1.ControlRequest, workerv1.ControlResponse]) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if c := r.GetCancel(); c != nil && int(c.GetLane()) < len(s.lanes) {
			s.lanes[c.GetLane()].cancel(c.GetSeq())
		}
		ping := r.GetPing()
		if ping == nil {
			continue
		}
		if s.fault == LazyPong {
			s.load.await(func(l *load) bool { return l.running == 0 })
		}
		if err := stream.Send(&workerv1.ControlResponse{Event: &workerv1.ControlResponse_Pong{Pong: &workerv1.Pong{Id: ping.GetId()}}}); err != nil {
			return err
		}
	}
}
