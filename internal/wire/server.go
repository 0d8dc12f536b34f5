package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

const (
	language   = "go"
	sdkName    = "procpool-go"
	sdkVersion = "0.1.0"
)

// The optional parts of the contract, by the names used in Hello.
const (
	capabilityRecorder = "recorder"
	capabilityFence    = "fence"
	capabilityJournal  = "journal"
	capabilityPack     = "pack"
	capabilityHostCall = "host_call"
	capabilityProgress = "progress"
	capabilityLog      = "log"
	capabilityStream   = "stream"
	capabilitySession  = "session"
	capabilityShared   = "shared_state"
	capabilityActor    = "actor"
)

// ErrNoHost is returned by ServeWorker in a process that no host started.
var ErrNoHost = errors.New("this program is a procpool worker: a pool starts it, it does nothing when it is run by hand")

// ServeOptions says what a worker serves.
type ServeOptions struct {
	// Tasks are the tasks. Their names must differ.
	Tasks []procpool.Task
}

// UnderHost reports whether a procpool host started this process as a worker. It
// is false again once ServeWorker was called.
func UnderHost() bool { return os.Getenv(cookieKey) == cookieValue }

// ServeWorker serves tasks to the host that started this process. It blocks until
// the host is gone or has asked the worker to leave, or ctx ends, and returns
// nil then. Calls may still be running when it returns; the caller is expected to
// end the process soon. It can be called once.
//
// It takes standard input for itself and puts the null device there, and it
// removes the variables of the handshake from the environment.
func ServeWorker(ctx context.Context, o ServeOptions) error {
	if !UnderHost() {
		return ErrNoHost
	}
	dir, certificate, page := os.Getenv(envSocketDir), os.Getenv(envCert), os.Getenv(envRecorder)
	poller := NewPoller(math.MaxInt)
	if os.Getenv(envPolling) == pollingOff {
		poller = nil
	}
	scrubEnv()
	s, err := newServer(o.Tasks, page, poller)
	if err != nil {
		return err
	}
	stdin, err := takeStdin()
	if err != nil {
		return err
	}
	defer stdin.Close()
	// Ctrl-C is the host's business. Being told and not listening is better
	// than ignoring the signal, which the children of tasks would inherit.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT)
	defer signal.Stop(interrupts)

	var config *tls.Config
	field := ""
	if certificate != "" {
		if config, field, err = serverTLS(certificate); err != nil {
			return err
		}
	}
	listener, err := listen(dir)
	if err != nil {
		return err
	}
	host := newHostListener(listener, s.wrap)
	rpc := s.newRPC(config)
	defer rpc.Stop()
	if err := sayHandshake(listener.Addr(), field); err != nil {
		return errors.Join(err, host.Close())
	}
	go s.watchStdin(stdin)
	served := make(chan error, 1)
	go func() { served <- rpc.Serve(host) }()
	select {
	case <-s.gone:
	case <-ctx.Done():
		s.leave()
	case err := <-served:
		s.leave()
		return fmt.Errorf("serving the host ended: %w", err)
	}
	return nil
}

// sayHandshake prints go-plugin's handshake line. The newline before it ends a
// line that a library may have begun.
func sayHandshake(addr net.Addr, certificate string) error {
	line := fmt.Sprintf("\n1|%d|%s|%s|grpc", pluginVersion, addr.Network(), addr.String())
	if certificate != "" {
		line += "|" + certificate
	}
	if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("printing the handshake: %w", err)
	}
	return nil
}

// server is the worker's side of the one connection that a worker has.
type server struct {
	workerv1.UnimplementedWorkerServiceServer

	tasks  []procpool.Task
	infos  []procpool.TaskInfo
	codecs []string // the first codec of each task
	actors actors
	page   string // the recorder's path, empty for none
	pool   *bufferPool
	poller *Poller

	// gone is closed when the host is gone or wants the worker to leave.
	gone     chan struct{}
	goneOnce sync.Once

	conn atomic.Pointer[pollConn] // the host's connection, nil before there is one

	mu         sync.Mutex             // guards the state of the handshake
	lanes      []atomic.Pointer[lane] // nil before Hello; each is made for its first call
	working    bool
	maxPayload int64
	offers     offers
	recorder   *workerRecorder
	kept       bool // whether the recorder survives the process

	nested nestedCalls

	sendMu sync.Mutex
	stream grpc.ServerStream
	queued uint64 // bytes given to gRPC on stream, behind its opening
}

