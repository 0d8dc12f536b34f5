package procpool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// A Codec turns values into bytes and back. Its name travels with each call, so
// that both sides agree. Implementations must be safe for concurrent use; a
// panic in one fails the call with a [*CodecError].
type Codec interface {
	// Name is the codec's name on the wire.
	Name() string
	// Append appends the encoding of v to dst and returns the result.
	Append(dst []byte, v any) ([]byte, error)
	// Decode decodes data into v, a non-nil pointer. What it stores in v must
	// not refer to data.
	Decode(data []byte, v any) error
}

// The codecs that this package brings. The protobuf codec is in package
// protocodec.
var (
	// CBOR is the default: compact, typed, known in every language (RFC 8949).
	// Nesting deeper than 64 and more than 16 million elements in one
	// array or map are refused, and so are duplicate map keys. Times are
	// written by RFC 3339, which ends with the year 9999. A string
	// comes back as it was even if it is not UTF-8, but workers in other
	// languages may refuse it.
	CBOR Codec = cborCodec{}
	// JSON is for people, curl and tools.
	JSON Codec = jsonCodec{}
	// Raw passes []byte as it is. The argument is copied by Submit. The
	// result is not: all who ask one future for it share the same slice.
	Raw Codec = rawCodec{}
)

type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func (jsonCodec) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Append(dst []byte, v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return dst, fmt.Errorf("codec raw takes []byte, not %T", v)
	}
	return append(dst, b...), nil
}

func (rawCodec) Decode(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("codec raw yields []byte, not %T", v)
	}
	*p = bytes.Clone(data)
	return nil
}

// encode appends the argument's encoding to dst.
func encode[T any](s *spec, dst []byte, v T) ([]byte, error) {
	return appendValue(s, "encode the argument", dst, v)
}

// encodeResult appends the result's encoding to dst.
func encodeResult[T any](s *spec, dst []byte, v T) ([]byte, error) {
	return appendValue(s, "encode the result", dst, v)
}

func appendValue[T any](s *spec, op string, dst []byte, v T) ([]byte, error) {
	switch s.codec.(type) {
	case cborCodec:
		if out, ok := appendScalar(dst, v); ok {
			return out, nil
		}
	case rawCodec:
		if b, ok := any(v).([]byte); ok {
			return append(dst, b...), nil
		}
	}
	return appendSlow(s, op, dst, v)
}

func appendSlow(s *spec, op string, dst []byte, v any) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = dst, &CodecError{Task: s.name, Codec: s.codecName, Op: op, Err: fmt.Errorf("encoding %T panicked: %s", v, panicText(p))}
		}
	}()
	out, err = s.codec.Append(dst, v)
	if err != nil {
		return dst, &CodecError{Task: s.name, Codec: s.codecName, Op: op, Err: err}
	}
	return out, nil
}

func decode[T any](s *spec, op string, data []byte) (T, error) {
	var v T
	if _, ok := s.codec.(cborCodec); ok && decodeScalar(data, &v) {
		return v, nil
	}
	return decodeSlow[T](s, op, data)
}

func decodeSlow[T any](s *spec, op string, data []byte) (result T, err error) {
	v := new(T)
	defer func() {
		if p := recover(); p != nil {
			err = &CodecError{Task: s.name, Codec: s.codecName, Op: op, Err: fmt.Errorf("decoding %s panicked: %s", reflect.TypeFor[T](), panicText(p))}
		}
	}()
	if err := s.codec.Decode(data, v); err != nil {
		return result, &CodecError{Task: s.name, Codec: s.codecName, Op: op, Err: err}
	}
	return *v, nil
}

// decodeReply decodes a result. Raw results are handed over, not copied: a reply
// belongs to its future alone.
func decodeReply[T any](s *spec, data []byte) (T, error) {
	if _, ok := s.codec.(rawCodec); ok {
		var v T
		if p, ok := any(&v).(*[]byte); ok {
			*p = slices.Clip(data) // appending to it must not write into another's reply
			return v, nil
		}
	}
	return decode[T](s, "decode the result", data)
}
