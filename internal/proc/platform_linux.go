package proc

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr puts the child in a group of its own and ties its life to the thread that makes it.
func sysProcAttr(g *guard) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	g.attach(attr)
	return attr
}

// reap waits for the exit, kills the group and takes it out of guard while the process id is still the
// child's, and reaps.
func (c *Child) reap() (*os.ProcessState, error) {
	var waitErr error
	for {
		// Without the reap (WNOWAIT) the dead leader keeps its id, and so the group's, from reuse.
		waitErr = unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(waitErr, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if waitErr == nil {
		c.killAllLocked()
		c.usedUp = usedUp(c.pid, c.spec.CPULimit)
	} else {
		c.guard.killAll() // something else in the host reaped it: its ids may be somebody else's now
	}
	c.spawner.guardian.remove(c.pid)
	state, err := c.process.Wait()
	c.reaped = true
	return state, err
}

// threadID returns the id of the calling thread.
func threadID() int { return unix.Gettid() }

// onMainThread reports whether the caller runs on the process's first thread.
func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// threadEnded reports whether a thread of this process is gone.
func threadEnded(id int) bool {
	return errors.Is(unix.Tgkill(unix.Getpid(), id, 0), unix.ESRCH)
}
