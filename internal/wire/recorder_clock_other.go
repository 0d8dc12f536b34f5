//go:build !unix || aix || solaris || illumos

package wire

import "time"

// sharedClock is the wall clock: there is no other here that two processes
// share. A worker's start times are off by as much as it is set between the
// starts of the host and the worker.
func sharedClock() int64 { return time.Now().UnixNano() }
