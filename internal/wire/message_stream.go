package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of a StreamValue and a Credit, see message.go.
const (
	tagValueSeq      = 1<<3 | wireVarint
	tagValueLane     = 2<<3 | wireVarint
	tagValueInline   = 3<<3 | wireBytes
	tagValueSegment  = 4<<3 | wireBytes
	tagValueEnd      = 5<<3 | wireVarint
	tagValueHostCall = 6<<3 | wireVarint

	tagCreditSeq      = 1<<3 | wireVarint
	tagCreditLane     = 2<<3 | wireVarint
	tagCreditValues   = 3<<3 | wireVarint
	tagCreditBytes    = 4<<3 | wireVarint
	tagCreditHostCall = 5<<3 | wireVarint
)

// streamKey says to which call a value or a credit belongs: to one of the host's,
// or, where hostCall is set, to that HostCall.
type streamKey struct {
	seq, hostCall uint64
	lane          uint32
}

// streamValue is a StreamValue as it was received.
type streamValue struct {
	streamKey
	end     bool
	segment bool // the value lies elsewhere, which nobody has agreed to
	data    []byte
}

// credit is a Credit as it was received.
type credit struct {
	streamKey
	values, bytes int64
}

// maxCredit is what one Credit is cut to. Nobody counts that far, and sums of a few
// thousand don't overflow.
const maxCredit = 1 << 48

// valueOverhead bounds what a StreamValue takes beside its value, or a Credit
// altogether: tags and varints.
const valueOverhead = 6 * 11

// append appends the fields that name the call. hostCall is the tag of that field,
// seq and lane have the same in both messages.
func (k streamKey) append(dst []byte, hostCall byte) []byte {
	if k.hostCall != 0 {
		dst = append(dst, hostCall)
		return protowire.AppendVarint(dst, k.hostCall)
	}
	dst = append(dst, tagValueSeq)
	dst = protowire.AppendVarint(dst, k.seq)
	if k.lane != 0 {
		dst = append(dst, tagValueLane)
		dst = protowire.AppendVarint(dst, uint64(k.lane))
	}
	return dst
}

// appendCredit appends a Credit as the field of that tag.
func appendCredit(dst []byte, tag byte, k streamKey, values, bytes int64) []byte {
	dst = append(dst, tag, 0)
	at := len(dst) - 1
	dst = k.append(dst, tagCreditHostCall)
	if values > 0 {
		dst = append(dst, tagCreditValues)
		dst = protowire.AppendVarint(dst, uint64(values))
	}
	if bytes > 0 {
		dst = append(dst, tagCreditBytes)
		dst = protowire.AppendVarint(dst, uint64(bytes))
	}
	return closeLength(dst, at, 0)
}

// appendEnd appends, as the field of that tag, the StreamValue that ends an argument
// stream.
func appendEnd(dst []byte, tag byte, k streamKey) []byte {
	dst = append(dst, tag, 0)
	at := len(dst) - 1
	dst = append(k.append(dst, tagValueHostCall), tagValueEnd, 1)
	return closeLength(dst, at, 0)
}

// appendValue appends a StreamValue as the field of that tag, with its value.
func appendValue(dst []byte, tag byte, k streamKey, value []byte) []byte {
	dst, m := beginValue(dst, tag, k)
	return endValue(append(dst, value...), m)
}

// appendValueHead appends all of a StreamValue but a value of size bytes, which
// follows.
func appendValueHead(dst []byte, tag byte, k streamKey, size int) []byte {
	dst = append(dst, tag, 0)
	at := len(dst) - 1
	dst = append(k.append(dst, tagValueHostCall), tagValueInline)
	dst = protowire.AppendVarint(dst, uint64(size))
	return closeLength(dst, at, size)
}

// valueMark remembers where a StreamValue under construction begins.
type valueMark struct {
	body  int // its fields
	value int // the encoded value
}

// beginValue appends the beginning of a StreamValue, as the field of that tag. The
// encoded value is appended behind it, and endValue ends it.
func beginValue(dst []byte, tag byte, k streamKey) ([]byte, valueMark) {
	dst = append(dst, tag, 0)
	m := valueMark{body: len(dst)}
	dst = append(k.append(dst, tagValueHostCall), tagValueInline, 0)
	m.value = len(dst)
	return dst, m
}

