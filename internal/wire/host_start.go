package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/proc"
)

const (
	// streamWindow and connWindow are HTTP/2 windows of a fixed size, large
	// enough for all but the largest payloads to be sent without a pause.
	// Giving both switches off the estimator, which costs a ping for nearly
	// every small message.
	streamWindow = 16 << 20
	connWindow   = 32 << 20
	// ioBuffer is the size of the buffers for one read and one write.
	ioBuffer = 128 << 10
	// tidyLimit bounds how long go-plugin may take to let go of a dead
	// process.
	tidyLimit = 5 * time.Second
)

var (
	errStartTimeout = errors.New("the time for the start is over")
	errGone         = errors.New("the connection to the worker has ended; a worker is connected to once")
)

// launch is a start in progress, and later what is left of it to tidy up.
type launch struct {
	o      Options
	client *plugin.Client
	pool   *bufferPool

	mu       sync.Mutex // against the end of the start's context
	child    *proc.Child
	conn     net.Conn // the socket; closed with the connection
	polling  *pollConn
	recorder *recorder
	dir      *socketDir

	sweeping sync.WaitGroup

	handshake atomic.Pointer[string] // the line, once it was printed

	dialled  atomic.Bool
	spawnErr error    // why there is no process
	peerErr  error    // why a connection was refused
	addr     net.Addr // where the worker listens; set before the first dial
}

// Start starts a worker and blocks until it has said Hello. The error is a
// *procpool.StartError, and nothing of the worker is left then. ctx and
// StartTimeout bound the start alone.
func Start(ctx context.Context, o Options) (*Worker, error) {
	o = o.withDefaults()
	startCtx, cancel := context.WithTimeoutCause(ctx, o.StartTimeout, errStartTimeout)
	defer cancel()
	l := &launch{o: o, pool: newBufferPool()}
	// What the start waits for ends with the process and the connection.
	release := context.AfterFunc(startCtx, l.abort)
	defer release()
	w, err := l.run(startCtx)
	l.sweeping.Wait()
	if err == nil && !release() {
		w.cancel()
		err = context.Cause(startCtx)
	}
	if err != nil {
		return nil, l.failed(startCtx, err)
	}
	l.removeDir()
	w.helpers.Add(2)
	controlCtx := w.work.Context()
	go func() { defer w.helpers.Done(); w.control.send(controlCtx) }()
	go func() { defer w.helpers.Done(); w.watchControl() }()
	go w.receive()
	go w.supervise()
	return w, nil
}

// run takes the start up to the open streams.
func (l *launch) run(ctx context.Context) (*Worker, error) {
	parent, err := socketParent(l.o.SocketDir, os.TempDir(), os.Getenv("XDG_RUNTIME_DIR"))
	if err != nil {
		return nil, err
	}
	if l.o.Sweep {
		l.sweeping.Go(func() { sweepDirs(parent, time.Now()) }) // beside the start, which takes longer
	}
	if l.dir, err = newSocketDir(parent); err != nil {
		return nil, fmt.Errorf("its private directory can't be made: %w", err)
	}
	l.client = plugin.NewClient(pluginConfig(l.dir.path, l.o.StartTimeout, l.mtls(), l.dialOptions(),
		func(env []string) (*proc.Child, error) {
			child, err := l.spawn(ctx, env)
			l.spawnErr = err // go-plugin passes on its text only
			return child, err
		}))
	if l.addr, err = l.client.Start(); err != nil {
		return nil, &handshakeError{err}
	}
	protocol, err := l.client.Client()
	if err != nil {
		return nil, fmt.Errorf("connecting to it failed: %w", err)
	}
	raw, err := protocol.Dispense(pluginName)
	if err != nil {
		return nil, fmt.Errorf("connecting to it failed: %w", err)
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return nil, fmt.Errorf("connecting to it failed: go-plugin returned a %T", raw)
	}
	return l.greet(ctx, workerv1.NewWorkerServiceClient(conn))
}

