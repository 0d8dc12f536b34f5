//go:build unix

package executor_test

import "syscall"

func sendSignal(pid int, s syscall.Signal) error { return syscall.Kill(pid, s) }

const stopSignal = syscall.SIGSTOP
