package proc

import (
	"bytes"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// settleTime bounds how long the exit waits for the reader of standard error when that matters for the
// verdict. It only has to read what is in a pipe, which takes some 50 us; the bound is for an Output
// that blocks in spite of its contract.
const settleTime = time.Second

// Child is one started process. Its methods are safe for concurrent use.
type Child struct {
	spawner *Spawner
	spec    Spec
	guard   *guard
	process *os.Process
	pid     int

	stdin          *os.File
	stdinOnce      sync.Once
	stdout, stderr *pump
	outLines       lineSplitter // used by stdout's goroutine only
	errLines       lineSplitter // used by stderr's goroutine only

	claimed  *claimReader
	hasClaim bool // used by stdout's goroutine only
	early    ring
	tail     ring
	crash    goCrash

	// mu makes every signal happen before the reap or not at all: after it the process id, and with it
	// the group id, may belong to somebody else.
	mu     sync.Mutex
	reaped bool
	killed bool // Kill was called first
	over   bool // the memory watcher killed it first
	usedUp bool // the processor time that it was allowed was used up at its end
	exit   Exit // written before done is closed
	done   chan struct{}
}

// newChild takes over a running process and starts the goroutines that read its output.
func newChild(s *Spawner, spec Spec, guard *guard, process *os.Process, p *pipes) *Child {
	c := &Child{
		spawner: s, spec: spec, guard: guard, process: process, pid: process.Pid,
		stdin:   p.host[0],
		claimed: newClaimReader(),
		early:   ring{max: earlyBytes},
		tail:    ring{max: spec.TailBytes},
		done:    make(chan struct{}),
	}
	c.outLines = lineSplitter{max: spec.MaxLine, emit: c.stdoutLine}
	c.errLines = lineSplitter{max: spec.MaxLine, emit: c.stderrLine}
	c.stdout = newPump(p.host[1], c.outLines.write, func() {
		c.outLines.flush()
		c.claimed.set(nil)
	})
	c.stderr = newPump(p.host[2], func(data []byte) {
		c.tail.write(data)
		c.errLines.write(data)
	}, c.errLines.flush)
	go c.stdout.run()
	go c.stderr.run()
	return c
}

// stdoutLine looks for the handshake and passes on everything else.
func (c *Child) stdoutLine(line []byte) {
	if !c.hasClaim {
		if text := c.spec.Claim(line); text != nil {
			c.hasClaim = true
			c.confirmLimits()
			if i := bytes.Index(line, text); i > 0 {
				c.early.write(line[:i])
				c.spec.Output(Stdout, line[:i])
			}
			c.claimed.set(text)
			return
		}
		c.early.write(line)
		c.early.write([]byte{'\n'})
	}
	c.spec.Output(Stdout, line)
}

func (c *Child) stderrLine(line []byte) {
	c.crash.see(line)
	c.spec.Output(Stderr, line)
}

// wait sees the child to its end: exit, group, reap, verdict.
func (c *Child) wait() {
	c.guard.begin()
	state, err := c.reap()
	c.stdout.childExited()
	c.stderr.childExited()
	c.CloseStdin()

	c.mu.Lock()
	e := exitOf(state, err)
	over := c.over
	e.Killed = c.killed && !over && e.Signal == syscall.SIGKILL
	c.mu.Unlock()
	e.MaxRSS = c.guard.peak(e.MaxRSS)
	if e.Code != 0 && !e.Killed {
		waitFor(c.stderr.settled, settleTime)
		e.OverCPU = c.usedUp && e.Signal != 0 && !over && !c.guard.limitHit()
	}
	if e.Code != 0 && !e.Killed && !e.OverCPU {
		e.OOM = judge(e, evidence{
			limitHit:  over || c.guard.limitHit(),
			refused:   c.guard.refusesAt(),
			goText:    c.crash.outOfMemory.Load(),
			inRuntime: c.crash.inRuntime.Load(),
			hint:      hintsOutOfMemory(c.tail.bytes()),
			kernel:    e.Signal == syscall.SIGKILL && c.guard.kernelKilled(),
		})
	}
	c.exit = e
	close(c.done)

	c.guard.release()
	c.spawner.left()
}

// PID returns the process id. After Done it may belong to another process.
func (c *Child) PID() int { return c.pid }

// Done returns a channel that is closed when the process has exited, its group has been killed and it
// has been reaped. A process that still holds its pipes does not delay it.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit returns how the process ended. It is the zero Exit before Done.
func (c *Child) Exit() Exit {
	select {
	case <-c.done:
		return c.exit
	default:
		return Exit{}
	}
}

// Kill kills the process and its whole group. It does not wait for their end (Done tells) and does
// nothing once the process has been reaped.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return
	}
	c.killed = true
	c.killAllLocked()
}

// killAllLocked kills the group and, where there is a control group, what left the group.
func (c *Child) killAllLocked() {
	killGroup(c.process)
	c.guard.killAll()
}

// Signal sends a signal to the process alone, not to its group. It returns [os.ErrProcessDone] once the
// process has been reaped. On Windows only [os.Kill] works.
func (c *Child) Signal(sig os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	return c.process.Signal(sig)
}

// CloseStdin closes the write end of the child's standard input, which only the host holds: the child
// reads EOF there, the polite request to leave. It may be called more than once.
func (c *Child) CloseStdin() {
	c.stdinOnce.Do(func() { _ = c.stdin.Close() })
}

// Claimed returns the reader that yields the line taken by [Spec.Claim], with a newline, and then EOF.
// When the process ends without such a line it yields EOF. It is the same reader at every call.
func (c *Child) Claimed() io.ReadCloser { return c.claimed }

// Early returns the end of what was printed to standard output before the claimed line, at most a few
// KiB. For a process that ended without a handshake it says what came instead; it is complete once
// Claimed yields EOF.
func (c *Child) Early() []byte { return c.early.bytes() }

// Tail returns the end of standard error, at most [Spec.TailBytes]. It waits until all of it has been
// read, that is until the stream's end or until the process has exited and what it left in the pipe has
// been read, but not longer than wait.
func (c *Child) Tail(wait time.Duration) []byte {
	waitFor(c.stderr.settled, wait)
	return c.tail.bytes()
}

// Close waits for Done, so kill the child first, and then until all that the child wrote has been passed
// on. It ends the two readers even if a process that left the group still holds the pipes, and closes
// what is left of their descriptors. It may be called more than once.
func (c *Child) Close() {
	<-c.done
	c.stdout.close()
	c.stderr.close()
	_ = c.claimed.Close()
}

// InGroup reports whether pid is the child or a member of its process group, which tells a peer that
// the child started from a stranger. It is false once the child has been reaped. On Windows only the
// child itself counts.
func (c *Child) InGroup(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.reaped && pid > 0 && (pid == c.pid || sameGroup(pid, c.pid))
}

// waitFor waits for ch, but not longer than limit.
func waitFor(ch <-chan struct{}, limit time.Duration) {
	select {
	case <-ch:
		return
	default:
	}
	if limit <= 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
	}
}
