package proc

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Spawner starts children, all from one operating system thread that it alone uses and that ends with
// it. On Linux the kernel kills a child when the thread that made it ends; a thread of the Go runtime's
// choosing might end at any time, this one lives until Close. Its methods are safe for concurrent use.
type Spawner struct {
	requests chan *startRequest
	quit     chan struct{} // closed when no child is left after Close: ends the thread's goroutine
	gone     chan struct{} // closed when that goroutine has returned
	ready    chan struct{} // closed when the thread is
	thread   int           // its id, 0 where unknown; written before ready is closed
	err      error         // why it is not as it should be; written before ready is closed
	cfg      SpawnerConfig
	limits   limiter
	guardian *guardian
	release  sync.Once // gives the guardian back

	mu     sync.Mutex
	closed bool
	live   int // starts in progress and children not yet reaped and tidied up
}

// startRequest carries one start to the thread and its outcome back.
type startRequest struct {
	spec   Spec
	guard  *guard
	taken  atomic.Bool // the first of deliver and abandon wins
	result chan startResult
}

type startResult struct {
	child *Child
	err   error
}

// SpawnerConfig holds what all children of a Spawner have in common. The zero value asks for nothing.
type SpawnerConfig struct {
	// Nice is the niceness of every child, from 1, a little less processor time than others get, to 19,
	// what others leave; 0 leaves the host's. It is in force before a child's program runs. Linux only.
	Nice int
}

// NewSpawner returns a Spawner whose thread is running. Close ends it.
func NewSpawner() *Spawner {
	s := newSpawner(SpawnerConfig{})
	<-s.ready
	return s
}

// NewSpawnerWith is NewSpawner for a configuration that may be impossible: the error matches
// [errors.ErrUnsupported] where the platform can't honour it, and is the system's where that refuses, as
// it does for a niceness below the host's without a privilege.
func NewSpawnerWith(cfg SpawnerConfig) (*Spawner, error) {
	if cfg.Nice < 0 || cfg.Nice > 19 {
		return nil, fmt.Errorf("a niceness of %d is outside 0 to 19: %w", cfg.Nice, os.ErrInvalid)
	}
	s := newSpawner(cfg)
	<-s.ready
	if s.err != nil {
		s.Close()
		return nil, s.err
	}
	return s, nil
}

func newSpawner(cfg SpawnerConfig) *Spawner {
	s := &Spawner{
		requests: make(chan *startRequest), quit: make(chan struct{}), gone: make(chan struct{}),
		ready: make(chan struct{}), cfg: cfg, guardian: acquireGuardian(),
	}
	go s.run()
	return s
}

// run locks a thread that is not the process's main one and serves starts on it until quit. The thread
// is never unlocked, so it ends with its goroutine.
func (s *Spawner) run() {
	runtime.LockOSThread()
	if onMainThread() {
		// The main thread can't end before the process does. While this goroutine holds it, another
		// goroutine gets another thread.
		handed := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(handed)
			s.serve()
		}()
		<-handed
		runtime.UnlockOSThread()
		return
	}
	s.serve()
}

func (s *Spawner) serve() {
	defer close(s.gone)
	s.thread = threadID()
	s.err = setNice(s.cfg.Nice)
	close(s.ready)
	for {
		select {
		case <-s.quit:
			return
		case req := <-s.requests:
			child, err := s.spawn(req.spec, req.guard)
			switch {
			case req.taken.CompareAndSwap(false, true):
				req.result <- startResult{child, err}
				s.left()
			case child != nil:
				go s.discard(child)
			default:
				s.left()
			}
		}
	}
}

// Start starts a child and blocks until its program runs or could not be started: then the error is a
// [*StartError], or one that matches [errors.ErrUnsupported] for a limit that the platform cannot hold,
// or says which limit was refused. When ctx ends first, Start returns its error at once and a child that comes to be all the
// same is killed. ctx has no part in the child's life after that. After Close it returns [ErrClosed].
func (s *Spawner) Start(ctx context.Context, spec Spec) (*Child, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting %q was given up: %w", spec.Path, err)
	}
	path, err := resolve(spec.Path)
	if err != nil {
		return nil, err
	}
	spec = spec.withDefaults()
	spec.Path = path
	if !s.entered() {
		return nil, fmt.Errorf("cannot start %q: %w", spec.Path, ErrClosed)
	}
	guard, err := s.limits.guard(spec)
	if err != nil {
		s.left()
		return nil, fmt.Errorf("cannot start %q: %w", spec.Path, err)
	}
	return s.start(ctx, spec, guard)
}

