package wire

import (
	"os"

	"golang.org/x/sys/windows"
)

// takeStdin takes standard input, the pipe whose end tells that the host is gone,
// for ourselves, and puts the null device in its place: a task that reads
// standard input finds its end instead of eating the host's.
func takeStdin() (*os.File, error) {
	pipe := os.Stdin
	if err := windows.SetHandleInformation(windows.Handle(pipe.Fd()), windows.HANDLE_FLAG_INHERIT, 0); err != nil {
		return nil, os.NewSyscallError("SetHandleInformation", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := windows.SetStdHandle(windows.STD_INPUT_HANDLE, windows.Handle(null.Fd())); err != nil {
		return nil, os.NewSyscallError("SetStdHandle", err)
	}
	os.Stdin = null
	return pipe, nil
}
