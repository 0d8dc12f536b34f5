package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

const (
	// minPooledBits makes the smallest pooled buffer 2 KiB: gRPC hands only
	// buffers above 1 KiB back to a pool.
	minPooledBits = 11
	// maxPooledBits makes the largest pooled buffer 32 MiB. What a burst of
	// large payloads leaves behind goes with the second garbage collection.
	maxPooledBits = 25
)

// bufferPool is a pool of buffers in powers of two. Unlike gRPC's own it does
// not clear what it hands out, which for a message of 40 KiB is most of the
// cost of getting a buffer. It is safe for concurrent use.
type bufferPool struct {
	classes [maxPooledBits - minPooledBits + 1]sync.Pool
}

var _ mem.BufferPool = (*bufferPool)(nil)

func newBufferPool() *bufferPool { return new(bufferPool) }

// Get returns a buffer of the given length, its content undefined. Above 32 MiB
// it is newly made.
func (p *bufferPool) Get(length int) *[]byte {
	class := sizeClass(length)
	if class >= len(p.classes) {
		b := make([]byte, length)
		return &b
	}
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, 1<<(class+minPooledBits))
	return &b
}

// Put gives a buffer back. Nobody may use it afterwards. A buffer that is not of
// one of the pool's sizes is left to the garbage collector.
func (p *bufferPool) Put(b *[]byte) {
	size := cap(*b)
	if size < 1<<minPooledBits || size&(size-1) != 0 {
		return
	}
	if class := sizeClass(size); class < len(p.classes) {
		p.classes[class].Put(b)
	}
}

// sizeClass returns the index of the smallest class that holds length bytes.
func sizeClass(length int) int {
	if length <= 1<<minPooledBits {
		return 0
	}
	return bits.Len(uint(length-1)) - minPooledBits
}
