package wire

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
)

// Bounds that apply where Options leaves a field zero.
const (
	DefaultMaxPayload   = 256 << 20
	DefaultStartTimeout = 30 * time.Second
)

// revision is the revision of the worker contract that this package speaks.
const revision = 1

// messageSlack is what a message may hold beside one payload of the largest
// size: the outcomes that travel with it and every field's frame.
const messageSlack = 1 << 20

// Options says which worker to start and how to talk to it. Spawner and Path are
// required.
type Options struct {
	// Spawner starts the process.
	Spawner *proc.Spawner
	// Path, Args, Env and Dir are as in proc.Spec. To Env the variables of
	// the handshake are added; those of another host's handshake are removed.
	Path      string
	Args, Env []string
	Dir       string

	// Lanes is how many calls the worker may run at once, 1 when 0.
	Lanes int
	// MaxPayload is the largest argument or result in bytes,
	// DefaultMaxPayload when 0.
	MaxPayload int64
	// MemoryLimit, CPULimit and OpenFiles are as in proc.Spec.
	MemoryLimit int64
	CPULimit    time.Duration
	OpenFiles   uint64
	// StartTimeout bounds the start, DefaultStartTimeout when 0.
	StartTimeout time.Duration
	// Hint is what a program that ended before its handshake probably lacks; when it is
	// empty, a call of workerproc.
	Hint string
	// SocketDir is where the private directory for the socket is made. When
	// it is empty that is the system's directory for temporary files, or
	// another one where its name is too long for a socket.
	SocketDir string
	// Sweep has the start remove, where it makes the private directory, those
	// that hosts of the same user have left behind which were killed during a
	// start. One start of a host is enough.
	Sweep bool
	// Poller is the budget for polling, which makes short calls faster; nil
	// is no polling.
	Poller *Poller
	// AutoMTLS has the two sides prove themselves with certificates. It is
	// always on where the connection is not a Unix socket.
	AutoMTLS bool

	// Output receives what the worker prints, line by line. It must not
	// block and not keep line.
	Output func(stream proc.Stream, line []byte)
	// OnReplies receives the outcomes of calls. Like OnNested, OnProgress and OnLog
	// it runs on the goroutine that reads the worker's stream and must not block. The slice is valid during the
	// call, the replies' Data beyond it.
	OnReplies func(replies []Reply)
	// OnNested takes a call that the call with number seq on the lane makes, to be
	// enqueued or finished; its holder must be known when OnNested returns. What goes
	// back to the task is wire's: values, credit, the outcome. The call is cancelled
	// when the task gives it up, when the outcome of the call that makes it has been
	// handed to OnReplies, and after OnExit. nil means that calls are refused.
	OnNested func(lane uint32, seq uint64, call *procpool.Call)
	// OnShared does so for an operation on shared state (procpool.KindShared). What
	// such a call holds is to be taken back when OnReplies has its outcome, or
	// OnExit its worker's end: none comes of it behind these.
	OnShared func(lane uint32, seq uint64, call *procpool.Call)
	// OnProgress receives how far a running call says that it has come.
	OnProgress func(lane uint32, seq uint64, p procpool.Progress)
	// OnLog receives what tasks log, of LogLevel and above; nothing when that is
	// nil.
	OnLog    func(r LogRecord)
	LogLevel *slog.Level
	// OnExit receives the report of the worker's end: once, and when
	// OnReplies can't be called any more. It is not called when Start fails.
	OnExit func(ExitReport)
}

func (o Options) withDefaults() Options {
	if o.Lanes <= 0 {
		o.Lanes = 1
	}
	if o.MaxPayload <= 0 {
		o.MaxPayload = DefaultMaxPayload
	}
	// A gRPC message is limited to this, and so is its Go side on 32 bits.
	o.MaxPayload = min(o.MaxPayload, math.MaxInt32-messageSlack)
	if o.Hint == "" {
		o.Hint = defaultHint
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = DefaultStartTimeout
	}
	if o.OnReplies == nil {
		o.OnReplies = func([]Reply) {}
	}
	if o.OnExit == nil {
		o.OnExit = func(ExitReport) {}
	}
	return o
}

// Hello is what a worker said of itself.
type Hello struct {
	// Tasks are the tasks that it serves.
	Tasks []procpool.TaskInfo
	// Language is the tasks' language, such as "go".
	Language string
	// SDK is the name and version of the SDK that the worker was built with.
	SDK string
	// Capabilities are the optional parts of the contract that it has.
	Capabilities []string
	// Lanes is how many calls it runs at once, at most what was asked for.
	Lanes int
	// Recorder reports that it keeps the flight recorder. Without it no call
	// may be sent ahead.
	Recorder bool
}

