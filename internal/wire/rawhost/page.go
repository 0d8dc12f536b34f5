package rawhost

import (
	"encoding/binary"
	"math"
)

// The layout of the recorder's page, from the document.
const (
	pageVersion   = 1
	pageHeader    = 128
	pageLane      = 128
	pageAlign     = 4096
	journalSize   = 64 << 10
	headerLength  = 40
	wordStarted   = 0
	wordStartedAt = 8
	wordFinished  = 16
	wordFence     = 24
	wordJournal   = 32
	wordWaiting   = 40
)

// NoFence is the fence that stops nothing.
const NoFence = math.MaxUint64

// page is the host's side of a flight recorder.
type page struct {
	memory pageMemory
	lanes  int
	header []byte
}

// pageMemory is where a page lies.
type pageMemory interface {
	path() string
	load(offset int) uint64
	// store is a full barrier.
	store(offset int, v uint64)
	read(offset, n int) []byte
	close()
}

func newPage(dir string, lanes int, version uint32) (*page, error) {
	p := &page{lanes: lanes, header: append([]byte("procpool"), make([]byte, headerLength-8)...)}
	journals := (pageHeader + pageLane*lanes + pageAlign - 1) / pageAlign * pageAlign
	order := binary.NativeEndian
	order.PutUint32(p.header[8:], version)
	order.PutUint32(p.header[12:], uint32(lanes))
	order.PutUint32(p.header[16:], pageHeader)
	order.PutUint32(p.header[20:], pageLane)
	order.PutUint64(p.header[24:], uint64(journals))
	order.PutUint64(p.header[32:], journalSize)
	var err error
	if p.memory, err = newPageMemory(dir, journals+lanes*journalSize, p.header); err != nil {
		return nil, err
	}
	for lane := range lanes {
		p.memory.store(wordAt(lane, wordFence), NoFence)
	}
	return p, nil
}

func wordAt(lane, word int) int { return pageHeader + lane*pageLane + word }

func (p *page) path() string { return p.memory.path() }

func (p *page) close() { p.memory.close() }

// Lane is what a worker has noted of a lane.
type Lane struct {
	// Started and Finished are numbers of calls, Fence what the host has set.
	Started, Finished, Fence uint64
	// StartedAt and WaitingSince are moments, of CLOCK_MONOTONIC on most systems.
	StartedAt, WaitingSince uint64
	// Journal is what the journal holds. It is whole only when the worker is dead;
	// nil if the length that is noted is nonsense, which JournalLen tells.
	Journal    []byte
	JournalLen uint64
}

// Lane reads a lane of the recorder.
func (h *Host) Lane(lane int) Lane {
	m := h.page.memory
	l := Lane{
		WaitingSince: m.load(wordAt(lane, wordWaiting)), StartedAt: m.load(wordAt(lane, wordStartedAt)),
		Finished: m.load(wordAt(lane, wordFinished)), Started: m.load(wordAt(lane, wordStarted)),
		Fence: m.load(wordAt(lane, wordFence)), JournalLen: m.load(wordAt(lane, wordJournal)),
	}
	if l.JournalLen <= journalSize {
		from := int(binary.NativeEndian.Uint64(h.page.header[24:])) + lane*journalSize
		l.Journal = m.read(from, int(l.JournalLen))
	}
	return l
}

// Fence stops the lane's calls beyond k and returns the call that was started last:
// those beyond both will not run.
func (h *Host) Fence(lane int, k uint64) (started uint64) {
	h.inbox.fenced(uint32(lane), k)
	h.page.memory.store(wordAt(lane, wordFence), k)
	return h.page.memory.load(wordAt(lane, wordStarted))
}

// HeaderKept reports whether the page's header is as the host has written it.
func (h *Host) HeaderKept() bool {
	return string(h.page.memory.read(0, headerLength)) == string(h.page.header)
}

// Recorded reports whether the worker keeps the recorder.
func (h *Host) Recorded() bool { return h.page != nil && h.hello.GetRecorderOpen() }
