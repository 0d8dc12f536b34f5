//go:build unix

package proc

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// killGroup kills every process of the group that p leads. It fails only when there is none left, or
// for members that run as somebody else, whom nothing of ours can kill.
func killGroup(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGKILL) }

// sameGroup reports whether pid is in the process group pgid.
func sameGroup(pid, pgid int) bool {
	got, err := unix.Getpgid(pid)
	return err == nil && got == pgid
}

// readNow reads what a pipe holds without waiting for more; 0 or less means nothing.
func readNow(f *os.File, p []byte) int {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	err = conn.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), p)
			if err != unix.EINTR { //nolint:errorlint // a bare errno, in a loop that must not allocate
				return true // never wait
			}
		}
	})
	if err != nil {
		return 0
	}
	return n
}

// exitOf translates what the system reports. With an error the status is unknown: somebody else in the
// host reaped the process, or its signals for children are ignored.
func exitOf(state *os.ProcessState, err error) Exit {
	if err != nil {
		return Exit{Code: -1}
	}
	e := Exit{Code: state.ExitCode(), User: state.UserTime(), System: state.SystemTime()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		e.MaxRSS = int64(usage.Maxrss) //nolint:unconvert // its type differs between platforms
		if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
			e.MaxRSS <<= 10 // KiB everywhere else
		}
	}
	return e
}

// SignalName returns the name of a signal, such as "SIGSEGV", or "signal 40" for one without a name.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