// spawn starts the process, with the recorder at hand.
func (l *launch) spawn(ctx context.Context, env []string) (*proc.Child, error) {
	recorder, err := newRecorder(l.dir.path, l.o.Lanes)
	path := ""
	switch {
	case err == nil:
		path = recorder.path()
	case errors.Is(err, errors.ErrUnsupported):
	default:
		return nil, err
	}
	l.mu.Lock()
	l.recorder = recorder
	l.mu.Unlock()
	child, err := l.o.Spawner.Start(ctx, proc.Spec{
		Path: l.o.Path, Args: l.o.Args, Dir: l.o.Dir, Env: workerEnv(l.o.Env, env, l.dir.path, path, l.o.Poller != nil),
		MemoryLimit: l.o.MemoryLimit, CPULimit: l.o.CPULimit, OpenFiles: l.o.OpenFiles, Output: l.o.Output, Claim: func(line []byte) []byte {
			found := claimHandshake(line, l.mtls())
			if found != nil {
				text := string(found)
				l.handshake.Store(&text)
			}
			return found
		},
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.child = child
	l.mu.Unlock()
	if ctx.Err() != nil {
		child.Kill() // abort may have come too early to see the child
	}
	return child, nil
}

func (l *launch) mtls() bool { return l.o.AutoMTLS || !unixSockets }

// abort ends what the start may be waiting for.
func (l *launch) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.child != nil {
		l.child.Kill()
	}
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

func (l *launch) dialOptions() []grpc.DialOption {
	limit := int(l.o.MaxPayload + messageSlack)
	return []grpc.DialOption{
		grpc.WithContextDialer(l.dial),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithIdleTimeout(0), // there is no way back once the socket's file is gone
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithStreamInterceptor(onlyContract),
		experimental.WithBufferPool(l.pool),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec(l.pool)),
			grpc.MaxCallRecvMsgSize(limit),
			grpc.MaxCallSendMsgSize(math.MaxInt32), // MaxPayload bounds it
		),
	}
}

// dial connects to the worker, once: what would answer a second time is not it.
func (l *launch) dial(ctx context.Context, _ string) (net.Conn, error) {
	if l.addr == nil || l.dialled.Swap(true) {
		return nil, errGone
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, l.addr.Network(), l.addr.String())
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if unixConn, ok := conn.(*net.UnixConn); ok {
		if err := checkPeer(unixConn, l.child.InGroup); err != nil {
			_ = conn.Close()
			l.peerErr = err
			return nil, err
		}
		widen(unixConn)
		l.polling = newPollConn(unixConn, l.o.Poller)
		conn = l.polling
	}
	l.conn = conn
	return conn, nil
}

// socketBuffer is how much a side can write before the other has to read. The
// usual fifth of a megabyte has a large payload go back and forth between the two
// processes in small steps. Only what is under way takes memory.
const socketBuffer = 2 << 20

// widen asks for that room. The system may grant less.
func widen(conn *net.UnixConn) { _ = conn.SetWriteBuffer(socketBuffer) }

