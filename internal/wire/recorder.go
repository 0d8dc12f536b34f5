package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// The flight recorder is a page of memory that a worker shares with its host and
// that outlives it. The worker notes in it what it starts and finishes, so that
// after a crash the host knows exactly what had run; the host takes back through
// it what it had sent ahead. The numbers are 8 bytes (4 where noted) in the
// machine's own byte order, which is little-endian wherever procpool was tested.
//
//	offset  bytes
//	0       8     magic: "procpool"
//	8       4     version of this layout: 1
//	12      4     number of lanes, L
//	16      4     offset of lane 0: 128
//	20      4     bytes per lane: 128
//	24      8     offset of the journal of lane 0: 128+128*L, rounded up to 4096
//	32      8     bytes per journal: 65536
//	40      88    0
//	128           lane 0, then lane 1, ...
//	              the journal of lane 0, then that of lane 1, ...
//
// A lane, on cache lines of its own:
//
//	0       8     started: the call started last, 0 for none       written by the worker
//	8       8     started_at: when, in ns of CLOCK_MONOTONIC       written by the worker
//	16      8     finished: the call whose function returned last  written by the worker
//	24      8     fence: calls beyond it must not start            written by the host
//	32      8     journal_len: how much of the journal counts      written by the worker
//	40      8     waiting_since: as started_at, 0 for not waiting  written by the worker
//	48      80    0
//
// A call is named by its sequence number; on one lane the numbers ascend.
//
// # The fence
//
// The worker starts call n in these steps, the host takes back what lies beyond
// k in those:
//
//	W1  started_at = now; started = n      H1  fence = k
//	    (full barrier)                         (full barrier)
//	W2  read fence: n > fence?             H2  s = started
//	W3a no: run n                          H3  take back every n > max(k, s)
//	W3b yes: started = its old value,
//	    answer n as declined
//
// No call is both run and taken back. Suppose the worker runs n > k, with the
// fence at k at some time. Then W2 read an older value of the fence, so W2 came
// before H1; W1 comes before W2 and H1 before H2, so H2 came after W1. started
// only grows, but for W3b, which puts back the number of the last call that was
// let through, and that is n or beyond once n was. So s >= n and the host leaves
// n alone. (This is Dekker's argument; the two barriers are what it takes. The
// operations of sync/atomic are sequentially consistent, a system call will do
// in a language that has none.)
//
// No call is lost: what the worker declines is answered, and the host owns it
// from that answer on if it did not before. It happens that both know: the host
// takes n back and gets n's decline later, which it ignores.
//
// The fence may rise (unfence) only when each call that was taken back has been
// answered, or else the worker would find it in its queue and run it after all.
// Calls that the host sends in between are declined, no worse.
//
// # Waiting
//
// While a call waits for others, for its caller to take or to send values or for
// calls that it has made, waiting_since says since when; that does not count as run
// time. When it goes on the worker first moves started_at forward by the time waited,
// then stores 0. The host takes the time, reads waiting_since, then started_at: so
// a run time that it reads in between comes out too short, never too long.
//
// # After a crash
//
// The host reads the page when the process is dead, so nothing moves. started is
// a call that was let through, or one for which the process died between W1 and
// W3: it has not run, but is treated as if it had, which is the safe side. If
// started > finished that call was running. If not, the lane was idle, or had
// finished a call whose reply was on its way: such replies are in the journal.
//
// # The journal
//
// A worker builds its replies in the lane's journal, as the encoding of a
// WorkResponse, and writes in this order: the reply; journal_len; finished. The
// journal is emptied (journal_len = 0) before it is used again, and only when
// what it held was handed to the kernel. One thread writes all of this, and a
// process dies between two of its instructions: so journal_len never counts
// bytes that were not written. The host copies the journal before it reads it,
// and takes nothing in it on trust.
const (
	recorderMagic    = "procpool"
	recorderVersion  = 1
	recorderHeader   = 128
	recorderLaneSize = 128
	recorderAlign    = 4096
	// journalSize is how many bytes of replies a lane's journal holds.
	journalSize = 64 << 10
	// recorderMaxLanes bounds the size of a page.
	recorderMaxLanes = 4096
)

const (
	laneStarted    = 0
	laneStartedAt  = 8
	laneFinished   = 16
	laneFence      = 24
	laneJournalLen = 32
	laneWaiting    = 40
)

// noFence is the fence that stops nothing.
const noFence = math.MaxUint64

func laneOffset(lane int) int { return recorderHeader + lane*recorderLaneSize }

func journalOffset(lanes, lane int) int {
	end := laneOffset(lanes)
	return (end+recorderAlign-1)/recorderAlign*recorderAlign + lane*journalSize
}

func recorderSize(lanes int) int { return journalOffset(lanes, lanes) }

// pageHeader is the start of the page as a structure.
type pageHeader struct {
	magic         [8]byte
	version       uint32
	lanes         uint32
	laneOffset    uint32
	laneSize      uint32
	journalOffset uint64
	journalSize   uint64
}

// headerBytes returns the page's first bytes as the host writes them.
func headerBytes(lanes int) []byte {
	h := pageHeader{
		version: recorderVersion, lanes: uint32(lanes), laneOffset: recorderHeader, laneSize: recorderLaneSize,
		journalOffset: uint64(journalOffset(lanes, 0)), journalSize: journalSize,
	}
	copy(h.magic[:], recorderMagic)
	b := make([]byte, unsafe.Sizeof(h))
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(&h)), len(b)))
	return b
}

