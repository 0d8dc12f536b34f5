package proc

import (
	"fmt"
	"os"
	"syscall"
)

// sysProcAttr keeps the host's Ctrl-C from the child.
func sysProcAttr(*guard) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// reap waits for the exit. What the child started is not covered: that would take a job object.
func (c *Child) reap() (*os.ProcessState, error) {
	state, err := c.process.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	return state, err
}

// killGroup ends the process itself (TerminateProcess). It fails only when it has ended already.
func killGroup(p *os.Process) { _ = p.Kill() }

// sameGroup knows no groups here.
func sameGroup(int, int) bool { return false }

// readNow can't look into a pipe here without waiting.
func readNow(*os.File, []byte) int { return 0 }

// exitOf translates what the system reports. A process that was ended from outside has exit code 1.
func exitOf(state *os.ProcessState, err error) Exit {
	if err != nil {
		return Exit{Code: -1}
	}
	return Exit{Code: state.ExitCode(), User: state.UserTime(), System: state.SystemTime()}
}

// SignalName returns "signal 11" and the like: signals have no names here.
func SignalName(sig syscall.Signal) string { return fmt.Sprintf("signal %d", int(sig)) }
