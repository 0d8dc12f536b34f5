package executor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/selfexec"
	"github.com/procpool/procpool/internal/sharedstate"
	"github.com/procpool/procpool/internal/wire"
)

// Pool is a pool of worker processes. It is a procpool.Executor, safe for
// concurrent use. A pool that is dropped without Close finishes the calls it has
// and then closes itself.
type Pool struct {
	core *core
}

var _ procpool.PackExecutor = (*Pool)(nil)

// core is the pool without its handle, so that what runs for the pool does not
// keep the handle alive.
type core struct {
	cfg     Config
	path    string
	args    []string
	env     []string
	sched   *sched.Scheduler
	spawner *proc.Spawner
	poller  *wire.Poller
	output  *output
	logs    logs
	level   *slog.Level // the least important that the logger wants, nil for none
	events  eventQueue
	crashes *crashDir

	dedicated *dedicated
	shared    *sharedstate.Registry
	actors    *actors
	numbers   atomic.Int64 // of workers, given out so far

	startCtx    context.Context //nolint:containedctx // ends the starts in flight when the pool closes
	cancelStart context.CancelFunc
	starts      sync.WaitGroup // launches in flight and workers not yet tidied up
	first       chan error     // how the first start went
	served      servedTasks
	members     members
	began       time.Time

	closing sync.Once
	closed  chan struct{}
}

