//go:build !linux

package conformance

import (
	"os"
	"syscall"
)

// alive reports whether there is a process of that number.
func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	return err == nil && process.Signal(syscall.Signal(0)) == nil
}
