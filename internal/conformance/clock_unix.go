//go:build unix

package conformance

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// monotonic returns the moment on the clock of the recorder, in nanoseconds; 0 where the
// kit can't read it.
func monotonic() uint64 {
	var now unix.Timespec
	if runtime.GOOS == "darwin" || unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return uint64(now.Nano())
}
