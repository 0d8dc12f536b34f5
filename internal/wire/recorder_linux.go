package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memfdPage is a page in a sealed memfd. It cannot be made shorter, not even by
// the worker, so the host may map it. It goes away with the last process that
// has it open.
type memfdPage struct {
	fd  int
	mem mappedPage
}

// newPageMemory makes a page of size bytes that begins with header. Another
// process of the same user opens it through /proc while this one has it open,
// which works through any number of shells in between.
func newPageMemory(dir string, size int, header []byte) (pageMemory, error) {
	page, err := newMemfdPage(size)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return newFilePage(dir, size, header) // forbidden by a sandbox, say
	}
	if err != nil {
		return nil, fmt.Errorf("procpool: can't make the flight recorder of %d bytes: %w", size, err)
	}
	copy(page.mem, header)
	return page, nil
}

func newMemfdPage(size int) (*memfdPage, error) {
	const name = "procpool-recorder"
	// Kernels before 6.3 don't know MFD_NOEXEC_SEAL; some later ones are set
	// to demand it.
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	mem, err := mapSealed(fd, size)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &memfdPage{fd: fd, mem: mem}, nil
}

func mapSealed(fd, size int) ([]byte, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, os.NewSyscallError("mmap", err)
}

func (p *memfdPage) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.fd) }

func (p *memfdPage) load(offset int) (uint64, error) { return p.mem.word(offset).Load(), nil }

func (p *memfdPage) store(offset int, v uint64) error {
	p.mem.word(offset).Swap(v) // a full barrier, see recorder.go
	return nil
}

func (p *memfdPage) copyTo(dst []byte, offset int) error {
	copy(dst, p.mem[offset:offset+len(dst)])
	return nil
}

func (p *memfdPage) Close() error {
	return errors.Join(os.NewSyscallError("munmap", unix.Munmap(p.mem)), os.NewSyscallError("close", unix.Close(p.fd)))
}
