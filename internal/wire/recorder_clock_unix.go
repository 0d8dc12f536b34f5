//go:build unix && !aix && !solaris && !illumos

package wire

import (
	"time"

	"golang.org/x/sys/unix"
)

func sharedClock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(sharedClockID, &ts); err != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
