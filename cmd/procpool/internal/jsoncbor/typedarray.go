package jsoncbor

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Typed arrays are RFC 8746. Their tags say in their bits what the elements are:
// 0b010fseLL, with f for floats, s for signed integers, e for little-endian, and the
// logarithm of the size, of floats in units of two bytes.
const (
	tagTypedFirst   = 64
	tagTypedLast    = 87
	tagTypedUnknown = 76 // reserved
	tagRowMajor     = 40 // an array of the dimensions and the elements
)

func isTypedArray(tag uint64) bool {
	return tag >= tagTypedFirst && tag <= tagTypedLast && tag != tagTypedUnknown
}

// elements are numbers of one type, back to back.
type elements struct {
	raw           []byte
	size          int
	float, signed bool
	order         binary.ByteOrder
}

// typedArray reads the elements of a typed array. It is not ok where these are floats
// of 128 bits or the last is incomplete.
func typedArray(tag uint64, raw []byte) (e elements, ok bool) {
	e = elements{raw: raw, size: 1 << (tag & 3), float: tag&16 != 0, signed: tag&8 != 0, order: binary.BigEndian}
	if e.float {
		e.size *= 2
	}
	if tag&4 != 0 {
		e.order = binary.LittleEndian
	}
	return e, e.size <= 8 && len(raw)%e.size == 0
}

func (e elements) count() int { return len(e.raw) / e.size }

func (e elements) list(dst []byte) []byte {
	return grid{dims: []int{e.count()}, elements: e}.list(dst)
}

func (e elements) appendElement(dst []byte, i int) []byte {
	raw := e.raw[i*e.size:][:e.size]
	var n uint64
	switch e.size {
	case 1:
		n = uint64(raw[0])
	case 2:
		n = uint64(e.order.Uint16(raw))
	case 4:
		n = uint64(e.order.Uint32(raw))
	default:
		n = e.order.Uint64(raw)
	}
	switch {
	case e.float && e.size == 2:
		return appendFloat(dst, halfFloat(uint16(n)), 32)
	case e.float && e.size == 4:
		return appendFloat(dst, float64(math.Float32frombits(uint32(n))), 32)
	case e.float:
		return appendFloat(dst, math.Float64frombits(n), 64)
	case e.signed:
		unused := 64 - 8*e.size
		return strconv.AppendInt(dst, int64(n<<unused)>>unused, 10)
	}
	return strconv.AppendUint(dst, n, 10)
}

// A grid is a typed array of any number of dimensions, the last of which varies first.
type grid struct {
	dims     []int
	elements elements
}

// maxEmpty bounds the lists that an array without any elements is written as: its
// dimensions alone take next to nothing, and could claim billions of them.
const maxEmpty = 1 << 16

// readGrid reads the two parts of what tag 40 is around. It is not ok where these are
// not the dimensions and a typed array of as many elements.
func readGrid(r reader, outer item) (g grid, rest []byte, ok bool) {
	if !r.more(outer, 0) {
		return g, nil, false
	}
	dims := r.head()
	if dims.major != majorArray {
		return g, nil, false
	}
	product, lists := 1, 1
	for read := uint64(0); r.more(dims, read); read++ {
		i := r.head()
		if i.major != majorUint || i.n > math.MaxInt32 {
			return g, nil, false
		}
		g.dims = append(g.dims, int(i.n))
		product *= int(i.n)
		lists = max(lists, product)
		if lists > max(len(r.data), maxEmpty) {
			return g, nil, false
		}
	}
	if !r.more(outer, 1) {
		return g, nil, false
	}
	tag := r.head()
	if tag.major != majorTag || !isTypedArray(tag.n) {
		return g, nil, false
	}
	content := r.head()
	if content.major != majorBytes {
		return g, nil, false
	}
	g.elements, ok = typedArray(tag.n, r.str(content))
	return g, r.data, ok && g.elements.count() == product && !r.more(outer, 2)
}

func (g grid) list(dst []byte) []byte {
	dst, _ = g.append(dst, g.dims, 0)
	return dst
}

// append writes the elements from the one at index i on that fill dims, and returns
// the index of the next.
func (g grid) append(dst []byte, dims []int, i int) ([]byte, int) {
	if len(dims) == 0 {
		return g.elements.appendElement(dst, i), i + 1
	}
	dst = append(dst, '[')
	for n := range dims[0] {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst, i = g.append(dst, dims[1:], i)
	}
	return append(dst, ']'), i
}
