package procpool

import (
	"encoding/binary"
	"math"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

type cborCodec struct{}

func (cborCodec) Name() string { return "cbor" }

func (cborCodec) Append(dst []byte, v any) ([]byte, error) {
	b, err := cborEncoding.Marshal(v)
	if err != nil {
		return dst, err
	}
	if len(dst) == 0 && len(b) > cap(dst) {
		return b, nil
	}
	return append(dst, b...), nil
}

func (cborCodec) Decode(data []byte, v any) error { return cborDecoding.Unmarshal(data, v) }

var cborEncoding = must(cbor.EncOptions{
	// A Go float64 stays a float64 in every language, whatever its value.
	ShortestFloat: cbor.ShortestFloatNone,
	NaNConvert:    cbor.NaNConvertNone,
	InfConvert:    cbor.InfConvertNone,
	Time:          cbor.TimeRFC3339Nano,
	TimeTag:       cbor.EncTagRequired,
	IndefLength:   cbor.IndefLengthForbidden,
}.EncMode())

var cborDecoding = must(cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	MaxNestedLevels:  64,
	MaxArrayElements: 16 << 20,
	MaxMapPairs:      16 << 20,
	IndefLength:      cbor.IndefLengthForbidden,
	IntDec:           cbor.IntDecConvertSignedOrBigInt,
	DefaultMapType:   reflect.TypeFor[map[string]any](),
	UTF8:             cbor.UTF8DecodeInvalid, // a Go string, such as a file's name, may hold any bytes
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic("procpool: the codec's own options are invalid: " + err.Error())
	}
	return v
}

// The encodings of scalars are written here, since they are what tiny calls are
// made of and the way through reflection costs several times as much. The bytes
// are those of the library (a test compares them); what is not matched here goes
// to it.

const (
	majorUint  = 0 << 5
	majorNeg   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	cborFalse  = 0xf4
	cborTrue   = 0xf5
	cborFloat  = 0xfb
)

func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNeg, uint64(^n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

// appendScalar encodes v if it is of a basic type.
func appendScalar[T any](dst []byte, v T) ([]byte, bool) {
	switch v := any(v).(type) {
	case int:
		return appendInt(dst, int64(v)), true
	case int64:
		return appendInt(dst, v), true
	case int32:
		return appendInt(dst, int64(v)), true
	case uint64:
		return appendHead(dst, majorUint, v), true
	case uint32:
		return appendHead(dst, majorUint, uint64(v)), true
	case bool:
		if v {
			return append(dst, cborTrue), true
		}
		return append(dst, cborFalse), true
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, cborFloat), math.Float64bits(v)), true
	case string:
		return append(appendHead(dst, majorText, uint64(len(v))), v...), true
	case []byte:
		if v == nil {
			return dst, false
		}
		return append(appendHead(dst, majorBytes, uint64(len(v))), v...), true
	}
	return dst, false
}

// readHead reads a definite head; n is its argument and rest what follows.
func readHead(data []byte) (major byte, n uint64, rest []byte, ok bool) {
	if len(data) == 0 {
		return 0, 0, nil, false
	}
	major, info, rest := data[0]&0xe0, data[0]&0x1f, data[1:]
	if info < 24 {
		return major, uint64(info), rest, true
	}
	switch {
	case info == 24 && len(rest) >= 1:
		return major, uint64(rest[0]), rest[1:], true
	case info == 25 && len(rest) >= 2:
		return major, uint64(binary.BigEndian.Uint16(rest)), rest[2:], true
	case info == 26 && len(rest) >= 4:
		return major, uint64(binary.BigEndian.Uint32(rest)), rest[4:], true
	case info == 27 && len(rest) >= 8:
		return major, binary.BigEndian.Uint64(rest), rest[8:], true
	}
	return 0, 0, nil, false
}

func readInt(data []byte) (int64, bool) {
	major, n, rest, ok := readHead(data)
	if !ok || len(rest) != 0 || n > math.MaxInt64 {
		return 0, false
	}
	switch major {
	case majorUint:
		return int64(n), true
	case majorNeg:
		return ^int64(n), true
	}
	return 0, false
}

func readUint(data []byte) (uint64, bool) {
	major, n, rest, ok := readHead(data)
	return n, ok && major == majorUint && len(rest) == 0
}

// decodeScalar decodes data into v if v is of a basic type and data is its plain
// encoding; on any doubt it leaves the work, and the error, to the library.
func decodeScalar[T any](data []byte, v *T) bool {
	switch v := any(v).(type) {
	case *int:
		n, ok := readInt(data)
		if !ok || int64(int(n)) != n {
			return false
		}
		*v = int(n)
		return true
	case *int64:
		n, ok := readInt(data)
		if ok {
			*v = n
		}
		return ok
	case *int32:
		n, ok := readInt(data)
		if !ok || int64(int32(n)) != n {
			return false
		}
		*v = int32(n)
		return true
	case *uint64:
		n, ok := readUint(data)
		if ok {
			*v = n
		}
		return ok
	case *uint32:
		n, ok := readUint(data)
		if !ok || n > math.MaxUint32 {
			return false
		}
		*v = uint32(n)
		return true
	case *bool:
		if len(data) != 1 || data[0] != cborTrue && data[0] != cborFalse {
			return false
		}
		*v = data[0] == cborTrue
		return true
	case *float64:
		if len(data) != 9 || data[0] != cborFloat {
			return false
		}
		*v = math.Float64frombits(binary.BigEndian.Uint64(data[1:]))
		return true
	case *string:
		major, n, rest, ok := readHead(data)
		if !ok || major != majorText || n != uint64(len(rest)) {
			return false
		}
		*v = string(rest)
		return true
	case *[]byte:
		major, n, rest, ok := readHead(data)
		if !ok || major != majorBytes || n != uint64(len(rest)) {
			return false
		}
		*v = append(make([]byte, 0, len(rest)), rest...)
		return true
	}
	return false
}