func newServer(tasks []procpool.Task, page string, poller *Poller) (*server, error) {
	s := &server{tasks: tasks, page: page, pool: newBufferPool(), poller: poller, gone: make(chan struct{})}
	seen := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		info := t.Describe()
		info.Name = t.Name()
		if seen[info.Name] {
			return nil, fmt.Errorf("two tasks have the name %q; a worker serves each name once", info.Name)
		}
		seen[info.Name] = true
		if err := checkKind(t, info); err != nil {
			return nil, err
		}
		s.actors.serve(info)
		codec := ""
		if len(info.Codecs) > 0 {
			codec = info.Codecs[0]
		}
		s.infos, s.codecs = append(s.infos, info), append(s.codecs, codec)
	}
	return s, nil
}

// newRPC makes the gRPC server: ours, go-plugin's shutdown, and the health check
// that its clients ping.
func (s *server) newRPC(config *tls.Config) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec(s.pool)),
		experimental.BufferPool(s.pool),
		// The host checks what it sends, and its limit comes only in Hello.
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(ioBuffer),
		grpc.WriteBufferSize(ioBuffer),
	}
	if config != nil {
		options = append(options, grpc.Creds(watchedTLS{credentials.NewTLS(config), s}))
	}
	rpc := grpc.NewServer(options...)
	workerv1.RegisterWorkerServiceServer(rpc, s)
	registerController(rpc, s.leave)
	checks := health.NewServer()
	checks.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(rpc, checks)
	return rpc
}

// wrap makes the connection poll.
func (s *server) wrap(c *net.UnixConn) net.Conn {
	widen(c)
	conn := newPollConn(c, s.poller)
	s.conn.Store(conn)
	return conn
}

// watchedTLS is mutual TLS over which the frames that are written are watched
// before they are encrypted. Such a connection does not poll.
type watchedTLS struct {
	credentials.TransportCredentials
	server *server
}

// ServerHandshake makes the connection.
func (t watchedTLS) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	watched := newPollConn(conn, nil)
	t.server.conn.Store(watched)
	return watched, info, nil
}

// watchStdin waits for the end of standard input, which only the host holds.
func (s *server) watchStdin(stdin *os.File) {
	buf := make([]byte, 64)
	for {
		if _, err := stdin.Read(buf); err != nil {
			s.leave()
			return
		}
	}
}

// leave makes ServeWorker return.
func (s *server) leave() { s.goneOnce.Do(func() { close(s.gone) }) }

// Hello answers the host's introduction.
func (s *server) Hello(_ context.Context, r *workerv1.HelloRequest) (*workerv1.HelloResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes != nil {
		return nil, status.Error(codes.FailedPrecondition, "Hello was said before; a worker serves one host")
	}
	capabilities := []string{
		capabilityPack, capabilityStream, capabilitySession, capabilityHostCall, capabilityProgress, capabilityLog,
		capabilityActor, capabilityShared,
	}
	s.offers = offersOf(r)
	if r.GetRecorder() && s.page != "" {
		recorder, err := openRecorder(s.page)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "opening the flight recorder: %v", err)
		}
		s.recorder, s.kept = recorder, true
		capabilities = append(capabilities, capabilityRecorder, capabilityFence, capabilityJournal)
	}
	s.maxPayload = int64(min(r.GetMaxPayloadBytes(), math.MaxInt64))
	lanes := min(max(r.GetLanes(), 1), recorderMaxLanes)
	if s.recorder == nil {
		s.recorder = newLocalRecorder(int(lanes))
	}
	lanes = min(lanes, uint32(len(s.recorder.lanes)))
	s.lanes = make([]atomic.Pointer[lane], lanes)
	response := &workerv1.HelloResponse{
		Sdk: sdkName, SdkVersion: sdkVersion, Language: language, Revision: revision,
		Capabilities: capabilities, Lanes: lanes, Pid: int64(os.Getpid()), RecorderOpen: s.kept,
	}
	for _, info := range s.infos {
		response.Tasks = append(response.Tasks, describe(info))
	}
	return response, nil
}
