package wire

import "golang.org/x/sys/unix"

// sharedClockID is the clock that the runtime reads, which on this system
// CLOCK_MONOTONIC is not: it goes on while the machine sleeps.
const sharedClockID = unix.CLOCK_UPTIME_RAW
