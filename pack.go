package procpool

import "sync"

// A pack is the part of a call that holds a run of inputs for one task. It is
// one object with a range of sequence numbers, yet its items are started,
// finished, cancelled and blamed one by one. It grows while it waits in an
// executor's queue, which is natural batching: the first item is never delayed,
// and those that come while it waits ride with it.
type pack struct {
	mu       sync.Mutex
	sealed   bool
	sizes    []uint32
	finished []bool
	open     int
	first    int // the number of item 0 among all that the Map pulled
	done     func(item int, reply []byte, err error)
}

const (
	// maxPackItems and maxPackBytes bound one pack, so that a message stays
	// small and work spreads over the workers.
	maxPackItems = 256
	maxPackBytes = 32 << 10
)

func newPack(s *spec, first int, done func(int, []byte, error)) *Call {
	return &Call{spec: s, pack: &pack{first: first, done: done}}
}

// appendItem adds an encoded item to the pack and calls commit, which may be
// nil, with the pack still locked; it reports false when the pack is sealed or
// full.
func (c *Call) appendItem(item []byte, commit func()) bool {
	p := c.pack
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sealed || len(p.sizes) >= maxPackItems || (len(p.sizes) > 0 && len(c.payload)+len(item) > maxPackBytes) {
		return false
	}
	c.payload = append(c.payload, item...)
	p.sizes = append(p.sizes, uint32(len(item)))
	p.finished = append(p.finished, false)
	p.open++
	if commit != nil {
		commit()
	}
	return true
}

// Seal ends a pack's growth and returns the number of its items. For a plain
// call it returns 1. An executor seals a call before it looks at its payload.
func (c *Call) Seal() int {
	if c.pack == nil {
		return 1
	}
	c.pack.mu.Lock()
	defer c.pack.mu.Unlock()
	c.pack.sealed = true
	return len(c.pack.sizes)
}

// Items returns the number of items in a sealed pack, 1 for a plain call.
func (c *Call) Items() int {
	if c.pack == nil {
		return 1
	}
	return len(c.pack.sizes)
}

// ItemSizes returns the sizes in bytes of the items of a sealed pack, nil for a
// plain call. It must not be modified.
func (c *Call) ItemSizes() []uint32 {
	if c.pack == nil {
		return nil
	}
	return c.pack.sizes
}

// Split cuts a sealed pack in two: c keeps the first n items, the returned call
// has the rest, its Slot empty but for what an executor must not lose (Stamp,
// Attempts, Victims, Failures, Suspect). n must be above 0 and below [Call.Items].
func (c *Call) Split(n int) *Call {
	p := c.pack
	p.mu.Lock()
	defer p.mu.Unlock()
	var bytes int
	for _, s := range p.sizes[:n] {
		bytes += int(s)
	}
	rest := &Call{spec: c.spec, holder: c.holder, key: c.key, deadline: c.deadline, payload: c.payload[bytes:]}
	rest.Slot.Stamp, rest.Slot.Attempts, rest.Slot.Victims = c.Slot.Stamp, c.Slot.Attempts, c.Slot.Victims
	rest.Slot.Failures, rest.Slot.Suspect, rest.Slot.Depth = c.Slot.Failures, c.Slot.Suspect, c.Slot.Depth
	rest.extra.Store(c.extra.Load())
	rest.pack = &pack{sealed: true, sizes: p.sizes[n:], finished: p.finished[n:], first: p.first + n, done: p.done}
	for _, f := range rest.pack.finished {
		if !f {
			rest.pack.open++
		}
	}
	c.payload = c.payload[:bytes:bytes]
	p.sizes, p.finished = p.sizes[:n:n], p.finished[:n:n]
	p.open -= rest.pack.open
	if rest.pack.open == 0 {
		rest.claimed.Store(true)
		rest.publish()
	}
	if p.open == 0 && c.claimed.CompareAndSwap(false, true) {
		c.publish()
	}
	return rest
}

// FinishItem gives item i of the call its outcome, as Finish does for a plain
// call, for which i is 0. It reports whether this was the item's first outcome.
func (c *Call) FinishItem(i int, reply []byte, err error) bool {
	p := c.pack
	if p == nil {
		return c.Finish(reply, err)
	}
	p.mu.Lock()
	if p.finished[i] {
		p.mu.Unlock()
		return false
	}
	p.finished[i] = true
	p.open--
	last := p.open == 0
	p.mu.Unlock()
	p.done(p.first+i, reply, c.judge(err))
	if last && c.claimed.CompareAndSwap(false, true) {
		c.publish()
	}
	return true
}

// ItemFinished reports whether item i has its outcome.
func (c *Call) ItemFinished(i int) bool {
	p := c.pack
	if p == nil {
		return c.Finished()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.finished[i]
}

func (p *pack) finishRest(c *Call, reply []byte, err error) bool {
	p.mu.Lock()
	p.sealed = true
	var rest []int
	for i, f := range p.finished {
		if !f {
			p.finished[i] = true
			rest = append(rest, i)
		}
	}
	p.open = 0
	p.mu.Unlock()
	for _, i := range rest {
		p.done(p.first+i, reply, c.judge(err))
	}
	if !c.claimed.CompareAndSwap(false, true) {
		return false
	}
	c.publish()
	return true
}