// greet says Hello and opens the streams.
func (l *launch) greet(ctx context.Context, service workerv1.WorkerServiceClient) (*Worker, error) {
	capabilities, level := l.o.capabilities()
	capabilities = append(capabilities, capabilityPack, capabilityStream, capabilitySession, capabilityActor)
	if l.recorder != nil {
		capabilities = append(capabilities, capabilityRecorder, capabilityFence, capabilityJournal)
	}
	response, err := service.Hello(ctx, &workerv1.HelloRequest{
		Revision: revision, Capabilities: capabilities, Lanes: uint32(l.o.Lanes),
		MaxPayloadBytes: uint64(l.o.MaxPayload), Recorder: l.recorder != nil, LogLevel: level,
	}, grpc.MaxCallRecvMsgSize(maxSideMessage))
	if err != nil {
		return nil, &helloError{err}
	}
	w := &Worker{
		o: l.o, launch: l, child: l.child, recorder: l.recorder, conn: l.polling,
		born: monotonicNow(), received: make(chan struct{}), done: make(chan struct{}),
	}
	if w.hello, w.functions, err = readHello(response, l.o.Lanes); err != nil {
		return nil, err
	}
	if w.methods, err = methodsOf(w.hello.Tasks); err != nil {
		return nil, err
	}
	w.box = newPostBox(w.sendPosted, w.Kill)
	w.request.function, w.request.firstCodec, w.request.runs = w.functionOf, w.firstCodec, w.runs
	w.request.method, w.hasActors = w.methodOf, slices.Contains(w.hello.Capabilities, capabilityActor)
	w.hello.Recorder = w.hello.Recorder && w.recorder != nil
	w.sent, w.answered = make([]atomic.Uint64, w.hello.Lanes), make([]uint64, w.hello.Lanes)
	var streamCtx context.Context
	streamCtx, w.cancel = context.WithCancel(context.Background())
	if w.work, err = service.Work(streamCtx); err == nil {
		var control grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]
		if control, err = service.Control(streamCtx, grpc.MaxCallRecvMsgSize(maxSideMessage)); err == nil {
			w.control = newControlStream(control)
			return w, nil
		}
	}
	w.cancel()
	return nil, fmt.Errorf("opening its streams failed: %w", err)
}

// readHello checks what a worker says of itself.
func readHello(r *workerv1.HelloResponse, lanes int) (Hello, map[string]uint32, error) {
	h := Hello{
		Language: r.GetLanguage(), SDK: r.GetSdk(), Capabilities: r.GetCapabilities(),
		Lanes: int(r.GetLanes()), Recorder: r.GetRecorderOpen(),
	}
	if r.GetSdkVersion() != "" {
		h.SDK += " " + r.GetSdkVersion()
	}
	if r.GetRevision() < 1 {
		// A higher one than ours is no harm: the lower of the two holds.
		return h, nil, errors.New("it does not say which revision of the worker contract it speaks; bring its SDK up to date")
	}
	if h.Lanes < 1 || h.Lanes > lanes {
		return h, nil, fmt.Errorf("it offers %d lanes where between 1 and %d were asked for", h.Lanes, lanes)
	}
	functions := make(map[string]uint32, len(r.GetTasks()))
	for i, t := range r.GetTasks() {
		if _, twice := functions[t.GetName()]; twice || t.GetName() == "" {
			return h, nil, fmt.Errorf("its task list has the name %q twice, or none; names are unique", t.GetName())
		}
		functions[t.GetName()] = uint32(i)
		h.Tasks = append(h.Tasks, procpool.TaskInfo{
			Name: t.GetName(), Kind: kindFromWire(t.GetKind()), In: t.GetInput(), Out: t.GetOutput(), Receives: t.GetReceives(),
			Codecs: slices.Clone(t.GetCodecs()), Doc: t.GetDoc(), Methods: methodsFromWire(t),
		})
	}
	return h, functions, nil
}

// tidyProcess makes sure that there is no process.
func (l *launch) tidyProcess() {
	if l.child != nil {
		l.child.Kill()
		<-l.child.Done()
	}
}

// tidy lets go of everything that belongs to a dead or failed worker.
func (l *launch) tidy() {
	l.tidyProcess()
	l.abort() // the connection, which may be open to a process that left the group
	if l.client != nil {
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			l.client.Kill()
		}()
		timer := time.NewTimer(tidyLimit)
		defer timer.Stop()
		select {
		case <-killed:
		case <-timer.C: // nothing that it could still hold is ours
		}
	}
	if l.child != nil {
		l.child.Close()
	}
	if l.recorder != nil {
		_ = l.recorder.close() // nobody is left to tell
	}
	l.removeDir()
}

// removeDir removes the private directory. Once both sides are connected nothing
// needs it, and the sooner it is gone the less a killed host can leave behind.
func (l *launch) removeDir() {
	if l.dir != nil {
		l.dir.remove()
		l.dir = nil
	}
}
