package executor_test

import (
	"os"
	"syscall"
)

// sendSignal ends the process: Windows has no signals.
func sendSignal(pid int, _ syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

const stopSignal = syscall.SIGKILL
