//go:build !unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// There is nothing of the kind here, and the rows say so.
const (
	stopSignal      = syscall.Signal(-1)
	interruptSignal = syscall.SIGINT
)

// sendSignal knows one signal where there are none.
func sendSignal(pid int, s syscall.Signal) error {
	if s != syscall.SIGKILL {
		return errors.ErrUnsupported
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer process.Release()
	return process.Kill()
}
