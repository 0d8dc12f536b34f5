//go:build unix

package wire

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// canPoll says that a socket can be read without waiting.
const canPoll = true

// tryRead reads from a socket without waiting. The callback is made once, so
// that a try allocates nothing.
type tryRead struct {
	callback func(fd uintptr) bool
	buf      []byte
	n        int
	err      error
}

func (t *tryRead) init() {
	t.callback = func(fd uintptr) bool {
		for {
			t.n, t.err = unix.Read(int(fd), t.buf)
			if !errors.Is(t.err, unix.EINTR) {
				return true // whatever it was: don't wait
			}
		}
	}
}

// read returns what a read gave; ok is false when it would have to wait.
func (t *tryRead) read(raw syscall.RawConn, b []byte) (n int, err error, ok bool) {
	t.buf = b
	err = raw.Read(t.callback)
	t.buf = nil
	switch {
	case err != nil:
		return 0, err, true // closed, or past its deadline
	case errors.Is(t.err, unix.EAGAIN):
		return 0, nil, false
	case t.err != nil:
		return 0, os.NewSyscallError("read", t.err), true
	case t.n == 0:
		return 0, io.EOF, true
	}
	return t.n, nil, true
}
