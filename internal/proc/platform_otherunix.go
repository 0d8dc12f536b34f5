//go:build unix && !linux

package proc

import (
	"os"
	"syscall"
)

// sysProcAttr puts the child in a group of its own. There is no Pdeathsig here: when the host dies, a
// child learns it from the end of its standard input.
func sysProcAttr(*guard) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// reap waits for the exit and kills what is left of the group. Waiting without reaping is not reliable
// on these systems, so the group is killed right after the reap, when its id could in theory have been
// given to a new group.
func (c *Child) reap() (*os.ProcessState, error) {
	state, err := c.process.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killAllLocked()
	c.spawner.guardian.remove(c.pid)
	c.reaped = true
	return state, err
}
