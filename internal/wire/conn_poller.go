package wire

import (
	"runtime"
	"sync/atomic"
)

// Poller is the allowance of a process for reading sockets by trying again and
// again instead of going to sleep. Waking up is most of what a short call costs;
// but a goroutine that polls takes a processor from others, so there are few at
// a time. It is safe for concurrent use. A nil *Poller allows nothing.
type Poller struct {
	limit  int32
	active atomic.Int32
}

// NewPoller returns an allowance for limit connections to poll at a time, 0 for
// none. It is cut to what the machine has to spare: one for every two
// processors, and one less than GOMAXPROCS, but at least one. A negative limit
// asks for as much as that.
func NewPoller(limit int) *Poller {
	spare := max(1, min(runtime.GOMAXPROCS(0)-1, runtime.NumCPU()/2))
	if limit < 0 || limit > spare {
		limit = spare
	}
	return &Poller{limit: int32(limit)}
}

// acquire reports whether the caller may poll now. If so it calls release.
func (p *Poller) acquire() bool {
	if p == nil || p.limit == 0 {
		return false
	}
	if p.active.Add(1) > p.limit {
		p.active.Add(-1)
		return false
	}
	return true
}

func (p *Poller) release() { p.active.Add(-1) }
