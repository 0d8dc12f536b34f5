//go:build !linux

package rawhost

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
)

// filePage is a page in a file, which the worker maps and the host reads and writes.
type filePage struct{ file *os.File }

func newPageMemory(dir string, size int, header []byte) (pageMemory, error) {
	file, err := os.OpenFile(filepath.Join(dir, "recorder"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(append(header[:len(header):len(header)], make([]byte, size-len(header))...)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return filePage{file}, nil
}

func (p filePage) path() string { return p.file.Name() }

func (p filePage) load(offset int) uint64 { return binary.NativeEndian.Uint64(p.read(offset, 8)) }

func (p filePage) store(offset int, v uint64) {
	// A worker that has cut the file is found by what it does not read.
	_, _ = p.file.WriteAt(binary.NativeEndian.AppendUint64(nil, v), int64(offset))
}

func (p filePage) read(offset, n int) []byte {
	b := make([]byte, n)
	_, _ = p.file.ReadAt(b, int64(offset))
	return b
}

func (p filePage) close() { _ = p.file.Close() }