// New starts a pool. It returns when the first worker is ready; the others start
// behind it. ctx bounds that start only, not the pool's life. When the first
// worker can't be started the error is a *procpool.StartError, and nothing is
// left behind.
func New(ctx context.Context, cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{cfg: cfg, first: make(chan error, 1), closed: make(chan struct{}), began: time.Now()}
	if err := c.chooseProgram(); err != nil {
		return nil, err
	}
	if c.crashes, err = newCrashDir(cfg, c.path, c.args); err != nil {
		return nil, err
	}
	if c.spawner, err = proc.NewSpawnerWith(proc.SpawnerConfig{Nice: cfg.Nice}); err != nil {
		return nil, fmt.Errorf("procpool: Config.Nice is %d: %w", cfg.Nice, err)
	}
	c.startCtx, c.cancelStart = context.WithCancel(context.Background())
	if !cfg.NoPolling {
		c.poller = wire.NewPoller(-1) // as much as the machine has to spare
	}
	c.output = newOutput(cfg.Output)
	c.logs.logger, c.level = cfg.Logger, leastLevel(cfg.Logger)
	c.events.listener = cfg.OnEvent
	c.sched = c.newScheduler(sched.Config{
		QueueSize: cfg.QueueSize, QueueBytes: cfg.QueueBytes,
		Workers: cfg.Workers, MinWorkers: cfg.MinWorkers, Spares: cfg.Spares, Concurrency: cfg.Concurrency,
		Extra:     cfg.MaxDedicated,
		GrowAfter: cfg.GrowAfter, IdleTimeout: cfg.IdleTimeout, MaxCalls: cfg.MaxCalls, MaxAge: cfg.MaxAge,
		NestingDepth: cfg.NestingDepth, NestedCalls: cfg.NestedCalls,
	})
	c.dedicated, c.actors = newDedicated(c, cfg.MaxDedicated), newActors(c)
	c.shared = sharedstate.New(cfg.NestedCalls)
	c.watchVitals()
	c.sched.Start()
	select {
	case err = <-c.first:
	case <-ctx.Done():
		c.cancelStart()
		if err = <-c.first; err != nil {
			err = &procpool.StartError{Command: c.commandLine(), Reason: "the context given to New ended first", ExitCode: -1, Err: context.Cause(ctx)}
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	pool := &Pool{core: c}
	runtime.AddCleanup(pool, func(c *core) { go c.abandon() }, c)
	return pool, nil
}

// newScheduler makes a scheduler for workers of this pool.
func (c *core) newScheduler(cfg sched.Config) *sched.Scheduler {
	var s *sched.Scheduler
	cfg.MaxPayload = c.cfg.MaxPayload
	cfg.CancelGrace, cfg.RetireGrace = c.cfg.CancelGrace, c.cfg.RetireGrace
	cfg.Epoch = c.began // so that the numbers of calls differ
	cfg.Number = func() int { return int(c.numbers.Add(1)) }
	if cfg.Launch == nil {
		cfg.Launch, cfg.Unknown = func(number int) { c.launch(s, number) }, c.unknownTask
	}
	cfg.OnCrash = c.crashes.save
	if c.cfg.OnEvent != nil {
		cfg.OnEvent = c.events.worker
	}
	s = sched.New(cfg)
	return s
}

// chooseProgram decides what a worker runs, and refuses where running it would
// never end.
func (c *core) chooseProgram() error {
	base := c.cfg.Env
	if base == nil {
		base = os.Environ()
	}
	self := c.cfg.Command.path == ""
	if depth := selfexec.Depth(); depth >= selfexec.MaxDepth {
		return &procpool.StartError{ExitCode: -1, Reason: fmt.Sprintf(
			"pools are nested %d deep already, and each level multiplies the processes: submit to the outer pool instead", depth)}
	}
	c.env = withThreads(selfexec.WorkerEnv(base), c.cfg.ThreadsPerWorker, c.cfg.Env)
	if !self {
		var err error
		c.path, c.args, err = c.cfg.Command.resolve(c.cfg.Dir, c.env)
		return err
	}
	if !selfexec.InitCalled() {
		return &procpool.StartError{ExitCode: -1, Reason: "workers are to run this program again, but it has not called workerproc.Init: " +
			"call workerproc.Init(tasks...) as the first line of main, or procpooltest.Main from TestMain, before executor.New " +
			"(without it each worker would start workers of its own)"}
	}
	var err error
	if c.path, c.args, err = selfexec.Executable(); err != nil {
		return &procpool.StartError{ExitCode: -1, Reason: "this program's own file can't be found", Err: err}
	}
	return nil
}

func (c *core) commandLine() []string {
	if c.cfg.Command.path != "" {
		return c.args
	}
	return append([]string{c.path}, c.args[1:]...)
}

// Enqueue takes calls; see procpool.Executor. Programs use the verbs of their
// handles instead.
func (p *Pool) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	switch {
	case first.Kind() == procpool.KindShared:
		p.core.share(ctx, first, n)
	case first.Actor() != nil:
		p.core.actors.enqueueAll(ctx, first, n)
	case first.Dedicated():
		p.core.dedicated.enqueueAll(ctx, first, n)
	default:
		p.core.sched.Enqueue(ctx, first, n)
	}
	runtime.KeepAlive(p) // a submitter that waits for room holds the pool
}

// TakesPacks reports that the pool takes packs; see procpool.PackExecutor.
func (p *Pool) TakesPacks() bool { return true }

// Shutdown takes no more calls, waits until those it has are done, and closes the
// pool. When ctx ends first it kills what still runs and returns an error that
// wraps the context's cause and says what was given up. Of a pool that is closed
// already it returns nil.
func (p *Pool) Shutdown(ctx context.Context) error { return p.core.shutdown(ctx) }

// Close ends the pool now: calls that have not ended fail with
// procpool.ErrClosed and their workers are killed. No process, socket,
// goroutine or descriptor of the pool is left when it returns. Close may be
// called at any moment, from any goroutine, and again; the error is always nil.
func (p *Pool) Close() error {
	p.core.close()
	return nil
}

// Resize changes how many workers take calls at the most, at once and without
// waiting for anybody: workers that are too many finish the calls they run, get no
// others, and leave. Where Config.MinWorkers was equal to Workers it stays so;
// otherwise it becomes lower only if it has to. The error says what is wrong with
// the number. A closed pool does nothing.
func (p *Pool) Resize(workers int) error {
	if workers < 1 || workers > maxWorkers {
		return fmt.Errorf("procpool: Resize(%d): a pool has between 1 and %d workers", workers, maxWorkers)
	}
	c := p.core
	least := workers
	if c.cfg.MinWorkers < c.cfg.Workers {
		least = min(c.cfg.MinWorkers, workers)
	}
	c.sched.Resize(least, workers)
	return nil
}

// Restart has every worker of this moment replaced, one after the other, each by
// one that is ready before it goes; no call is lost or refused for it. It blocks
// until the last of them has ended, which may take as long as the calls that run,
// or until ctx ends: then the error wraps its cause and the restart goes on. It
// also returns an error when the pool is closed first.
func (p *Pool) Restart(ctx context.Context) error {
	select {
	case err := <-p.core.sched.Restart():
		return err
	case <-ctx.Done():
		return fmt.Errorf("procpool: not all workers have been replaced yet, the restart goes on: %w", context.Cause(ctx))
	}
}

// Stats returns the pool's counts of the moment. It is cheap and may be called
// often.
func (p *Pool) Stats() Stats { return p.core.stats() }

func (c *core) shutdown(ctx context.Context) error {
	c.sched.Refuse()
	c.actors.refuse()
	for _, drain := range c.drains() {
		select {
		case <-drain():
		case <-c.closed:
			return nil
		case <-ctx.Done():
			return givenUp(c.close(), context.Cause(ctx))
		}
	}
	// The workers have nothing to do: they get the chance to leave by
	// themselves, so that they can flush what they hold.
	patience := leaveTime
	if !c.cfg.Finalizer.IsZero() {
		patience += c.cfg.FinalTimeout
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.sched.Stop():
	case <-timer.C:
	case <-ctx.Done():
	}
	c.close()
	return nil
}

// drains are what one waits for, one after the other, until all calls are done: the
// sessions first, which may go on making calls of the pool, as methods of actors may; the
// actors last, which tasks may call.
func (c *core) drains() []func() <-chan struct{} {
	return []func() <-chan struct{}{c.dedicated.drain, c.actors.settle, c.sched.Drain, c.actors.drain}
}

// givenUp says what a shutdown has cut short.
func givenUp(what sched.Ended, cause error) error {
	running := fmt.Sprintf("%d running", what.Running)
	if len(what.Tasks) > 0 {
		running += " (" + strings.Join(what.Tasks, ", ") + ")"
	}
	return fmt.Errorf("procpool: shutdown ended before the work did; %s and %d queued calls were given up: %w", running, what.Queued, cause)
}

// close ends the pool; the first to call it learns what was given up.
func (c *core) close() (what sched.Ended) {
	c.closing.Do(func() {
		c.cancelStart()
		c.shared.Close()
		var gone <-chan struct{}
		gone, what = c.sched.Kill()
		others, more := c.dedicated.kill()
		what.Add(more)
		homes, more := c.actors.kill()
		what.Add(more)
		<-gone
		<-others
		<-homes
		c.starts.Wait()
		c.spawner.Close()
		c.output.close()
		c.logs.close()
		c.crashes.close()
		c.sched.WaitEvents()
		c.events.wait()
		close(c.closed)
	})
	<-c.closed
	return what
}

// abandon ends a pool that nobody holds any more, once its calls are done.
func (c *core) abandon() {
	for _, drain := range c.drains() {
		<-drain()
	}
	c.close()
}
