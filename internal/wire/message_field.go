package wire

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Messages that need not be fast are read field by field with readField, and written
// with the append functions here.

// field is one field of a message.
type field struct {
	tag    uint64
	number uint64 // of a varint
	body   []byte // of bytes; aliases the message
}

// readField reads the next field of a message, and returns what lies behind it. Of
// one that is neither a varint nor bytes it returns the tag alone.
func readField(data []byte) (f field, rest []byte, err error) {
	tag, n := consumeVarint(data)
	if n < 0 {
		return f, nil, errTruncated
	}
	data = data[n:]
	f.tag = tag
	switch {
	case checkTag(tag) != nil:
		return f, nil, checkTag(tag)
	case protowire.Type(tag&7) == protowire.VarintType:
		f.number, n = consumeVarint(data)
	case protowire.Type(tag&7) == protowire.BytesType:
		f.body, n = consumeBytes(data)
	default:
		n, err = skipField(tag, data)
	}
	if err == nil && n < 0 {
		err = errTruncated
	}
	if err != nil {
		return f, nil, err
	}
	return f, data[n:], nil
}

// text returns the field's text, cut and valid.
func (f *field) text() string {
	return cutText(string(f.body[:min(len(f.body), maxFailureText+utf8.UTFMax)]))
}

// name returns the field's text, valid and of whatever length.
func (f *field) name() string { return validText(f.body) }

// validText returns text as protobuf demands it.
func validText(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// count returns the field's number as one that is not negative.
func (f *field) count() int { return int(min(f.number, math.MaxInt32)) }

// span returns the field's number as a duration that time can be added to.
func (f *field) span() time.Duration { return min(nanos(f.number), maxSpan) }

// maxSpan is the longest time that is taken from another process: with it no
// moment lies beyond what can be told in nanoseconds since 1970.
const maxSpan = 100 * 365 * 24 * time.Hour

// appendNumber appends a varint field unless it is zero.
func appendNumber(dst []byte, tag, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendVarint(dst, tag), v)
}

// appendFlag appends a bool field unless it is false.
func appendFlag(dst []byte, tag uint64, v bool) []byte {
	return appendNumber(dst, tag, protowire.EncodeBool(v))
}

// appendText appends a string field, cut and valid, unless it is empty.
func appendText(dst []byte, tag uint64, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendVarint(dst, tag), cutText(s))
}

// appendName appends a string field as it is, unless it is empty.
func appendName(dst []byte, tag uint64, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendVarint(dst, tag), s)
}

// appendEntry appends an entry of a map of strings.
func appendEntry(dst []byte, tag byte, key, value string) []byte {
	dst = append(dst, tag, 0)
	at := len(dst) - 1
	dst = append(dst, tagEntryKey)
	dst = protowire.AppendString(dst, key)
	dst = append(dst, tagEntryValue)
	dst = protowire.AppendString(dst, value)
	return closeLength(dst, at, 0)
}

// parseEntry decodes an entry of a map of strings; both alias data.
func parseEntry(data []byte) (key, value []byte, err error) {
	for len(data) > 0 {
		f, rest, err := readField(data)
		if err != nil {
			return nil, nil, err
		}
		data = rest
		switch f.tag {
		case tagEntryKey:
			key = f.body
		case tagEntryValue:
			value = f.body
		}
	}
	return key, value, nil
}