// start hands a start to the thread and waits for its outcome or for the end of ctx. It takes over the
// guard and the count of the start.
func (s *Spawner) start(ctx context.Context, spec Spec, guard *guard) (*Child, error) {
	req := &startRequest{spec: spec, guard: guard, result: make(chan startResult, 1)}
	select {
	case s.requests <- req:
	case <-ctx.Done():
		guard.release()
		s.left()
		return nil, fmt.Errorf("starting %q was given up: %w", spec.Path, ctx.Err())
	}
	select {
	case r := <-req.result:
		return r.child, r.err
	case <-ctx.Done():
		if req.taken.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("starting %q was given up: %w", spec.Path, ctx.Err())
		}
		r := <-req.result // it came at the same moment
		return r.child, r.err
	}
}

// AwaitGuardian returns when the guardian process was started for the first child, or could not be, but
// waits no longer than limit. What a child starts before that is not ended with the host.
func (s *Spawner) AwaitGuardian(limit time.Duration) { s.guardian.await(limit) }

// Guarded reports whether the guardian process is there, which ends what children started when the host
// dies of something it can't see to, such as SIGKILL. All spawners of a program share it. It comes with
// the first child, a moment later, and goes when the last spawner is closed; one that was killed is
// replaced. The error says why there is none, and is nil if none was needed yet; on systems without
// process groups it matches [errors.ErrUnsupported].
func (s *Spawner) Guarded() (bool, error) { return s.guardian.guarded() }

// Close refuses further starts and returns when the last child has been reaped and the thread is gone,
// and the guardian too unless another spawner needs it. It kills nothing else: a child that is not told
// to leave keeps it waiting. It may be called more than once.
func (s *Spawner) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.live == 0 {
			close(s.quit)
		}
	}
	s.mu.Unlock()
	<-s.gone
	s.release.Do(releaseGuardian)
	s.awaitThreadEnd()
}

// awaitThreadEnd waits until the kernel has let the thread go, which happens just after its goroutine
// returned. The bound is for a kernel that hides its threads from us.
func (s *Spawner) awaitThreadEnd() {
	if s.thread == 0 {
		return
	}
	tick := time.NewTicker(50 * time.Microsecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Second); !threadEnded(s.thread) && time.Now().Before(deadline); {
		<-tick.C
	}
}

// entered counts a start, unless the spawner is closed.
func (s *Spawner) entered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.live++
	return true
}

// stay counts one more while something is counted already, so quit can't have been closed.
func (s *Spawner) stay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live++
}

// discard ends a child that nobody will ever hold, and one count.
func (s *Spawner) discard(c *Child) {
	c.Kill()
	<-c.Done()
	c.Close()
	s.left()
}

// left takes back one count: a start is over, or a child reaped and tidied up.
func (s *Spawner) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	if s.closed && s.live == 0 {
		close(s.quit)
	}
}

// spawn makes one child. It is the only place where a process is made, and runs on the locked thread;
// a stage between the fork and the user's program belongs here.
func (s *Spawner) spawn(spec Spec, guard *guard) (*Child, error) {
	pipes, err := newPipes()
	if err != nil {
		guard.release()
		return nil, fmt.Errorf("cannot start %q: %w", spec.Path, err)
	}
	process, err := guard.launch(func() (*os.Process, error) {
		return os.StartProcess(spec.Path, spec.Args, &os.ProcAttr{
			Dir:   spec.Dir,
			Env:   spec.Env,
			Files: pipes.child[:],
			Sys:   sysProcAttr(guard),
		})
	})
	pipes.closeChildEnds()
	if err != nil {
		pipes.closeHostEnds()
		guard.release()
		return nil, explain(spec, err)
	}
	s.guardian.add(process.Pid)
	s.stay()
	c := newChild(s, spec, guard, process, pipes)
	err = guard.engage(c)
	go c.wait()
	if err != nil {
		s.stay()
		go s.discard(c)
		return nil, fmt.Errorf("cannot start %q: it could not be limited in %w", spec.Path, err)
	}
	return c, nil
}

// pipes are the three standard streams of a child.
type pipes struct {
	child [3]*os.File // the ends the child gets as descriptors 0, 1 and 2
	host  [3]*os.File // ours; close-on-exec, as everything os.Pipe makes, so no other child gets them
}

func newPipes() (*pipes, error) {
	p := new(pipes)
	for i := range p.child {
		r, w, err := os.Pipe()
		if err != nil {
			p.closeChildEnds()
			p.closeHostEnds()
			return nil, fmt.Errorf("no pipe for it: %w", err)
		}
		if i == 0 {
			p.child[i], p.host[i] = r, w
		} else {
			p.child[i], p.host[i] = w, r
		}
	}
	return p, nil
}

func (p *pipes) closeChildEnds() { closeFiles(p.child[:]) }
func (p *pipes) closeHostEnds()  { closeFiles(p.host[:]) }

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // a pipe's close has nothing to report
		}
	}
}
