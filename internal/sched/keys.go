package sched

import "github.com/procpool/procpool"

// maxKeys bounds how many keys are remembered for each worker, but for those whose
// calls wait or run.
const maxKeys = 4096

// binding ties a key to the worker that runs its calls, and to a lane there, so that
// they run one after the other. It may move to another lane of the worker while it has
// no uses.
type binding struct {
	key        string
	lane       *lane
	uses       int      // calls that wait for the lane, and items that it holds
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

// touch makes a binding the one used last.
func (k *keys) touch(b *binding) {
	k.drop(b)
	k.push(b)
}

// keyOf returns the key that ties the call to a lane. That of a nested call does not:
// its caller waits for it, maybe with the same key. The key of an actor does, which no
// call has that the actor waits for.
func keyOf(c *procpool.Call) string {
	if nested(c) && c.Actor() == nil {
		return ""
	}
	return c.Key()
}

// hintedLocked returns an idle lane of the worker that has the key of a nested call,
// nil when there is none.
func (s *Scheduler) hintedLocked(c *procpool.Call) *lane {
	b := s.bindingLocked(c)
	if b == nil {
		return nil
	}
	for _, l := range b.lane.worker.lanes {
		if l.isIdle {
			return l
		}
	}
	return nil
}

// bindingLocked returns what ties the key of c, nil when nothing does yet. To ask is
// to use the key.
func (s *Scheduler) bindingLocked(c *procpool.Call) *binding {
	b := s.keys[c.Key()]
	if b != nil {
		b.lane.worker.keys.touch(b)
	}
	return b
}

// holdKeyLocked ties the key of c to l, if it has one and that has no lane yet, and
// keeps it there until its uses are counted down.
func (s *Scheduler) holdKeyLocked(l *lane, c *procpool.Call) *binding {
	if keyOf(c) == "" {
		return nil
	}
	b := s.keys[c.Key()]
	if b == nil {
		s.forgetKeyLocked(l.worker)
		b = &binding{key: c.Key(), lane: l}
		s.keys[b.key] = b
		l.worker.keys.push(b)
	}
	b.uses++
	return b
}

// forgetKeyLocked makes room for one more key of w.
func (s *Scheduler) forgetKeyLocked(w *worker) {
	if w.keys.n < maxKeys {
		return
	}
	for range w.keys.n {
		b := w.keys.root.prev
		if b.uses == 0 {
			s.unbindLocked(b)
			return
		}
		w.keys.touch(b)
	}
}

func (s *Scheduler) unbindLocked(b *binding) {
	b.lane.worker.keys.drop(b)
	delete(s.keys, b.key)
}

// useKey counts items of c that the lane is given or, below zero, that it has no more.
func (l *lane) useKey(c *procpool.Call, items int) {
	if keyOf(c) == "" {
		return
	}
	if b := l.worker.bindings[c.Key()]; b != nil && b.lane == l {
		b.uses += items
	}
}

// releaseKeysLocked gives up the keys of a worker that runs no more calls. What
// waits for it may go anywhere.
func (s *Scheduler) releaseKeysLocked(w *worker) {
	for w.keys.n > 0 {
		s.unbindLocked(w.keys.root.prev)
	}
	for _, l := range w.lanes {
		s.queue.merge(&l.own)
	}
}

// placeLocked puts a call that came or came back where it waits: in the line of the
// lane that has its key, or where all take their calls from.
func (s *Scheduler) placeLocked(c *procpool.Call, mark uint32, put func(*lines, *procpool.Call)) {
	c.Slot.Mark, c.Slot.Owner = mark, nil
	s.queue.add(c)
	if keyOf(c) != "" {
		if b := s.bindingLocked(c); b != nil {
			s.joinLocked(b, c, put)
			return
		}
	}
	put(&s.queue.lines, c)
}

// joinLocked has a call wait for the lane of its key, which is one that idles if there
// is a choice, or at least one that does not wait for nested calls.
func (s *Scheduler) joinLocked(b *binding, c *procpool.Call, put func(*lines, *procpool.Call)) {
	if b.uses == 0 && !b.lane.isIdle {
		w := b.lane.worker
		if b.lane.waits() || b.lane.index >= len(w.lanes) {
			b.lane = w.lanes[0]
		}
		for _, l := range w.lanes {
			if l.isIdle {
				b.lane = l
				break
			}
			if b.lane.waits() && !l.waits() {
				b.lane = l
			}
		}
	}
	b.uses++
	c.Slot.Owner = b.lane
	put(&b.lane.own, c)
	s.wantLocked(b.lane)
}

// scatterLocked has the calls that wait for a lane wait for others if they can, since
// its call waits for nested ones, which may take long.
func (s *Scheduler) scatterLocked(l *lane) {
	if l.own.count == 0 {
		return
	}
	var calls []*procpool.Call
	for c := l.own.first(); c != nil; c = l.own.first() {
		s.displaceLocked(c)
		calls = append(calls, c)
	}
	for _, c := range calls {
		s.placeLocked(c, c.Slot.Mark, (*lines).put)
	}
}

// wantLocked has a lane looked at for which calls wait.
func (s *Scheduler) wantLocked(l *lane) {
	if !l.isWanted {
		l.isWanted = true
		s.wanted = append(s.wanted, l)
	}
}

// displaceLocked takes a call that waits out of the queue.
func (s *Scheduler) displaceLocked(c *procpool.Call) {
	s.queue.leave(c)
	if l, ok := c.Slot.Owner.(*lane); ok {
		c.Slot.Owner = nil
		l.own.remove(c)
		l.useKey(c, -1)
		return
	}
	s.queue.remove(c)
}

// nextLocked returns the call that l is to be given next, nil when none waits for
// it. Of those of the same rank the one that came first comes first, whether it
// waits for l alone or for any lane: so calls with the same key keep their order
// although some of them were there before their key had a lane.
func (s *Scheduler) nextLocked(l *lane) *procpool.Call {
	for {
		own, c := l.own.first(), s.queue.first()
		if compare(own, c) < 0 {
			return own
		}
		if c == nil || keyOf(c) == "" {
			return c
		}
		b := s.bindingLocked(c)
		if b != nil && b.uses == 0 && b.lane.worker == l.worker {
			b.lane = l
		}
		if b == nil || b.lane == l {
			return c
		}
		s.queue.remove(c)
		s.joinLocked(b, c, (*lines).put)
	}
}
