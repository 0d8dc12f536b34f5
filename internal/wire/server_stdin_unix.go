//go:build unix

package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// takeStdin moves standard input, the pipe whose end tells that the host is gone,
// to a descriptor that no child inherits, and puts /dev/null in its place: a task
// that reads standard input finds its end instead of eating the host's.
func takeStdin() (*os.File, error) {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("moving standard input away: %w", err)
	}
	// A non-blocking descriptor is waited for without a thread.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("moving standard input away: %w", err), unix.Close(fd))
	}
	pipe := os.NewFile(uintptr(fd), "the host's pipe")
	null, err := os.OpenFile(os.DevNull, os.O_RDONLY, fs.FileMode(0))
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	defer null.Close()
	if err := dupOnto(int(null.Fd()), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("putting %s in place of standard input: %w", os.DevNull, err), pipe.Close())
	}
	return pipe, nil
}
