//go:build unix

package plainworker

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// page is the flight recorder.
type page []byte

// openPage maps the page, of whatever version if any is taken.
func openPage(path string, anyVersion bool) (page, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	m, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	order := binary.NativeEndian
	if len(m) < 4096 || string(m[:8]) != "procpool" || order.Uint32(m[16:]) != 128 || order.Uint32(m[20:]) != 128 ||
		order.Uint32(m[8:]) != 1 && !anyVersion {
		return nil, fmt.Errorf("%s is no recorder that this worker knows", path)
	}
	return m, nil
}

// pageLane is one lane of it; the zero value is none and stops nothing.
type pageLane struct {
	words []byte
	last  uint64 // the call that was let through last
}

func (p page) lane(i int) pageLane {
	if p == nil {
		return pageLane{}
	}
	return pageLane{words: p[128+128*i : 128+128*(i+1)]}
}

func (l *pageLane) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&l.words[offset : offset+8][0]))
}

// now is the moment on the shared clock.
func now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // which every system has
	return uint64(t.Nano())
}

// start notes that a call starts, and reports whether it may.
func (l *pageLane) start(seq uint64, fault Fault) bool {
	if l.words == nil {
		return true
	}
	l.word(8).Store(now())
	l.word(0).Swap(seq)
	if seq > l.word(24).Load() && fault != ForgetsFence {
		if fault != CountsDecline {
			l.word(0).Store(l.last)
		}
		return false
	}
	l.last = seq
	return true
}

// finish notes that a call is through.
func (l *pageLane) finish(seq uint64) {
	if l.words != nil {
		l.word(16).Store(seq)
	}
}

// wait notes that the call begins to wait, goOn that it has waited.
func (l *pageLane) wait() {
	if l.words != nil {
		l.word(40).Store(now())
	}
}

func (l *pageLane) goOn() {
	if l.words != nil {
		l.word(8).Add(now() - l.word(40).Load())
		l.word(40).Store(0)
	}
}