// ExitReport tells how a worker ended and how far its calls had come.
type ExitReport struct {
	// Exit is how the process ended.
	Exit proc.Exit
	// Stderr is the end of what it wrote to standard error.
	Stderr string
	// PageOK reports that Lanes is what the worker recorded. Otherwise every
	// call that was sent must be taken as started.
	PageOK bool
	// Lanes tells for each lane how far its calls had come.
	Lanes []LaneProgress
	// Replies are outcomes that the worker had ready and that never reached
	// the host otherwise.
	Replies []Reply
	// Err says why the host killed the worker: the reason given to Kill, or
	// what was wrong with its streams. It is nil when the worker ended by
	// itself or was killed without a reason.
	Err error
}

// LaneProgress is how far the calls of a lane have come.
type LaneProgress struct {
	// Started and Finished are the numbers of the last call that started and
	// of the last whose function returned, 0 for none.
	Started, Finished uint64
	// Ran is how long before the end of the process the last call started, 0
	// when that is not known. Where Finished is Started the call was over by
	// then.
	Ran time.Duration
}

// Worker is a running worker process and the connection to it. Its methods are
// safe for concurrent use except where they say otherwise.
type Worker struct {
	o         Options
	launch    *launch
	child     *proc.Child
	recorder  *recorder
	hello     Hello
	functions map[string]uint32
	methods   map[methodKey]uint32
	hasActors bool
	conn      *pollConn // nil where the connection is not a Unix socket

	work    grpc.ClientStream
	box     *postBox // for those who must not wait for the worker
	relays  relays
	streams hostStreams
	run     [][]byte // the receiver's, to hand on values
	control *controlStream
	cancel  context.CancelFunc // ends both streams

	sent     []atomic.Uint64 // per lane, the number of the last call sent
	answered []uint64        // per lane, the number of the last call replied to; the receiver's, later the supervisor's
	stopping atomic.Bool
	killed   atomic.Bool
	reason   atomic.Pointer[error] // the first that Kill was given
	born     int64                 // when it had said Hello, in monotonicNow's clock
	received chan struct{}         // closed when the receiver has ended
	recvErr  error                 // why; written before received is closed
	drained  bool                  // whether all was received that the dead worker had sent; the supervisor's
	helpers  sync.WaitGroup        // the goroutines of the control stream
	done     chan struct{}

	request workRequest // reused by Send
	sendMu  sync.Mutex  // guards request and the order of the stream
}

// Hello returns what the worker said of itself.
func (w *Worker) Hello() Hello { return w.hello }

// PID returns the process id.
func (w *Worker) PID() int { return w.child.PID() }

// Function returns the worker's number for a task, and whether it serves it.
func (w *Worker) Function(name string) (uint32, bool) {
	f, ok := w.functions[name]
	return f, ok
}

// Usage returns what the worker and its children use at the moment; see
// proc.Child.Usage.
func (w *Worker) Usage() (proc.Usage, error) { return w.child.Usage() }

// Done returns a channel that is closed when the process has been reaped, the
// report was delivered, and nothing of the worker is left in the host.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Kill kills the process and its group. The first reason that is not nil becomes
// ExitReport.Err, unless the process ended by something else. It does not block;
// Done tells of the end.
func (w *Worker) Kill(reason error) {
	if reason != nil {
		w.reason.CompareAndSwap(nil, &reason)
	}
	w.killed.Store(true)
	w.child.Kill()
}

// Stop asks the worker to leave, by the end of its standard input. What it runs
// is cut short. It does not block, and a worker that is stuck does not leave.
func (w *Worker) Stop() {
	w.stopping.Store(true)
	w.child.CloseStdin()
}

// SetHot says whether short calls are in flight, so that waiting for their
// replies without sleeping is worth the processor time.
func (w *Worker) SetHot(hot bool) {
	if w.conn != nil {
		w.conn.setHot(hot)
	}
}

// Fence keeps every call of the lane beyond number k from starting and returns
// the number of the last call that has started: what lies beyond both is the
// caller's again. It takes effect at once, even if the worker is stuck. Without a
// recorder it reports false and does nothing.
func (w *Worker) Fence(lane int, k uint64) (started uint64, ok bool) {
	if !w.hello.Recorder {
		return 0, false
	}
	return w.recorder.fence(lane, k)
}

// Unfence lifts the lane's fence. Calls that were fenced off and have not been
// answered yet may start then.
func (w *Worker) Unfence(lane int) {
	if w.hello.Recorder {
		w.recorder.unfence(lane)
	}
}

// Progress returns how far the calls of the lane have come: the numbers of the
// last call that started and of the last that finished, and how long the former has
// run, without the time that it has waited (see Waiting) or, where it has finished,
// how long ago it started. Without a recorder all are zero, and so they are once Done is
// closed. The numbers are the worker's word; ran is between zero and the worker's
// age, whatever it says.
func (w *Worker) Progress(lane int) (started, finished uint64, ran time.Duration) {
	if !w.hello.Recorder {
		return 0, 0, 0
	}
	now := monotonicNow()
	s, _ := w.recorder.progress(lane)
	if s.started == 0 {
		return 0, s.finished, 0
	}
	return s.started, s.finished, s.ran(now, w.born)
}