func endValue(dst []byte, m valueMark) []byte {
	dst = closeLength(dst, m.value-1, 0)
	return closeLength(dst, m.body-1, 0)
}

// parse decodes a StreamValue; the value aliases data.
func (v *streamValue) parse(data []byte) error {
	if err := v.parseFields(data); err != nil {
		return err
	}
	return v.check()
}

func (v *streamValue) check() error {
	switch {
	case v.segment:
		return errSegment
	case v.seq == 0 && v.hostCall == 0:
		return errNoSeq
	}
	return nil
}

func (v *streamValue) parseFields(data []byte) error {
	for len(data) > 0 {
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		var x uint64
		switch tag {
		case tagValueInline:
			v.data, n = consumeBytes(data)
			v.segment = false
		case tagValueSegment:
			_, n = consumeBytes(data)
			v.data, v.segment = nil, true
		case tagValueSeq, tagValueLane, tagValueEnd, tagValueHostCall:
			x, n = consumeVarint(data)
			v.set(tag, x)
		default:
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

func (v *streamValue) set(tag, x uint64) {
	switch tag {
	case tagValueSeq:
		v.seq = x
	case tagValueLane:
		v.lane = uint32(x)
	case tagValueEnd:
		v.end = x != 0
	case tagValueHostCall:
		v.hostCall = x
	}
}

// parsePieces decodes a StreamValue of size bytes, which p has, and copies the value
// once.
func (v *streamValue) parsePieces(p *pieces, size int) error {
	outside := p.left - size
	p.left = size
	for p.left > 0 {
		tag, err := p.varint()
		if err != nil {
			return err
		}
		switch tag {
		case tagValueInline:
			n, err := p.length()
			if err != nil {
				return err
			}
			v.data, v.segment = p.copy(n), false
		case tagValueSeq, tagValueLane, tagValueEnd, tagValueHostCall:
			x, err := p.varint()
			if err != nil {
				return err
			}
			v.set(tag, x)
		default:
			if err := v.parseFields(p.tail(tag)); err != nil {
				return err
			}
		}
	}
	p.left = outside
	return v.check()
}

// parse decodes a Credit.
func (c *credit) parse(data []byte) error {
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return err
		}
		data = rest
		switch f.tag {
		case tagCreditSeq:
			c.seq = f.number
		case tagCreditLane:
			c.lane = uint32(f.number)
		case tagCreditValues:
			c.values = int64(min(f.number, maxCredit))
		case tagCreditBytes:
			c.bytes = int64(min(f.number, maxCredit))
		case tagCreditHostCall:
			c.hostCall = f.number
		}
	}
	if c.seq == 0 && c.hostCall == 0 {
		return errNoSeq
	}
	return nil
}

// ownValues copies the values out of the message's memory: the small ones of one
// call that follow each other into memory that they share, each large one into
// memory of its own. Calls share none, so that none keeps what is another's.
// keepLarge leaves the large ones where they are, and says whether there are any.
func ownValues(values []streamValue, keepLarge bool) (kept bool) {
	for len(values) > 0 {
		n, total := 1, 0
		for ; n < len(values) && values[n].streamKey == values[0].streamKey; n++ {
		}
		run := values[:n]
		values = values[n:]
		for i := range run {
			if size := len(run[i].data); size < ownMemory {
				total += size
			}
		}
		c := chunks{total: total}
		for i := range run {
			switch size := len(run[i].data); {
			case size == 0:
				run[i].data = nil
			case size >= ownMemory && keepLarge:
				kept = true
			default:
				run[i].data = c.own(run[i].data)
			}
		}
	}
	return kept
}

// chunks copies small slices into memory that they share.
type chunks struct {
	total int // what is to come of them
	chunk []byte
}

func (c *chunks) own(data []byte) []byte {
	n := len(data)
	if n >= ownMemory {
		return append([]byte(nil), data...)
	}
	if n > cap(c.chunk)-len(c.chunk) {
		c.chunk = make([]byte, 0, max(n, min(c.total, sharedChunk)))
	}
	c.total -= n
	from := len(c.chunk)
	c.chunk = append(c.chunk, data...)
	return c.chunk[from:len(c.chunk):len(c.chunk)]
}
