package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// bombSide is the width and height of the decompression bomb: 3.6 billion pixels
// of one bit each, for which Go's decoder takes a byte each.
const bombSide = 60_000

// writeBomb writes a PNG of less than half a megabyte that takes gigabytes to
// decode, into a new temporary folder. It is a valid image: any viewer may try.
func writeBomb() (path string, err error) {
	dir, err := os.MkdirTemp("", "thumbnails-")
	if err != nil {
		return "", fmt.Errorf("can't make a temporary folder for the decompression bomb: %w", err)
	}
	path = filepath.Join(dir, "bomb.png")
	if err := os.WriteFile(path, bomb(bombSide), 0o600); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("can't write the decompression bomb: %w", err)
	}
	return path, nil
}

// bomb returns a black PNG image of side times side pixels.
func bomb(side int) []byte {
	var header [13]byte
	binary.BigEndian.PutUint32(header[0:], uint32(side))
	binary.BigEndian.PutUint32(header[4:], uint32(side))
	header[8] = 1 // bit per pixel; colour type, compression, filter, interlace: 0

	out := []byte("\x89PNG\r\n\x1a\n")
	out = appendChunk(out, "IHDR", header[:])
	out = appendChunk(out, "IDAT", zlibZeros(side*(1+(side+7)/8))) // a filter byte before each line
	return appendChunk(out, "IEND", nil)
}

func appendChunk(out []byte, kind string, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	begin := len(out)
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[begin:]))
}

// zlibZeros returns what unpacks to n zero bytes, without packing them all: what
// the compressor makes of one block and flushes can be repeated.
func zlibZeros(n int) []byte {
	const block = 1 << 20
	packed := func(zeros int) []byte {
		var buf bytes.Buffer
		z := zlib.NewWriter(&buf)
		_, _ = z.Write(make([]byte, zeros)) // a bytes.Buffer takes anything
		_ = z.Flush()
		return buf.Bytes()
	}
	const headerLen = 2
	whole := packed(block)
	out := whole[:headerLen:headerLen]
	for range n / block {
		out = append(out, whole[headerLen:]...)
	}
	if rest := n % block; rest > 0 {
		out = append(out, packed(rest)[headerLen:]...)
	}
	out = append(out, 0x03, 0x00) // an empty last block
	// Adler-32 of n zeros: the first sum stays 1, the second counts them.
	return binary.BigEndian.AppendUint32(out, uint32(n%65521)<<16|1)
}
