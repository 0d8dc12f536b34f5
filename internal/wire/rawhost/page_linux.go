package rawhost

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sealedPage is a page in a memfd that can't be cut, so that it is safe to map.
type sealedPage struct {
	fd     int
	memory []byte
}

func newPageMemory(_ string, size int, header []byte) (pageMemory, error) {
	fd, err := unix.MemfdCreate("procpool-recorder", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	memory, err := seal(fd, size)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	copy(memory, header)
	return &sealedPage{fd: fd, memory: memory}, nil
}

func seal(fd, size int) ([]byte, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return memory, os.NewSyscallError("mmap", err)
}

func (p *sealedPage) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.fd) }

func (p *sealedPage) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&p.memory[offset : offset+8][0]))
}

func (p *sealedPage) load(offset int) uint64 { return p.word(offset).Load() }

func (p *sealedPage) store(offset int, v uint64) { p.word(offset).Swap(v) }

func (p *sealedPage) read(offset, n int) []byte {
	return append([]byte(nil), p.memory[offset:offset+n]...)
}

func (p *sealedPage) close() {
	_ = unix.Munmap(p.memory)
	_ = unix.Close(p.fd)
}
