//go:build unix && !aix && !solaris && !illumos && !darwin

package wire

import "golang.org/x/sys/unix"

const sharedClockID = unix.CLOCK_MONOTONIC