// pageMemory is the host's access to a page. Where the page cannot be protected
// against being cut short it goes through system calls, since memory that is
// mapped from such a file kills its reader. Its users keep offsets in range.
type pageMemory interface {
	// load reads the 8 bytes at offset at once, store writes them. A load
	// behind a store sees what others wrote before they saw the store.
	load(offset int) (uint64, error)
	store(offset int, v uint64) error
	// copyTo copies what lies at offset.
	copyTo(dst []byte, offset int) error
	// path is where another process can open the page.
	path() string
	io.Closer
}

// errNoRecorder says that there is no recorder, or none any more.
var errNoRecorder = errors.New("procpool: the flight recorder is not available")

// recorder is the host's side of a page. It is safe for concurrent use.
type recorder struct {
	lanes int
	where string

	mu     sync.RWMutex // held for writing to close mem
	mem    pageMemory
	closed bool
}

// newRecorder makes a page for a worker with that many lanes. dir is where it
// goes on systems that need a file; the caller removes the directory. The error
// matches errors.ErrUnsupported where the system has no recorder.
func newRecorder(dir string, lanes int) (*recorder, error) {
	if lanes < 1 || lanes > recorderMaxLanes {
		return nil, fmt.Errorf("procpool: a worker has 1 to %d lanes, not %d", recorderMaxLanes, lanes)
	}
	mem, err := newPageMemory(dir, recorderSize(lanes), headerBytes(lanes))
	if err != nil {
		return nil, err
	}
	r := &recorder{lanes: lanes, mem: mem, where: mem.path()}
	for lane := range lanes {
		if err := mem.store(laneOffset(lane)+laneFence, noFence); err != nil {
			return nil, errors.Join(err, mem.Close())
		}
	}
	return r, nil
}

// path is what the worker needs to open the page. It is valid until close.
func (r *recorder) path() string { return r.where }

// close frees the page. What is asked of it afterwards fails.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.mem.Close()
}

// fence takes back what was sent ahead: calls of the lane beyond both k and the
// returned started will never run. Those up to started have been started, or are
// about to be answered as declined. ok is false when the page can't be used;
// then nothing is known.
func (r *recorder) fence(lane int, k uint64) (started uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.usable(lane) {
		return 0, false
	}
	at := laneOffset(lane)
	if err := r.mem.store(at+laneFence, k); err != nil {
		return 0, false
	}
	started, err := r.mem.load(at + laneStarted)
	return started, err == nil
}

// unfence lets the lane start calls again. The caller has made sure that each
// call that it took back has been answered: the worker would run the others.
func (r *recorder) unfence(lane int) { r.fence(lane, noFence) }

func (r *recorder) usable(lane int) bool { return !r.closed && lane >= 0 && lane < r.lanes }

// laneState is how far a lane has come, in the worker's words: a hostile worker writes
// what it likes. The moments are on the clock of monotonicNow.
type laneState struct {
	started, finished uint64
	startedAt         int64 // belongs to started
	waiting           int64 // since when that call waits, 0 if it does not
}

// ran returns how long the call that was started last has run at the moment now, which
// was taken before the state was read. born is the earliest moment at which a call can
// have started.
func (s laneState) ran(now, born int64) time.Duration {
	if s.waiting != 0 {
		now = min(now, s.waiting)
	}
	from := max(s.startedAt, born)
	if now <= from {
		return 0
	}
	return time.Duration(now - from)
}

// progress reads how far a lane has come.
func (r *recorder) progress(lane int) (s laneState, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.usable(lane) {
		return laneState{}, false
	}
	// The worker writes started_at first, then started: when started is the
	// same behind started_at as before it, the two belong together, or the
	// next call is about to start, and then finished says that this one is
	// over. A worker that starts calls faster than we can read has no call
	// whose start matters.
	for range 8 {
		words, err := r.load(lane, laneStarted, laneWaiting, laneStartedAt, laneFinished, laneStarted)
		if err != nil {
			return laneState{}, false
		}
		s = laneState{started: words[4], waiting: int64(words[1]), startedAt: int64(words[2]), finished: words[3]}
		if words[0] == words[4] {
			break
		}
	}
	return s, true
}

func (r *recorder) load(lane int, words ...int) (values [5]uint64, err error) {
	for i, w := range words {
		if values[i], err = r.mem.load(laneOffset(lane) + w); err != nil {
			return values, err
		}
	}
	return values, nil
}

// journal returns a copy of the replies in a lane's journal. It is to be called
// when the worker is dead; the bytes are the worker's and may be anything.
func (r *recorder) journal(lane int) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.usable(lane) {
		return nil, errNoRecorder
	}
	n, err := r.mem.load(laneOffset(lane) + laneJournalLen)
	if err != nil {
		return nil, err
	}
	if n > journalSize {
		return nil, fmt.Errorf("procpool: the worker's recorder claims %d bytes of replies, more than the %d that fit", n, journalSize)
	}
	b := make([]byte, n)
	if err := r.mem.copyTo(b, journalOffset(r.lanes, lane)); err != nil {
		return nil, err
	}
	return b, nil
}

// mappedPage is a page in memory.
type mappedPage []byte

func (m mappedPage) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m[offset : offset+8][0]))
}
