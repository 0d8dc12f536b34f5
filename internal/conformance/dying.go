package conformance

import "sync/atomic"

var initialized atomic.Bool

// Init makes the program able to be the host that dies in one of the cases. Call it
// first thing in main: in a process that the kit has started for that it never
// returns, elsewhere it returns at once.
func Init() {
	initialized.Store(true)
}
