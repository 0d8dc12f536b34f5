package wire

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/procpool/procpool"
)

// A lane's replies are built in its journal, the part of the flight recorder that
// outlives the process, and sent from there. The journal is emptied when all in
// it were handed to the kernel, so a reply is always in one of the two places
// once its function has returned. Only what does not fit is not in the journal;
// then the next call waits until the kernel has it.

// settle does what is due before the next call starts: it sends the replies that
// may not wait for it, and waits until they are with the kernel. quick says that
// the next function is known to be short.
func (l *lane) settle(quick bool) {
	unsent := l.used - l.sent
	if unsent > 0 && (!quick || unsent >= shareBytes || l.now-l.oldest >= int64(shareFor)) {
		l.flush()
		l.now = monotonicNow()
	}
	if l.used == 0 && !l.owed {
		return
	}
	if full := len(l.journal)-l.used < journalRoom; !quick || full || l.owed {
		l.flush()
		if l.server.written() < l.expect {
			l.server.awaitWritten(l.expect)
			l.now = monotonicNow()
		}
		l.owed = false
		if l.loan != nil && l.server.written() >= l.expect {
			l.server.pool.Put(l.loan)
		}
		l.loan = nil // after a failure gRPC may still have it
	}
	if l.sent == l.used && l.server.written() >= l.expect {
		l.log.resetJournal()
		l.used, l.sent = 0, 0
	}
}

// behind returns where the next outcome goes in the journal.
func (l *lane) behind() []byte { return l.journal[l.used:l.used] }

// room returns where the next result is built: in the journal, or, where it is
// known to be too large for that, in a borrowed buffer.
func (l *lane) room(size int) []byte {
	if size+outcomeSlack <= len(l.journal)-l.used {
		return l.behind()
	}
	l.loan = l.server.pool.Get(size + 2*outcomeSlack)
	return (*l.loan)[:0]
}

// add takes an outcome that was built behind the others in the journal. One that
// has outgrown it, the long text of a failure, is sent at once.
func (l *lane) add(outcome []byte) {
	if !l.inJournal(outcome) {
		l.send(workResponse{data: append(l.journal[l.sent:l.used:l.used], outcome...)})
		l.owed = true
		return
	}
	if l.used == l.sent {
		l.oldest = l.now
	}
	l.used += len(outcome)
	l.log.setJournal(l.used)
}

// addBig sends the outcome in buf, whose result is too large for the journal, as
// it is.
func (l *lane) addBig(ran time.Duration) {
	response := workResponse{data: l.journal[l.sent:l.used]}
	response.addBig(l.buf, l.mark, ran)
	l.send(response)
	l.owed = true
}

// inJournal reports whether b, which began at the journal's end, still lies there.
func (l *lane) inJournal(b []byte) bool {
	return unsafe.SliceData(b) == unsafe.SliceData(l.journal[l.used:])
}

// flush sends the replies that were not sent yet.
func (l *lane) flush() {
	if l.used > l.sent {
		l.send(workResponse{data: l.journal[l.sent:l.used]})
		l.owed = l.owed || !l.server.kept
	}
}

func (l *lane) send(r workResponse) {
	l.expect = l.server.send(&r, l.hot)
	l.sent = l.used
}

// cancel gives up a call of this lane. It is called by the reader of the control
// stream.
//
// The lane stores reached, looks for a mark, publishes the call's context, looks
// for a mark again. Here the mark is set first and then the context looked for,
// so whatever the order, one of the two sees the other.
func (l *lane) cancel(seq uint64) {
	reached := l.reached.Load()
	if seq < reached {
		return
	}
	l.queue.mark(seq, reached)
	if call := l.call.Load(); call != nil && call.seq == seq {
		call.cancel()
	}
}

// tooLarge is the failure of a call whose result is over the limit.
func tooLarge(task string, size int, limit int64) error {
	return fmt.Errorf("the result of task %q has %d bytes, and the host takes at most %d (MaxPayload): %w", task, size, limit, procpool.ErrTooLarge)
}
