package jsoncbor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// MaxDepth is how deep values may be nested, in either direction. It is what procpool's
// own codec takes.
const MaxDepth = 64

// The major types of CBOR, in the upper three bits of an item's first byte.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7
)

const (
	tagPositiveBig = 2
	tagNegativeBig = 3

	simpleFalse     = 20
	simpleTrue      = 21
	simpleNull      = 22
	simpleUndefined = 23
	float16Bits     = 25
	float32Bits     = 26
	float64Bits     = 27
)

// FromJSON appends the CBOR of one JSON value to dst. A number without a fraction and
// without an exponent becomes an integer of whatever size, any other a float of 64
// bits. The error says what is wrong with the text; dst is returned as it was then.
func FromJSON(dst, text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	out, err := encodeValue(dec, dst, 0)
	if err != nil {
		return dst, err
	}
	switch _, err := dec.Token(); {
	case errors.Is(err, io.EOF):
		return out, nil
	case err != nil:
		return dst, err
	}
	return dst, errors.New("there is more behind the first value")
}

func encodeValue(dec *json.Decoder, dst []byte, depth int) ([]byte, error) {
	token, err := next(dec)
	if err != nil {
		return dst, err
	}
	switch token := token.(type) {
	case nil:
		return appendSimple(dst, simpleNull), nil
	case bool:
		if token {
			return appendSimple(dst, simpleTrue), nil
		}
		return appendSimple(dst, simpleFalse), nil
	case json.Number:
		return encodeNumber(dst, token.String())
	case string:
		return appendText(dst, token), nil
	case json.Delim:
		if depth == MaxDepth {
			return dst, fmt.Errorf("it is nested deeper than %d", MaxDepth)
		}
		if token == '[' {
			return encodeArray(dec, dst, depth+1)
		}
		return encodeObject(dec, dst, depth+1)
	}
	return dst, fmt.Errorf("unexpected %v", token)
}

func encodeArray(dec *json.Decoder, dst []byte, depth int) ([]byte, error) {
	var items []byte
	count := uint64(0)
	for ; dec.More(); count++ {
		var err error
		if items, err = encodeValue(dec, items, depth); err != nil {
			return dst, err
		}
	}
	_, err := next(dec) // the bracket
	return append(appendHead(dst, majorArray, count), items...), err
}

func encodeObject(dec *json.Decoder, dst []byte, depth int) ([]byte, error) {
	var items []byte
	seen := map[string]bool{}
	for dec.More() {
		token, err := next(dec)
		if err != nil {
			return dst, err
		}
		key, ok := token.(string)
		if !ok {
			return dst, fmt.Errorf("unexpected %v where a key should be", token)
		}
		if seen[key] {
			return dst, fmt.Errorf("an object has the key %q twice", key)
		}
		seen[key] = true
		if items, err = encodeValue(dec, appendText(items, key), depth); err != nil {
			return dst, err
		}
	}
	_, err := next(dec) // the brace
	return append(appendHead(dst, majorMap, uint64(len(seen))), items...), err
}

func next(dec *json.Decoder) (json.Token, error) {
	token, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return token, err
}

func encodeNumber(dst []byte, text string) ([]byte, error) {
	if strings.ContainsAny(text, ".eE") || text == "-0" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return dst, fmt.Errorf("the number %s is too large for a float of 64 bits", text)
		}
		return binary.BigEndian.AppendUint64(append(dst, majorOther<<5|float64Bits), math.Float64bits(f)), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return appendHead(dst, majorNeg, uint64(^n)), nil
		}
		return appendHead(dst, majorUint, uint64(n)), nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return dst, fmt.Errorf("%q is no number", text)
	}
	return appendBig(dst, n), nil
}

// appendBig appends an integer beyond 64 bits, or of just 64.
func appendBig(dst []byte, n *big.Int) []byte {
	major, tag := byte(majorUint), uint64(tagPositiveBig)
	if n.Sign() < 0 {
		major, tag = majorNeg, tagNegativeBig
		n = new(big.Int).Not(n) // CBOR writes a negative n as -1-n
	}
	if n.IsUint64() {
		return appendHead(dst, major, n.Uint64())
	}
	digits := n.Bytes()
	dst = appendHead(appendHead(dst, majorTag, tag), majorBytes, uint64(len(digits)))
	return append(dst, digits...)
}

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

func appendSimple(dst []byte, value byte) []byte { return append(dst, majorOther<<5|value) }

// appendHead appends the shortest head of an item.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
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
