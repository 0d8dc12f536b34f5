//go:build unix

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// filePage is a page in a file, which its worker maps and the host reads and
// writes: a worker that cuts the file short gets an error out of the host and no
// signal. The file may be removed once the worker has opened it.
type filePage struct {
	file *os.File
}

func newFilePage(dir string, size int, header []byte) (pageMemory, error) {
	if dir == "" {
		return nil, fmt.Errorf("procpool: there is no directory for the flight recorder's file: %w", errors.ErrUnsupported)
	}
	file, err := os.OpenFile(filepath.Join(dir, "recorder"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("procpool: can't make the flight recorder: %w", err)
	}
	page := filePage{file: file}
	if err := page.fill(size, header); err != nil {
		return nil, errors.Join(fmt.Errorf("procpool: can't make the flight recorder: %w", err), page.Close(), os.Remove(file.Name()))
	}
	return page, nil
}

// fill writes the whole page, so that no write to the mapping can find the disk
// full.
func (p filePage) fill(size int, header []byte) error {
	if _, err := p.file.Write(header); err != nil {
		return err
	}
	zeros := make([]byte, journalSize)
	for at := len(header); at < size; {
		n, err := p.file.Write(zeros[:min(len(zeros), size-at)])
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (p filePage) path() string { return p.file.Name() }

func (p filePage) load(offset int) (uint64, error) {
	var b [8]byte
	if _, err := p.file.ReadAt(b[:], int64(offset)); err != nil {
		return 0, fmt.Errorf("procpool: can't read the flight recorder: %w", err)
	}
	return binary.NativeEndian.Uint64(b[:]), nil
}

func (p filePage) store(offset int, v uint64) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	if _, err := p.file.WriteAt(b[:], int64(offset)); err != nil {
		return fmt.Errorf("procpool: can't write the flight recorder: %w", err)
	}
	return nil
}

func (p filePage) copyTo(dst []byte, offset int) error {
	if _, err := p.file.ReadAt(dst, int64(offset)); err != nil {
		return fmt.Errorf("procpool: can't read the flight recorder: %w", err)
	}
	return nil
}

func (p filePage) Close() error {
	if err := p.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// openPage maps the page at path for the worker.
func openPage(path string) (mappedPage, func() error, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("procpool: can't open the flight recorder: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("procpool: can't open the flight recorder: %w", err)
	}
	size := info.Size()
	if !info.Mode().IsRegular() || size < int64(recorderSize(1)) || size > int64(recorderSize(recorderMaxLanes)) {
		return nil, nil, fmt.Errorf("procpool: %s is no flight recorder, start the worker through its host", path)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("procpool: can't map the flight recorder: %w", err)
	}
	return mem, func() error { return unix.Munmap(mem) }, nil
}
