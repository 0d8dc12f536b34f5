//go:build unix

package plainworker

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
)

// kernel counts the bytes of the stream Work that the kernel has got: a gRPC library
// does not tell when it has written what it was given.
type kernel struct {
	mu      sync.Mutex
	moved   sync.Cond
	opening []byte // the first message of Work, by which its stream is known
	stream  uint32 // its number, 0 until then

	head   []byte // of the frame that is being written, up to 9 bytes
	left   int    // what is to come of it
	data   bool   // whether that is DATA
	of     uint32 // of which stream
	begun  map[uint32][]byte
	counts map[uint32]uint64
	closed bool
}

func (k *kernel) conn(net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.moved.L = &k.mu
	k.begun, k.counts = make(map[uint32][]byte), make(map[uint32]uint64)
}

// watched is a connection that tells kernel what it has written.
type watched struct {
	net.Conn
	server *server
}

// Write writes, then counts.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.server.kernel.wrote(b[:n])
	return n, err
}

// Read notices the end of the connection.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.server.kernel.close()
		if w.server.fault != StaysHungUp {
			w.server.leave()
		}
	}
	return n, err
}

// wrote goes through the frames of HTTP/2: 9 bytes of head, of which the first three
// are the length, the fourth is the type, 0 for DATA, and the last four are the stream.
func (k *kernel) wrote(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.moved.Broadcast()
	for len(b) > 0 {
		if k.left == 0 {
			n := min(9-len(k.head), len(b))
			k.head, b = append(k.head, b[:n]...), b[n:]
			if len(k.head) < 9 {
				return
			}
			k.left = int(binary.BigEndian.Uint32(k.head) >> 8)
			k.data, k.of = k.head[3] == 0, binary.BigEndian.Uint32(k.head[5:])&(1<<31-1)
			k.head = k.head[:0]
			continue
		}
		n := min(k.left, len(b))
		if k.data {
			k.counts[k.of] += uint64(n)
			if room := 64 - len(k.begun[k.of]); k.stream == 0 && room > 0 {
				k.begun[k.of] = append(k.begun[k.of], b[:min(n, room)]...)
			}
		}
		k.left, b = k.left-n, b[n:]
	}
}

// await waits until the kernel has that many bytes of Work.
func (k *kernel) await(total uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.closed {
		if k.stream == 0 {
			for stream, begun := range k.begun {
				if len(k.opening) > 0 && bytes.Contains(begun, k.opening) {
					k.stream = stream
				}
			}
		}
		if k.stream != 0 && k.counts[k.stream] >= total {
			return
		}
		k.moved.Wait()
	}
}

func (k *kernel) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.moved.Broadcast()
}
