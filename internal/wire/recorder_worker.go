package wire

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// workerRecorder is the worker's side of a page.
type workerRecorder struct {
	lanes []recorderLane
	mem   mappedPage
	free  func() error
}

// laneWords is a lane of the page. What the host reads while the worker lives is
// atomic; of the rest, started_at is published by started or by waiting_since, and
// journal_len is read after the worker's death.
type laneWords struct {
	started    atomic.Uint64
	startedAt  int64
	finished   atomic.Uint64
	fence      atomic.Uint64
	journalLen uint64
	waiting    atomic.Int64
}

// recorderLane is a worker's access to one lane. Its methods may be called by
// one goroutine at a time.
type recorderLane struct {
	words *laneWords
	last  uint64 // the last call that was let through
	buf   []byte
	_     [64]byte // lanes are used by different threads
}

// openRecorder opens the page that the host made. The error says what is wrong
// with it.
func openRecorder(path string) (*workerRecorder, error) {
	mem, free, err := openPage(path)
	if err != nil {
		return nil, err
	}
	h := (*pageHeader)(unsafe.Pointer(&mem[0]))
	lanes := int(h.lanes)
	if string(h.magic[:]) != recorderMagic || h.version != recorderVersion || lanes < 1 || lanes > recorderMaxLanes ||
		string(mem[:unsafe.Sizeof(*h)]) != string(headerBytes(lanes)) || len(mem) < recorderSize(lanes) {
		_ = free()
		return nil, fmt.Errorf("procpool: %s is no flight recorder of version %d, start the worker through its host", path, recorderVersion)
	}
	return newWorkerRecorder(mem, lanes, free), nil
}

// newLocalRecorder returns a recorder that nobody reads, for workers whose host
// has none, so that they need not care. Its lanes are made when they are asked for.
func newLocalRecorder(lanes int) *workerRecorder {
	return &workerRecorder{lanes: make([]recorderLane, lanes), free: func() error { return nil }}
}

func newWorkerRecorder(mem mappedPage, lanes int, free func() error) *workerRecorder {
	r := &workerRecorder{lanes: make([]recorderLane, lanes), mem: mem, free: free}
	for i := range r.lanes {
		from := journalOffset(lanes, i)
		r.lanes[i] = recorderLane{
			words: (*laneWords)(unsafe.Pointer(&mem[laneOffset(i)])),
			buf:   mem[from : from : from+journalSize],
		}
	}
	return r
}

// lane returns a lane, nil when there is none of that number. One goroutine at a time
// may call it.
func (r *workerRecorder) lane(i int) *recorderLane {
	if i < 0 || i >= len(r.lanes) {
		return nil
	}
	l := &r.lanes[i]
	if l.words == nil {
		l.words, l.buf = new(laneWords), make([]byte, 0, journalSize)
		l.words.fence.Store(noFence)
	}
	return l
}

// close gives the page up. No lane may be used afterwards. A worker that ends
// has no need of it.
func (r *workerRecorder) close() error {
	r.lanes = nil
	return r.free()
}

// start notes that call seq is about to run, at the moment now of monotonicNow,
// and reports whether it may. If not, the fence was in its way: it must not run
// and is to be answered as declined. seq must be above that of earlier calls.
func (l *recorderLane) start(seq uint64, now int64) bool {
	w := l.words
	w.startedAt = now
	w.started.Swap(seq) // a full barrier, see recorder.go
	if seq > w.fence.Load() {
		w.started.Store(l.last)
		return false
	}
	l.last = seq
	return true
}

// finish notes that the function of call seq has returned. If its reply is in
// the journal, setJournal has been called before.
func (l *recorderLane) finish(seq uint64) { l.words.finished.Store(seq) }

// journalBuf returns the lane's journal, empty, to append replies to. What is
// appended beyond its capacity is not in the journal.
func (l *recorderLane) journalBuf() []byte { return l.buf }

// pause notes that the running call waits from the moment now of monotonicNow on,
// resume that it goes on. That time does not count as run time: what the host reads
// meanwhile is never too long, since it reads waiting_since first.
func (l *recorderLane) pause(now int64) { l.words.waiting.Store(now) }

func (l *recorderLane) resume(now int64) {
	w := l.words
	atomic.AddInt64(&w.startedAt, now-w.waiting.Load())
	w.waiting.Store(0)
}

// setJournal notes that the first n bytes of the journal are whole replies.
func (l *recorderLane) setJournal(n int) { l.words.journalLen = uint64(n) }

// resetJournal empties the journal. The replies in it have reached the kernel.
func (l *recorderLane) resetJournal() { l.words.journalLen = 0 }
