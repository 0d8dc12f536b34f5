package jsoncbor

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// wellFormed looks at data before it is read, so that what reads it need not.
var wellFormed = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxNestedLevels: MaxDepth, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32,
	}.DecMode()
	if err != nil {
		panic("procpool: the options of the CBOR reader are invalid: " + err.Error())
	}
	return mode
}()

// ToJSON appends the JSON of one CBOR value to dst, in one line. The error says why
// data is no CBOR; dst is returned as it was then.
func ToJSON(dst, data []byte) ([]byte, error) {
	if err := wellFormed.Wellformed(data); err != nil {
		return dst, fmt.Errorf("it is no CBOR: %w", err)
	}
	r := reader{data}
	return r.value(dst), nil
}

// reader reads well-formed CBOR from its front.
type reader struct{ data []byte }

// An item is the head of a value: its major type, the lower five bits of the first
// byte, and the number that these and what follows come to. A value whose length is
// not said before but by a mark at its end is indefinite.
type item struct {
	major, info byte
	n           uint64
}

const infoIndefinite = 31

func (i item) indefinite() bool { return i.info == infoIndefinite }

func (r *reader) head() item {
	first := r.data[0]
	r.data = r.data[1:]
	i := item{major: first >> 5, info: first & 0x1f}
	switch {
	case i.info < 24:
		i.n = uint64(i.info)
	case i.info <= 27:
		size := 1 << (i.info - 24)
		var wide [8]byte
		copy(wide[8-size:], r.take(uint64(size)))
		i.n = binary.BigEndian.Uint64(wide[:])
	}
	return i
}

func (r *reader) take(n uint64) []byte {
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

// more reports whether a value of count parts, or of an unknown number of them, has
// one behind those that were read.
func (r *reader) more(i item, read uint64) bool {
	if !i.indefinite() {
		return read < i.n
	}
	if r.data[0] == 0xff {
		r.data = r.data[1:]
		return false
	}
	return true
}

func (r *reader) value(dst []byte) []byte {
	switch i := r.head(); i.major {
	case majorUint:
		return strconv.AppendUint(dst, i.n, 10)
	case majorNeg:
		return appendNegative(dst, new(big.Int).SetUint64(i.n))
	case majorBytes:
		return appendBytes(dst, r.str(i))
	case majorText:
		return appendString(dst, r.str(i))
	case majorArray:
		return r.array(dst, i)
	case majorMap:
		return r.object(dst, i)
	case majorTag:
		return r.tagged(dst, i.n)
	default:
		return appendOther(dst, i)
	}
}

// str returns what a byte string or a text holds.
func (r *reader) str(i item) []byte {
	if !i.indefinite() {
		return r.take(i.n)
	}
	var whole []byte
	for r.more(i, 0) {
		whole = append(whole, r.take(r.head().n)...)
	}
	return whole
}

func (r *reader) array(dst []byte, i item) []byte {
	dst = append(dst, '[')
	for read := uint64(0); r.more(i, read); read++ {
		if read > 0 {
			dst = append(dst, ',')
		}
		dst = r.value(dst)
	}
	return append(dst, ']')
}

func (r *reader) object(dst []byte, i item) []byte {
	dst = append(dst, '{')
	for read := uint64(0); r.more(i, read); read++ {
		if read > 0 {
			dst = append(dst, ',')
		}
		dst = append(r.key(dst), ':')
		dst = r.value(dst)
	}
	return append(dst, '}')
}

// key writes the key of a map, which JSON wants to be a text.
func (r *reader) key(dst []byte) []byte {
	start := len(dst)
	dst = r.value(dst)
	if dst[start] == '"' {
		return dst
	}
	text := bytes.Clone(dst[start:])
	return appendString(dst[:start], text)
}

func (r *reader) tagged(dst []byte, tag uint64) []byte {
	inner := reader{r.data}
	i := inner.head()
	switch {
	case i.major == majorBytes && (tag == tagPositiveBig || tag == tagNegativeBig):
		r.data = inner.data
		n := new(big.Int).SetBytes(r.str(i))
		if tag == tagNegativeBig {
			return appendNegative(dst, n)
		}
		return n.Append(dst, 10)
	case i.major == majorBytes && isTypedArray(tag):
		r.data = inner.data
		raw := r.str(i)
		if elements, ok := typedArray(tag, raw); ok {
			return elements.list(dst)
		}
		return appendBytes(dst, raw)
	case i.major == majorArray && tag == tagRowMajor:
		if grid, rest, ok := readGrid(inner, i); ok {
			r.data = rest
			return grid.list(dst)
		}
	}
	return r.value(dst)
}

// appendNegative writes -1-n.
func appendNegative(dst []byte, n *big.Int) []byte { return n.Not(n).Append(dst, 10) }

func appendOther(dst []byte, i item) []byte {
	switch i.info {
	case simpleFalse:
		return append(dst, "false"...)
	case simpleTrue:
		return append(dst, "true"...)
	case float16Bits:
		return appendFloat(dst, halfFloat(uint16(i.n)), 32)
	case float32Bits:
		return appendFloat(dst, float64(math.Float32frombits(uint32(i.n))), 32)
	case float64Bits:
		return appendFloat(dst, math.Float64frombits(i.n), 64)
	}
	return append(dst, "null"...) // null, undefined, and values that nobody has given a meaning
}

// appendFloat writes a number that reads as a float again, in the fewest digits that
// tell it from the others of its size.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

// halfFloat reads a float of 16 bits, which is five of exponent and ten of fraction.
func halfFloat(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 0x1f:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if bits>>15 == 1 {
		f = -f
	}
	return f
}

func appendBytes(dst, raw []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}

// appendString writes a text. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst, text []byte) []byte {
	plain := func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
	if bytes.IndexFunc(text, plain) < 0 {
		return append(append(append(dst, '"'), text...), '"')
	}
	var quoted strings.Builder
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(text)); err != nil {
		return append(dst, `""`...) // can't be: texts have an encoding, and the builder takes it
	}
	return append(dst, strings.TrimSuffix(quoted.String(), "\n")...)
}
