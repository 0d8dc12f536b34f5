package wire

import (
	"sync"

	"github.com/procpool/procpool"
)

// nestedCalls are the HostCalls of a worker that are not answered, by number.
type nestedCalls struct {
	mu    sync.Mutex
	last  uint64
	calls map[uint64]*nestedCall
}

func (t *nestedCalls) add(n *nestedCall) (id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = make(map[uint64]*nestedCall)
	}
	t.last++
	t.calls[t.last] = n
	return t.last
}

// number returns one for a HostCall that is not answered.
func (t *nestedCalls) number() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last
}

func (t *nestedCalls) get(id uint64) *nestedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[id]
}

func (t *nestedCalls) take(id uint64) *nestedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.calls[id]
	delete(t.calls, id)
	return n
}

// takeNested takes what a message of the host's holds for calls that tasks have made.
// It is called by the reader of the stream.
func (s *server) takeNested(batch *taskBatch) error {
	for values := batch.values; len(values) > 0; {
		id, n := values[0].hostCall, 1
		for n < len(values) && values[n].hostCall == id {
			n++
		}
		if id != 0 {
			s.takeNestedValues(id, values[:n])
		}
		values = values[n:]
	}
	for _, c := range batch.credits {
		if c.hostCall == 0 {
			continue
		}
		if feed := s.feedOf(c.hostCall); feed != nil {
			feed.Credit(c.values, c.bytes)
		}
	}
	for _, body := range batch.hostReplies {
		var r hostReply
		if err := r.parse(body); err != nil {
			return err
		}
		if n := s.nested.take(r.id); n != nil {
			n.replied(&r)
		}
	}
	return nil
}

func (s *server) takeNestedValues(id uint64, values []streamValue) {
	feed := s.feedOf(id)
	if feed == nil {
		return
	}
	data := make([][]byte, len(values))
	for i := range values {
		data[i] = values[i].data
	}
	if !feed.Values(data) {
		if n := s.nested.take(id); n != nil {
			n.breach()
		}
	}
}

// feedOf returns where what comes of a HostCall goes, nil for nowhere.
func (s *server) feedOf(id uint64) *procpool.Feed {
	n := s.nested.get(id)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.feed
}
