//go:build unix

package main

import "syscall"

const (
	stopSignal      = syscall.SIGSTOP
	interruptSignal = syscall.SIGINT
)

func sendSignal(pid int, s syscall.Signal) error { return syscall.Kill(pid, s) }