// Waiting reports whether the call that runs on the lane waits for its caller or for
// calls that it has made. That time does not count as run time.
func (w *Worker) Waiting(lane int) bool {
	if !w.hello.Recorder {
		return false
	}
	s, _ := w.recorder.progress(lane)
	return s.waiting != 0 && s.finished < s.started
}

// age returns how long the worker has been there.
func (w *Worker) age() time.Duration { return laneState{}.ran(monotonicNow(), w.born) }

// Send sends calls on a lane in as few messages as their size allows. Each
// carries its number in Slot.Seq, ascending over all calls of the lane and for a
// pack the first item's, and in Slot.Attempts how often it has run before. The
// values of a stream or a session go to the call's conduit, to which Send attaches the
// worker, and from there. One goroutine may call it for a lane at a time. It blocks
// while the worker does not take what large payloads need, and until the worker's
// death at most. What can't be sent because the worker has died or is dying is
// accounted for in the report of its end.
func (w *Worker) Send(lane int, calls []*procpool.Call) {
	w.sendMu.Lock()
	defer w.sendMu.Unlock()
	for len(calls) > 0 {
		n := batchLength(calls)
		last := calls[n-1]
		w.sent[lane].Store(last.Slot.Seq + uint64(last.Items()) - 1)
		for _, c := range calls[:n] {
			if kind := c.Kind(); kind.HasValues() || kind != procpool.KindFunction && !w.runs(kind) {
				w.attach(uint32(lane), c)
			}
		}
		w.request.calls, w.request.lane, w.request.now = calls[:n], uint32(lane), time.Now()
		// An error ends the stream, which the receiver sees.
		if err := w.work.SendMsg(&w.request); err != nil {
			break
		}
		calls = calls[n:]
	}
	w.request.calls = nil // the caller's
}

// sendPosted sends what the box holds. A session that is sent a value may have an answer
// within microseconds.
func (w *Worker) sendPosted(r *postedRequest) error {
	if r.holdsValues() {
		w.SetHot(true)
	}
	w.sendMu.Lock()
	defer w.sendMu.Unlock()
	return w.work.SendMsg(r)
}

// batchBytes is where a batch of small calls is cut: large enough to make the
// cost of a message vanish, small enough for the worker to begin early.
const batchBytes = 256 << 10

// batchLength returns how many of the calls go into the next message.
func batchLength(calls []*procpool.Call) int {
	size := 0
	for i, c := range calls {
		size += len(c.Payload()) + 32
		if i > 0 && size > batchBytes || i >= maxElements {
			return i
		}
	}
	return len(calls)
}

// functionOf returns the worker's number for a task; for one it does not serve, a
// number that makes the worker say so.
func (w *Worker) functionOf(name string) uint32 {
	if f, ok := w.functions[name]; ok {
		return f
	}
	return noFunction
}

// firstCodec returns the codec that the worker takes for granted with a task.
func (w *Worker) firstCodec(function uint32) string {
	if int64(function) >= int64(len(w.hello.Tasks)) || len(w.hello.Tasks[function].Codecs) == 0 {
		return ""
	}
	return w.hello.Tasks[function].Codecs[0]
}

// boundRun cuts what the worker says of a call's run time to the worker's age.
func (w *Worker) boundRun(r *Reply) {
	if r.Run > time.Second { // below that a lie does no harm
		r.Run = min(r.Run, w.age())
	}
}

// receive reads what the worker sends until the stream ends, or the worker breaks the
// contract. Outcomes come last: what their calls have sent is there before.
func (w *Worker) receive() {
	defer close(w.received)
	batch := new(replyBatch)
	for {
		if err := w.work.RecvMsg(batch); err != nil {
			w.recvErr = err
			return
		}
		if err := w.takeBeside(batch); err != nil {
			w.Kill(fmt.Errorf("the worker was killed because it broke the contract: %w", err))
			w.recvErr = err
			w.cancel()
			return
		}
		for i := range batch.replies {
			r := &batch.replies[i]
			if uint64(r.Lane) >= uint64(len(w.answered)) {
				w.recvErr = fmt.Errorf("the worker answered a call on lane %d, of which it has %d", r.Lane, len(w.answered))
				w.cancel()
				return
			}
			w.answered[r.Lane] = max(w.answered[r.Lane], r.Seq)
			w.boundRun(r)
			w.closeStream(r)
		}
		w.o.OnReplies(batch.replies)
		w.endRelayed(batch.replies)
	}
}
