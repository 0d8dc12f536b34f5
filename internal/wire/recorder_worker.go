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
// atomic; of the rest, started_at is published by started, and journal_len is
// read after the worker's death.
type laneWords struct {
	started    atomic.Uint64
	startedAt  int64
	finished   atomic.Uint64
	fence      atomic.Uint64
	journalLen uint64
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
// has none, so that they need not care.
func newLocalRecorder(lanes int) *workerRecorder {
	// Words, so that they are aligned.
	words := make([]uint64, recorderSize(lanes)/8)
	mem := mappedPage(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8))
	for lane := range lanes {
		mem.word(laneOffset(lane) + laneFence).Store(noFence)
	}
	return newWorkerRecorder(mem, lanes, func() error { return nil })
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

// lane returns a lane, nil when there is none of that number.
func (r *workerRecorder) lane(i int) *recorderLane {
	if i < 0 || i >= len(r.lanes) {
		return nil
	}
	return &r.lanes[i]
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

// setJournal notes that the first n bytes of the journal are whole replies.
func (l *recorderLane) setJournal(n int) { l.words.journalLen = uint64(n) }

// resetJournal empties the journal. The replies in it have reached the kernel.
func (l *recorderLane) resetJournal() { l.words.journalLen = 0 }
