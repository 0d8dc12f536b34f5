package executor

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// output passes the workers' lines to the user's writer on a goroutine of its
// own, so that a slow writer holds up neither workers nor pool. What it can't
// keep is dropped and counted.
type output struct {
	w       io.Writer
	discard bool

	mu      sync.Mutex
	pending []byte // whole lines
	lost    int    // lines since the last that was kept
	running bool
	closed  bool
	idle    *sync.Cond

	dropped atomic.Uint64
}

// outputBytes bounds what waits for the writer.
const outputBytes = 1 << 20

func newOutput(w io.Writer) *output {
	o := &output{w: w, discard: w == io.Discard}
	o.idle = sync.NewCond(&o.mu)
	return o
}

// line takes a line that a worker printed; running tells the task it runs.
func (o *output) line(worker int, running func(int) string, line []byte) {
	if o.discard {
		return
	}
	task := running(worker)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if len(o.pending)+len(line) > outputBytes {
		o.lost++
		o.dropped.Add(1)
		return
	}
	if o.lost > 0 {
		o.pending = fmt.Appendf(o.pending, "[procpool] %d lines of output were dropped: they came faster than they could be written\n", o.lost)
		o.lost = 0
	}
	if task == "" {
		o.pending = fmt.Appendf(o.pending, "[worker %d] %s\n", worker, line)
	} else {
		o.pending = fmt.Appendf(o.pending, "[worker %d %s] %s\n", worker, task, line)
	}
	if !o.running {
		o.running = true
		go o.write()
	}
}

// write hands the writer what there is, and ends.
func (o *output) write() {
	o.mu.Lock()
	defer o.mu.Unlock()
	var spare []byte
	for len(o.pending) > 0 {
		batch := o.pending
		o.pending = spare[:0]
		o.mu.Unlock()
		_, _ = o.w.Write(batch) // there is nobody to tell
		o.mu.Lock()
		spare = batch
	}
	o.running = false
	o.idle.Broadcast()
}

// close writes what is left. A writer that hangs is given up after a while.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.lost > 0 {
		o.pending = fmt.Appendf(o.pending, "[procpool] %d lines of output were dropped: they came faster than they could be written\n", o.lost)
		o.lost = 0
		if !o.running {
			o.running = true
			go o.write()
		}
	}
	if !o.running {
		return
	}
	expired := false
	timer := time.AfterFunc(flushTime, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		expired = true
		o.idle.Broadcast()
	})
	defer timer.Stop()
	for o.running && !expired {
		o.idle.Wait()
	}
}

// flushTime is how long Close waits for the writer.
const flushTime = time.Second
