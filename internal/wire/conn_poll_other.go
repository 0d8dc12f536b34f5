//go:build !unix

package wire

import "syscall"

// canPoll is false: reads on this system are handed to the kernel beforehand,
// and waiting for them is all one can do.
const canPoll = false

type tryRead struct{}

func (*tryRead) init() {}

func (*tryRead) read(syscall.RawConn, []byte) (int, error, bool) { return 0, nil, false }
