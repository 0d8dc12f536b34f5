package wire

import "sync"

const (
	// inputWindow and inputWindowBytes are the credit with which a session's input
	// begins.
	inputWindow      = 1024
	inputWindowBytes = 1 << 20
)

// valueQueue holds values that the host has sent to a call. The reader of the stream
// puts, without blocking; one goroutine at a time takes.
type valueQueue struct {
	key   streamKey
	ready chan struct{} // of capacity 1; gets a token when there is something new

	mu              sync.Mutex
	values          [][]byte
	left, leftBytes int64 // credit that the host has
	ended           bool  // there are no more

	// The taker's.
	batch             [][]byte
	read              int   // of batch
	taken, takenBytes int64 // credit that was used up and not given again
}

func newValueQueue(key streamKey) *valueQueue {
	return &valueQueue{key: key, ready: make(chan struct{}, 1)}
}

// put takes a value that the host has sent. It reports false for one that the host may
// not send.
func (q *valueQueue) put(v *streamValue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended || !v.end && (q.left <= 0 || q.leftBytes <= 0):
		return false
	case v.end:
		q.ended = true
	default:
		q.left--
		q.leftBytes -= int64(len(v.data))
		q.values = append(q.values, v.data)
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// next returns a value if there is one, and else whether there are no more.
func (q *valueQueue) next() (value []byte, ok, ended bool) {
	if q.read == len(q.batch) {
		q.mu.Lock()
		q.batch, q.values = q.values, q.batch[:0]
		ended = q.ended
		q.mu.Unlock()
		q.read = 0
		if len(q.batch) == 0 {
			return nil, false, ended
		}
	}
	value = q.batch[q.read]
	q.batch[q.read] = nil
	q.read++
	return value, true, false
}

// grant takes note that a value of that size was taken, and returns the credit to give
// for that and others, if it is time to. Half of the window is always with the host or
// on its way there.
func (q *valueQueue) grant(size int) (values, bytes int64) {
	q.taken++
	q.takenBytes += int64(size)
	if q.taken*2 < inputWindow && q.takenBytes*2 < inputWindowBytes {
		return 0, 0
	}
	values, bytes = q.taken, q.takenBytes
	q.taken, q.takenBytes = 0, 0
	q.mu.Lock()
	q.left += values
	q.leftBytes += bytes
	q.mu.Unlock()
	return values, bytes
}
