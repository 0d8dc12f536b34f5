package wire

import (
	"fmt"
	"slices"
	"sync"

	"github.com/procpool/procpool"
)

// hostStreams are the calls that a worker has and that were not answered and are more
// than calls of functions: of streams and sessions, with where their values go. It is safe for concurrent use.
type hostStreams struct {
	mu   sync.Mutex
	open map[streamKey]*hostStream
}

// hostStream is one of them.
type hostStream struct {
	far  *far
	feed *procpool.Feed
	// refused, if not nil, is what the worker's refusal of the call comes to: it was
	// sent as one of no task, since the worker knows nothing of its kind.
	refused error
}

// attach makes a call's conduit lead to the worker, before the call is sent, and takes
// note of one that the worker is going to refuse.
func (w *Worker) attach(lane uint32, c *procpool.Call) {
	s := new(hostStream)
	if !w.runs(c.Kind()) {
		s.refused = fmt.Errorf("%w %q that is a %v: the worker was built with %s, which has no %vs; bring it up to date",
			procpool.ErrUnknownTask, c.Task(), c.Kind(), w.hello.SDK, c.Kind())
	}
	key := streamKey{seq: c.Slot.Seq, lane: lane}
	if c.Kind().HasValues() {
		s.far = w.box.far(key, func(values, bytes int64) { s.feed.Credit(values, bytes) })
		s.feed = c.Conduit().Attach(s.far, w.o.MaxPayload)
	}
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	if w.streams.open == nil {
		w.streams.open = make(map[streamKey]*hostStream)
	}
	w.streams.open[key] = s
}

// runs reports whether the worker can run tasks of that kind.
func (w *Worker) runs(k procpool.Kind) bool {
	switch k {
	case procpool.KindStream:
		return slices.Contains(w.hello.Capabilities, capabilityStream)
	case procpool.KindSession:
		return slices.Contains(w.hello.Capabilities, capabilitySession)
	case procpool.KindActor:
		return w.hasActors
	}
	return true
}

// stream returns an open call that has values, nil when there is none.
func (w *Worker) stream(key streamKey) *hostStream {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	if s := w.streams.open[key]; s != nil && s.far != nil {
		return s
	}
	return nil
}

// closeStream ends the values of a call that was answered.
func (w *Worker) closeStream(r *Reply) {
	key := streamKey{seq: r.Seq, lane: r.Lane}
	w.streams.mu.Lock()
	s := w.streams.open[key]
	delete(w.streams.open, key)
	w.streams.mu.Unlock()
	if s == nil {
		return
	}
	if s.far != nil {
		s.far.stop()
	}
	if s.refused != nil && r.Kind != Declined {
		r.Kind, r.Data, r.Err = Failed, nil, s.refused
	}
}

// closeStreams ends the values of all calls.
func (w *Worker) closeStreams() {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	w.streams.open = nil
}

// takeValues hands values and credit to the calls that they belong to. The error is
// what the worker did wrong.
func (w *Worker) takeValues(b *replyBatch) error {
	for values := b.values; len(values) > 0; {
		key, n := values[0].streamKey, 0
		if key.hostCall != 0 {
			if err := w.takeRelayedValue(&values[0]); err != nil {
				return err
			}
			values = values[1:]
			continue
		}
		w.run = w.run[:0]
		for ; n < len(values) && values[n].streamKey == key; n++ {
			if values[n].end {
				return fmt.Errorf("the worker has ended the values of call %d on lane %d other than by answering it", key.seq, key.lane)
			}
			w.run = append(w.run, values[n].data)
		}
		values = values[n:]
		s := w.stream(key)
		switch {
		case s == nil:
			return fmt.Errorf("the worker has sent a value of call %d on lane %d, which it does not run", key.seq, key.lane)
		case !s.feed.Values(w.run):
			return fmt.Errorf("the worker has sent more values of call %d on lane %d than it was permitted", key.seq, key.lane)
		}
	}
	clear(w.run) // what it held is the readers'
	for _, c := range b.credits {
		if c.hostCall != 0 {
			w.takeRelayedCredit(c)
			continue
		}
		// A task may still be taking values when its call ends, in another goroutine.
		if s := w.stream(c.streamKey); s != nil {
			s.far.gave(c.values, c.bytes)
		}
	}
	return nil
}
