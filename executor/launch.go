package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
	"github.com/procpool/procpool/internal/wire"
)

// launch starts worker number in the background, for the scheduler s.
func (c *core) launch(s *sched.Scheduler, number int) {
	c.starts.Go(func() {
		err := c.start(c.startCtx, &member{core: c, sched: s, number: number})
		if err != nil {
			s.StartFailed(number, err)
		}
		if number == 1 {
			c.first <- err
		}
	})
}

// launchFor does the same for a home of actors.
func (c *core) launchFor(h *home, number int) {
	c.starts.Go(func() {
		if err := c.start(h.ctx, &member{core: c, sched: h.sched, home: h, number: number}); err != nil {
			h.sched.StartFailed(number, err)
		}
	})
}

// start starts a worker, has it make its initializer, and hands it to the
// scheduler. Whatever it returns an error for has left nothing behind.
func (c *core) start(ctx context.Context, m *member) error {
	s, number := m.sched, m.number
	m.died, m.registered = make(chan struct{}), make(chan struct{})
	defer close(m.registered)
	hint := ""
	if c.cfg.Command.python {
		hint = pythonHint
	}
	w, err := wire.Start(ctx, wire.Options{
		Spawner: c.spawner, Path: c.path, Args: c.args, Env: c.env, Dir: c.cfg.Dir,
		Lanes: m.lanes(), MaxPayload: c.cfg.MaxPayload, StartTimeout: c.cfg.StartTimeout, Hint: hint,
		MemoryLimit: c.cfg.MemoryLimit, CPULimit: c.cfg.CPULimit, OpenFiles: uint64(c.cfg.OpenFiles),
		SocketDir: c.cfg.SocketDir, Sweep: number == 1, Poller: c.poller, AutoMTLS: c.cfg.AutoMTLS,
		Output: m.printed, OnReplies: m.replies, OnExit: m.exited,
		OnNested: m.nested, OnShared: m.share, OnProgress: m.reported, OnLog: m.logged, LogLevel: c.level,
	})
	if err != nil {
		if failed, ok := errors.AsType[*procpool.StartError](err); ok && c.cfg.Command.python {
			explainPython(c.path, failed)
		}
		return err
	}
	m.Worker = w
	c.spawner.AwaitGuardian(guardianPatience)
	c.starts.Go(func() { <-w.Done() }) // Close waits until nothing of the worker is left
	hello := w.Hello()
	traits := sched.Traits{Recorder: hello.Recorder, Lanes: min(hello.Lanes, m.concurrency()), MaxLanes: hello.Lanes}
	names := c.served.learn(hello.Tasks)
	if names == nil && !c.served.same(hello.Tasks) {
		err = notStarted(c.commandLine(), "it serves other tasks than the first worker did", nil)
	} else {
		err = c.checkTasks(hello.Tasks, hello.Language)
	}
	if err == nil && !c.cfg.Initializer.IsZero() {
		err = m.initialize(ctx)
		traits.Used = 1
	}
	if err == nil && m.home != nil {
		if err = m.home.reopen(m, &traits); err == nil && !m.home.arrives() {
			err = notStarted(c.commandLine(), errHomeEnds.Error(), nil)
		}
	}
	if err != nil {
		m.refused = true
		w.Kill(nil)
		return err
	}
	if names != nil {
		s.SetServed(names)
	}
	c.members.add(m)
	s.Started(number, m, traits)
	return nil
}

// lentLanes is how many lanes a worker has beside those for the calls that it runs at
// once, for those that run while others wait for calls that they have made. It costs
// next to nothing until they are used.
const lentLanes = 256

// concurrency is how many calls the worker is to run at once, lanes how many there may
// be in it, those included that wait.
func (m *member) concurrency() int {
	if m.isDedicated() {
		return 1
	}
	return m.core.cfg.Concurrency
}

func (m *member) lanes() int {
	if m.isDedicated() {
		return 1
	}
	return m.core.cfg.Concurrency + lentLanes
}

// isDedicated reports whether the worker is there for a single session or actor.
func (m *member) isDedicated() bool {
	return m.sched != m.core.sched && (m.home == nil || !m.home.shared)
}

// guardianPatience bounds the wait for the process that guards the workers' children.
// It starts beside the first worker, in less time, so there is next to no wait.
const guardianPatience = time.Second

// initialize has the worker make the pool's initializer as its first call.
func (m *member) initialize(ctx context.Context) error {
	c := m.core
	call := c.cfg.Initializer.NewCall()
	if !c.served.has(call.Task()) {
		return c.initializerError(call, c.unknownTask(call))
	}
	if err := m.runOwn(ctx, call, 1, c.cfg.InitTimeout); err != nil {
		return c.initializerError(call, err)
	}
	return nil
}

func (c *core) initializerError(call *procpool.Call, err error) error {
	se := &procpool.StartError{
		Command: c.commandLine(), Reason: fmt.Sprintf("its initializer, task %q, failed", call.Task()), ExitCode: -1, Err: err,
	}
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		se.ExitCode, se.Output = crash.ExitCode, crash.Stderr
	}
	return se
}
