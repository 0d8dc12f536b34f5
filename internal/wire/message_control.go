package wire

import "google.golang.org/grpc/mem"

// The fields of a ControlResponse and a Pong, see message.go.
const (
	tagControlPong = 1<<3 | wireBytes
	tagPongID      = 1<<3 | wireVarint
)

// maxSideMessage is how large a worker's message may be that carries no result, in
// bytes: what it says of itself, and its control messages.
const maxSideMessage = 1 << 20

// controlMessage is a ControlResponse as the host reads it. Only a Pong means
// anything to it; the rest is passed over and costs no memory.
type controlMessage struct {
	isPong bool
	pong   uint64 // its number
}

func (m *controlMessage) unmarshal(data mem.BufferSlice, pool *bufferPool) error {
	buf := data.MaterializeToBuffer(pool)
	defer buf.Free()
	*m = controlMessage{}
	return m.parse(buf.ReadOnlyData())
}

func (m *controlMessage) parse(data []byte) error {
	for len(data) > 0 {
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		var field []byte
		var err error
		switch tag {
		case tagControlPong:
			if field, n = consumeBytes(data); n >= 0 {
				m.isPong = true
				err = m.parsePong(field)
			}
		default:
			n, err = skipField(tag, data)
		}
		if err != nil {
			return err
		}
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
	}
	return nil
}

func (m *controlMessage) parsePong(data []byte) error {
	for len(data) > 0 {
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		if tag == tagPongID {
			m.pong, n = consumeVarint(data)
		} else {
			var err error
			if n, err = skipField(tag, data); err != nil {
				return err
			}
		}
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
	}
	return nil
}
