package executor

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/wire"
)

// launch starts worker number in the background.
func (c *core) launch(number int) {
	c.starts.Go(func() {
		err := c.start(number)
		if err != nil {
			c.sched.StartFailed(number, err)
		}
		if number == 1 {
			c.first <- err
		}
	})
}

// start starts a worker and hands it to the scheduler. Whatever it returns an
// error for has left nothing behind.
func (c *core) start(number int) error {
	h := &handler{core: c, number: number, registered: make(chan struct{})}
	defer close(h.registered)
	w, err := wire.Start(c.startCtx, wire.Options{
		Spawner: c.spawner, Path: c.path, Args: c.args, Env: c.env, Dir: c.cfg.Dir,
		Lanes: 1, MaxPayload: c.cfg.MaxPayload, MemoryLimit: c.cfg.MemoryLimit, StartTimeout: c.cfg.StartTimeout,
		SocketDir: c.cfg.SocketDir, Sweep: number == 1, Poller: c.poller, AutoMTLS: c.cfg.AutoMTLS,
		Output: h.printed, OnReplies: h.replies, OnExit: h.exited,
	})
	if err != nil {
		return err
	}
	h.worker = w
	c.starts.Go(func() { <-w.Done() }) // Close waits until nothing of the worker is left
	hello := w.Hello()
	if names := c.served.learn(hello.Tasks); names != nil {
		c.sched.SetServed(names)
	} else if !c.served.same(hello.Tasks) {
		h.refused = true
		w.Kill(nil)
		return &procpool.StartError{Command: c.commandLine(), Reason: "it serves other tasks than the first worker did", ExitCode: -1}
	}
	c.sched.Started(number, link{w}, hello.Recorder)
	return nil
}

// link is a worker in the form that the scheduler knows.
type link struct{ *wire.Worker }

func (l link) Kill() { l.Worker.Kill(nil) }

func (l link) Progress(lane int) (started, finished uint64, startedAt int64) {
	started, finished, ran := l.Worker.Progress(lane)
	return started, finished, time.Now().Add(-ran).UnixNano()
}

// handler hears what a worker says, and tells the scheduler.
type handler struct {
	core       *core
	number     int
	worker     *wire.Worker
	refused    bool          // the scheduler never gets to know it; written before registered is closed
	registered chan struct{} // closed when the scheduler knows the worker
	scratch    []sched.Reply // of the worker's receiver goroutine
}

func (h *handler) replies(batch []wire.Reply) {
	h.scratch = convert(h.scratch[:0], batch)
	if !h.core.sched.Replies(h.number, h.scratch) {
		h.worker.Kill(errors.New("the worker was killed because it answered what makes no sense"))
	}
	clear(h.scratch)
}

func convert(out []sched.Reply, batch []wire.Reply) []sched.Reply {
	for i := range batch {
		r := &batch[i]
		out = append(out, sched.Reply{Seq: r.Seq, Kind: kindOf(r.Kind), Data: r.Data, Err: r.Err, Run: r.Run})
	}
	return out
}

func kindOf(k wire.ReplyKind) sched.Kind {
	switch k {
	case wire.Failed:
		return sched.Failed
	case wire.Declined:
		return sched.Declined
	default:
		return sched.Result
	}
}

func (h *handler) printed(stream proc.Stream, line []byte) {
	if len(line) == 0 && stream == proc.Stdout && !h.isRegistered() {
		return // workers end whatever line was begun before they print the handshake
	}
	h.core.output.line(h.number, h.core.sched.Running, line)
}

func (h *handler) isRegistered() bool {
	select {
	case <-h.registered:
		return true
	default:
		return false
	}
}

// exited tells of the worker's end. A worker may be gone before the scheduler
// knows of it, which then comes first.
func (h *handler) exited(r wire.ExitReport) {
	<-h.registered
	if h.refused {
		return
	}
	report := sched.Report{Crash: h.crash(r), Replies: convert(nil, r.Replies), PageOK: r.PageOK}
	if r.PageOK && len(r.Lanes) > 0 {
		report.Started, report.Finished = r.Lanes[0].Started, r.Lanes[0].Finished
	}
	h.core.sched.Exited(h.number, report)
}

// crash puts the facts of a death into the form in which callers get them.
func (h *handler) crash(r wire.ExitReport) procpool.CrashError {
	e := procpool.CrashError{
		Worker: h.number, PID: h.worker.PID(), ExitCode: r.Exit.Code, Reason: r.Exit.String(),
		OOM: oomOf(r.Exit.OOM), MaxRSS: r.Exit.MaxRSS, UserCPU: r.Exit.User, SystemCPU: r.Exit.System, Stderr: r.Stderr,
	}
	if r.Exit.Signal != 0 {
		e.Signal = proc.SignalName(r.Exit.Signal)
	}
	if r.Err != nil {
		e.Reason = r.Err.Error()
	}
	return e
}

func oomOf(o proc.OOM) procpool.OOM {
	switch o {
	case proc.OOMYes:
		return procpool.OOMYes
	case proc.OOMLikely:
		return procpool.OOMLikely
	default:
		return procpool.OOMNo
	}
}

// servedTasks is what the workers serve, as the first of them said.
type servedTasks struct {
	mu    sync.Mutex
	names []string // sorted; nil until known
}

// learn takes over the first worker's tasks and returns their names; nil when
// they are known already.
func (s *servedTasks) learn(tasks []procpool.TaskInfo) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names != nil {
		return nil
	}
	s.names = sortedNames(tasks)
	return s.names
}

func (s *servedTasks) same(tasks []procpool.TaskInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Equal(s.names, sortedNames(tasks))
}

func (s *servedTasks) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

func sortedNames(tasks []procpool.TaskInfo) []string {
	names := make([]string, 0, len(tasks))
	for _, t := range tasks {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// unknownTask makes the error for a call of a task that the workers do not serve.
func (c *core) unknownTask(call *procpool.Call) error {
	remedy := ""
	if c.cfg.Command.path == "" {
		remedy = "pass it to workerproc.Init (in tests, to procpooltest.Main)"
	}
	return procpool.UnknownTaskError(call, c.served.list(), remedy)
}
