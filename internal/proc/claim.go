package proc

import (
	"io"
	"sync"
)

// claimReader yields the claimed line once it is known and then EOF.
type claimReader struct {
	known chan struct{} // closed when no line can come any more: text is complete
	once  sync.Once
	text  []byte // written before known is closed

	gone     chan struct{} // closed by Close
	goneOnce sync.Once

	mu sync.Mutex // guards text once it is known
}

func newClaimReader() *claimReader {
	return &claimReader{known: make(chan struct{}), gone: make(chan struct{})}
}

// set publishes the line, or with nil that there is none. Only the first call counts.
func (r *claimReader) set(line []byte) {
	r.once.Do(func() {
		if line != nil {
			r.text = append(append(make([]byte, 0, len(line)+1), line...), '\n')
		}
		close(r.known)
	})
}

// Read blocks until the line is known, the child has ended without one, or Close is called.
func (r *claimReader) Read(p []byte) (int, error) {
	select {
	case <-r.gone:
		return 0, io.ErrClosedPipe
	default:
	}
	select {
	case <-r.gone:
		return 0, io.ErrClosedPipe
	case <-r.known:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// Close ends a blocked Read. The child is not affected.
func (r *claimReader) Close() error {
	r.goneOnce.Do(func() { close(r.gone) })
	return nil
}
