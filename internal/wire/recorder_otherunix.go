//go:build unix && !linux

package wire

// newPageMemory makes a page of size bytes that begins with header, as a file in
// dir.
func newPageMemory(dir string, size int, header []byte) (pageMemory, error) {
	return newFilePage(dir, size, header)
}
