package sched

// pumpLocked sends what is assigned to a lane, unless another goroutine
// is at it, which then does. It lets go of the lock while it sends.
func (s *Scheduler) pumpLocked(l *lane) {
	if l.sending || len(l.outbox) == 0 {
		return
	}
	l.sending = true
	s.emptyOutboxLocked(l, false)
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

func (s *Scheduler) emptyOutboxLocked(l *lane, mayBlock bool) {
	w := l.worker
	for len(l.outbox) > 0 && !w.dead {
		if !mayBlock && w.underWay() > inlineBytes {
			go func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.emptyOutboxLocked(l, true)
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
	l.sending = false
	if l.sendOver != nil {
		close(l.sendOver)
		l.sendOver = nil
	}
}

// awaitSendLocked returns when no goroutine is sending to l, whose worker is dead. It
// lets go of the lock while it waits.
func (s *Scheduler) awaitSendLocked(l *lane) {
	for l.sending {
		if l.sendOver == nil {
			l.sendOver = make(chan struct{})
		}
		over := l.sendOver
		s.mu.Unlock()
		<-over
		s.mu.Lock()
	}
}
