package wire

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// parsePieces decodes a WorkResponse that came in many pieces without putting
// them together first: a large result is copied once, to where it stays.
func (b *replyBatch) parsePieces(data mem.BufferSlice) error {
	p := pieces{rest: data, left: data.Len()}
	for p.left > 0 {
		tag, err := p.varint()
		if err != nil {
			return err
		}
		if protowire.Type(tag&7) != protowire.BytesType || checkTag(tag) != nil {
			if err := p.skip(tag); err != nil {
				return err
			}
			continue
		}
		size, err := p.length()
		if err != nil {
			return err
		}
		if err := b.parsePiece(&p, tag, size); err != nil {
			return err
		}
	}
	return nil
}

// parsePiece decodes an element of size bytes, which p has.
func (b *replyBatch) parsePiece(p *pieces, tag uint64, size int) error {
	if !isElement(tag) {
		p.pass(size)
		return nil
	}
	switch {
	case size >= ownMemory && tag <= tagResponseValues:
	case tag == tagResponseOutcomes:
		return b.parseReply(p.copy(size))
	default:
		return b.parseElement(tag, p.copy(size))
	}
	if b.full() {
		return errTooMany
	}
	if tag == tagResponseValues {
		var v streamValue
		if err := v.parsePieces(p, size); err != nil {
			return err
		}
		b.values = append(b.values, v)
		return nil
	}
	var o outcome
	if err := o.parsePieces(p, size); err != nil {
		return err
	}
	reply, err := o.reply()
	if err == nil {
		b.replies = append(b.replies, reply)
	}
	return err
}

// parsePieces decodes an Outcome of size bytes, which p has.
func (o *outcome) parsePieces(p *pieces, size int) error {
	outside := p.left - size
	p.left = size // nothing is read beyond the Outcome's end
	for p.left > 0 {
		tag, err := p.varint()
		if err != nil {
			return err
		}
		switch tag {
		case tagOutcomeInline:
			n, err := p.length()
			if err != nil {
				return err
			}
			o.set(Result, p.copy(n))
		case tagOutcomeSeq, tagOutcomeLane, tagOutcomeRun:
			v, err := p.varint()
			if err != nil {
				return err
			}
			switch tag {
			case tagOutcomeSeq:
				o.seq = v
			case tagOutcomeLane:
				o.lane = uint32(v)
			case tagOutcomeRun:
				o.run = nanos(v)
			}
		default:
			// A failure, say: nothing that must be fast.
			if err := o.parse(p.tail(tag)); err != nil {
				return err
			}
		}
	}
	p.left = outside
	return nil
}

// pieces reads through a message that lies in several buffers.
type pieces struct {
	rest mem.BufferSlice
	cur  []byte // unread part of the current buffer
	left int    // how many bytes may be read
}

// fill makes cur non-empty. There are bytes left.
func (p *pieces) fill() {
	for len(p.cur) == 0 {
		p.cur = p.rest[0].ReadOnlyData()
		p.rest = p.rest[1:]
	}
}

// varint reads a varint.
func (p *pieces) varint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if p.left == 0 {
			return 0, errTruncated
		}
		p.fill()
		c := p.cur[0]
		p.cur = p.cur[1:]
		p.left--
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errTruncated
}

// length reads the length of a field that must lie in what is left.
func (p *pieces) length() (int, error) {
	v, err := p.varint()
	if err != nil {
		return 0, err
	}
	if v > uint64(p.left) {
		return 0, errTruncated
	}
	return int(v), nil
}

// read fills dst, which is not longer than what is left.
func (p *pieces) read(dst []byte) {
	p.left -= len(dst)
	for len(dst) > 0 {
		p.fill()
		n := copy(dst, p.cur)
		dst, p.cur = dst[n:], p.cur[n:]
	}
}

// copy returns the next n bytes in memory of their own.
func (p *pieces) copy(n int) []byte {
	b := uncleared(n)
	p.read(b)
	return b
}

// tail returns the field whose tag was read, and all behind it, in memory of their
// own.
func (p *pieces) tail(tag uint64) []byte {
	var head [10]byte
	n := len(protowire.AppendVarint(head[:0], tag))
	tail := uncleared(n + p.left)
	copy(tail, head[:n])
	p.read(tail[n:])
	return tail
}

// skip passes over the value of a field that is not known.
func (p *pieces) skip(tag uint64) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	var size int
	switch protowire.Type(tag & 7) {
	case protowire.Fixed32Type:
		size = 4
	case protowire.Fixed64Type:
		size = 8
	case protowire.BytesType:
		var err error
		if size, err = p.length(); err != nil {
			return err
		}
	default:
		_, err := p.varint()
		return err
	}
	if size > p.left {
		return errTruncated
	}
	p.pass(size)
	return nil
}

// pass passes over size bytes, which there are.
func (p *pieces) pass(size int) {
	p.left -= size
	for size > 0 {
		p.fill()
		n := min(size, len(p.cur))
		p.cur = p.cur[n:]
		size -= n
	}
}
