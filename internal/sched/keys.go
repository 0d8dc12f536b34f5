package sched

import "github.com/procpool/procpool"

// maxKeys bounds how many keys are remembered for each worker.
const maxKeys = 4096

// binding ties a key to the worker that runs its calls.
type binding struct {
	key        string
	worker     *worker
	prev, next *binding // the worker's others
}

// keys are a worker's bindings, in a ring around root from the one used last to the
// one that was not used for the longest time.
type keys struct {
	root binding
	n    int
}

func (k *keys) push(b *binding) {
	if k.root.next == nil {
		k.root.prev, k.root.next = &k.root, &k.root
	}
	b.prev, b.next = &k.root, k.root.next
	b.prev.next, b.next.prev = b, b
	k.n++
}

func (k *keys) drop(b *binding) {
	b.prev.next, b.next.prev = b.next, b.prev
	b.prev, b.next = nil, nil
	k.n--
}

// keeperLocked returns the worker that runs the calls with the key of c, nil when
// none does yet. To ask is to use the key.
func (s *Scheduler) keeperLocked(c *procpool.Call) *worker {
	b := s.keys[c.Key()]
	if b == nil {
		return nil
	}
	b.worker.keys.drop(b)
	b.worker.keys.push(b)
	return b.worker
}

// bindLocked makes w the worker of c's key, which has none.
func (s *Scheduler) bindLocked(w *worker, c *procpool.Call) {
	if w.keys.n >= maxKeys {
		s.unbindLocked(w.keys.root.prev)
	}
	b := &binding{key: c.Key(), worker: w}
	s.keys[b.key] = b
	w.keys.push(b)
}

func (s *Scheduler) unbindLocked(b *binding) {
	b.worker.keys.drop(b)
	delete(s.keys, b.key)
}

// releaseKeysLocked gives up the keys of a worker that runs no more calls. What
// waits for it may go anywhere.
func (s *Scheduler) releaseKeysLocked(w *worker) {
	for w.keys.n > 0 {
		s.unbindLocked(w.keys.root.prev)
	}
	for c := w.own.first(); c != nil; c = w.own.first() {
		w.own.remove(c)
		c.Slot.Owner = nil
		s.queue.put(c)
	}
}

// placeLocked puts a call that came or came back where it waits: in the line of the
// worker that has its key, or where all take their calls from.
func (s *Scheduler) placeLocked(c *procpool.Call, mark uint32, put func(*lines, *procpool.Call)) {
	c.Slot.Mark, c.Slot.Owner = mark, nil
	s.queue.add(c)
	if c.Key() != "" {
		if w := s.keeperLocked(c); w != nil {
			c.Slot.Owner = w
			put(&w.own, c)
			s.wanted = append(s.wanted, w)
			return
		}
	}
	put(&s.queue.lines, c)
}

// displaceLocked takes a call that waits out of the queue.
func (s *Scheduler) displaceLocked(c *procpool.Call) {
	s.queue.leave(c)
	if w, ok := c.Slot.Owner.(*worker); ok {
		c.Slot.Owner = nil
		w.own.remove(c)
		return
	}
	s.queue.remove(c)
}

// nextLocked returns the call that w is to be given next, nil when none waits for
// it. Of those of the same priority the one that came first comes first, whether it
// waits for w alone or for any worker: so calls with the same key keep their order
// although some of them were there before their key had a worker.
func (s *Scheduler) nextLocked(w *worker) *procpool.Call {
	for {
		own, c := w.own.first(), s.queue.first()
		if own != nil && (c == nil || own.Priority() > c.Priority() || own.Priority() == c.Priority() && own.Slot.Stamp < c.Slot.Stamp) {
			return own
		}
		if c == nil || c.Key() == "" {
			return c
		}
		keeper := s.keeperLocked(c)
		if keeper == nil || keeper == w {
			return c
		}
		s.queue.remove(c)
		c.Slot.Owner = keeper
		keeper.own.put(c)
		s.wanted = append(s.wanted, keeper)
	}
}
