package sched

// pumpLocked sends what is assigned to a worker, unless another goroutine is at it,
// which then does. It lets go of the lock while it sends. One goroutine sends for all
// lanes: with several, one that may not block could meet one that does.
func (s *Scheduler) pumpLocked(w *worker) {
	if w.sending || w.unsent() == nil {
		return
	}
	w.sending = true
	s.emptyOutboxesLocked(w, false)
}

// unsent returns a lane that holds what is not sent yet, nil when none does.
func (w *worker) unsent() *lane {
	for _, l := range w.lanes {
		if len(l.outbox) > 0 {
			return l
		}
	}
	return nil
}

const (
	// inlineBytes is how much may be on its way to a worker while a submitter
	// or a receiver sends to it: well below the 64 KiB that a gRPC stream
	// takes without blocking, whoever the peer. If more is, flow control may
	// block the sender, which then has to be a goroutine of its own: a
	// receiver that waits for its worker while that waits for its receiver
	// would wait for ever.
	inlineBytes = 32 << 10
	// frameBytes is about what a call takes beside its payload.
	frameBytes = 16
)

func (s *Scheduler) emptyOutboxesLocked(w *worker, mayBlock bool) {
	for l := w.unsent(); l != nil && !w.dead; l = w.unsent() {
		if !mayBlock && w.underWay() > inlineBytes {
			go func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.emptyOutboxesLocked(w, true)
			}()
			return
		}
		batch := l.outbox
		l.outbox = l.spare[:0]
		l.sendEnd = endOf(batch[len(batch)-1])
		s.mu.Unlock()
		w.link.Send(l.index, batch)
		s.mu.Lock()
		l.sent = l.sendEnd
		clear(batch)
		l.spare = batch[:0]
	}
	w.sending = false
	if w.sendOver != nil {
		close(w.sendOver)
		w.sendOver = nil
	}
}

// awaitSendLocked returns when no goroutine is sending to w, which is dead. It
// lets go of the lock while it waits.
func (s *Scheduler) awaitSendLocked(w *worker) {
	for w.sending {
		if w.sendOver == nil {
			w.sendOver = make(chan struct{})
		}
		over := w.sendOver
		s.mu.Unlock()
		<-over
		s.mu.Lock()
	}
}
