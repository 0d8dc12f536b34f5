package jsoncbor_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/cmd/procpool/internal/jsoncbor"
)

// What a worker's codec makes of JSON that a person typed.
func TestFromJSONIsWhatAWorkerReads(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for text, want := range map[string]any{
		`null`: nil, `true`: true, `false`: false,
		`0`: int64(0), `23`: int64(23), `24`: int64(24), `-1`: int64(-1), `-500`: int64(-500), `65536`: int64(65536),
		`9223372036854775807`:             int64(math.MaxInt64),
		`-9223372036854775808`:            int64(math.MinInt64),
		`123456789012345678901234567890`:  *huge,
		`-123456789012345678901234567890`: *new(big.Int).Neg(huge),
		`1.0`:                             1.0, `1e3`: 1000.0, `-2.5E-3`: -0.0025, `-0`: math.Copysign(0, -1),
		`""`: "", `"grüße \u00e9 \ud83d\ude00"`: "grüße é 😀",
		`[]`: []any{}, ` [1, [2.0, "x"], {}] `: []any{int64(1), []any{2.0, "x"}, map[string]any{}},
		`{"a":1,"b":{"c":[null]}}`: map[string]any{"a": int64(1), "b": map[string]any{"c": []any{nil}}},
	} {
		data, err := jsoncbor.FromJSON([]byte("before"), []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got any
		if err := procpool.CBOR.Decode(bytes.TrimPrefix(data, []byte("before")), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %#v, want %#v, %v", text, got, want, err)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "unexpected EOF", `[1`: "unexpected EOF", `{"a"`: "unexpected EOF", `{"a":}`: "invalid character '}'",
		`hello`: "invalid character 'h'", `[1,]`: "invalid character ']'", `1 2`: "more behind the first value", `1 x`: "invalid character 'x'",
		`{"a":1,"a":2}`: `the key "a" twice`, `{1:2}`: "invalid character '1'", `1e999`: "1e999 is too large",
		strings.Repeat("[", 65) + strings.Repeat("]", 65): "nested deeper than 64",
	} {
		if data, err := jsoncbor.FromJSON([]byte("kept"), []byte(text)); err == nil || !strings.Contains(err.Error(), want) || string(data) != "kept" {
			t.Errorf("%s: %q, %v, want %q", text, data, err, want)
		}
	}
	deepest := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	data, err := jsoncbor.FromJSON(nil, []byte(deepest))
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := procpool.CBOR.Decode(data, &got); err != nil {
		t.Errorf("what is nested as deep as it may be, a worker can't read: %v", err)
	}
}

// What is printed of a result that a worker wrote with the library's codec.
func TestToJSONOfValues(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{true, `true`},
		{math.MinInt64, `-9223372036854775808`},
		{uint64(math.MaxUint64), `18446744073709551615`},
		{huge, `123456789012345678901234567890`},
		{new(big.Int).Neg(huge), `-123456789012345678901234567890`},
		{1.0, `1.0`},
		{0.1, `0.1`},
		{float32(0.1), `0.1`},
		{1e300, `1e+300`},
		{1e-7, `1e-07`},
		{123456789.0, `123456789.0`},
		{math.Copysign(0, -1), `-0.0`},
		{math.NaN(), `"NaN"`},
		{[]float64{math.Inf(1), math.Inf(-1)}, `["Infinity","-Infinity"]`},
		{"a \"quoted\" <line>\n", `"a \"quoted\" <line>\n"`},
		{"grüße", `"grüße"`},
		{"not \xff UTF-8", `"not \ufffd UTF-8"`},
		{[]byte{0xff, 0, 1}, `"/wAB"`},
		{[]any{1, "x", []int{}}, `[1,"x",[]]`},
		{map[int]bool{-7: true}, `{"-7":true}`},
		{map[bool]int{true: 1}, `{"true":1}`},
		{map[[2]string]int{{"a", `"`}: 1}, `{"[\"a\",\"\\\"\"]":1}`},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), `"2026-01-02T03:04:05Z"`},
		{struct{ Second, First int }{2, 1}, `{"Second":2,"First":1}`},
	} {
		data, err := procpool.CBOR.Append(nil, test.value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsoncbor.ToJSON([]byte("> "), data); string(got) != "> "+test.want || err != nil {
			t.Errorf("%v is written as %s, %v; want %s", test.value, got, err, test.want)
		}
	}
}

// What other encoders write, byte by byte.
func TestToJSONOfBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ data, want string }{
		{"9f 01 02 ff", `[1,2]`},
		{"bf 61 61 9f ff ff", `{"a":[]}`},
		{"7f 62 61 62 61 63 ff", `"abc"`},
		{"5f 41 ff 41 00 ff", `"/wA="`},
		{"3b ffffffffffffffff", `-18446744073709551616`},
		{"f7", `null`}, // undefined
		{"f0", `null`},
		{"f8 ff", `null`},
		{"f9 3c00", `1.0`},
		{"f9 c400", `-4.0`},
		{"f9 0001", `5.9604645e-08`},
		{"f9 7c00", `"Infinity"`},
		{"f9 7e00", `"NaN"`},
		{"c1 1a 514b67b0", `1363896240`}, // a time in seconds
		{"c4 82 21 19 6ab3", `[-2,27315]`},
		{"d8 25 41 07", `"Bw=="`},
		// Typed arrays, as numpy's travel.
		{"d8 40 43 01ff00", `[1,255,0]`},
		{"d8 44 41 ff", `[255]`},
		{"d8 48 42 01ff", `[1,-1]`},
		{"d8 41 44 0100 ffff", `[256,65535]`},
		{"d8 4d 44 0100 ffff", `[1,-1]`},
		{"d8 4e 44 00000080", `[-2147483648]`},
		{"d8 47 48 0100000000000080", `[9223372036854775809]`},
		{"d8 4f 48 ffffffffffffffff", `[-1]`},
		{"d8 54 42 003c", `[1.0]`},
		{"d8 55 48 cdcccc3d 0000c07f", `[0.1,"NaN"]`},
		{"d8 56 48 9a9999999999b93f", `[0.1]`},
		{"d8 52 48 3fb999999999999a", `[0.1]`},
		{"d8 56 40", `[]`},
		{"d8 56 43 010203", `"AQID"`}, // not whole
		{"d8 57 50 00000000000000000000000000000000", `"AAAAAAAAAAAAAAAAAAAAAA=="`},
		{"d8 4c 41 01", `"AQ=="`},
		{"d8 28 82 82 02 03 d8 40 46 010203040506", `[[1,2,3],[4,5,6]]`},
		{"d8 28 82 80 d8 40 41 07", `7`},
		{"d8 28 82 82 02 00 d8 40 40", `[[],[]]`},
		{"d8 28 82 82 00 02 d8 40 40", `[]`},
		{"d8 28 82 82 02 02 d8 40 43 010203", `[[2,2],[1,2,3]]`},       // too few
		{"d8 28 82 82 02 01 82 07 08", `[[2,1],[7,8]]`},                // no typed array
		{"d8 28 83 81 01 d8 40 41 07 00", `[[1],[7],0]`},               // one part too many
		{"d8 28 82 82 1a 7fffffff 00 d8 40 40", `[[2147483647,0],[]]`}, // two thousand million empty lists
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(test.data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsoncbor.ToJSON(nil, data); string(got) != test.want || err != nil {
			t.Errorf("%s is written as %s, %v; want %s", test.data, got, err, test.want)
		}
	}
	for _, broken := range []string{"", "81", "ff", "1c", "0000", "9f", "61"} {
		data, err := hex.DecodeString(broken)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsoncbor.ToJSON([]byte("kept"), data); err == nil || string(got) != "kept" {
			t.Errorf("%s is written as %s, %v", broken, got, err)
		}
	}
}

// JSON comes back as it was, but for white space and the ways to write a text.
func FuzzJSONComesBack(f *testing.F) {
	for _, seed := range []string{`[1,-2.5,"é\n",{"b":null,"a":[true,1e300]}]`, `12345678901234567890123`, `-0.0`, `{"":0}`, `[1,]`, `1 2`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := jsoncbor.FromJSON(nil, text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON and was taken", text)
		}
		back, err := jsoncbor.ToJSON(nil, data)
		if err != nil {
			t.Fatalf("%q became %x, which is refused: %v", text, data, err)
		}
		var want, got any
		if json.Unmarshal(text, &want) != nil {
			return // an integer that is too large for a float, which is all that Go makes of numbers
		}
		if err := json.Unmarshal(back, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
		again, err := jsoncbor.FromJSON(nil, back)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q is %x the first time and %x the second, %v", text, data, again, err)
		}
	})
}

// Whatever a worker sends, what is printed is JSON in one line.
func FuzzToJSONIsJSON(f *testing.F) {
	for _, seed := range []string{"9f0102ff", "a2016161f59f", "d82882820203d84046010203040506", "d85648ffffffffffffffff", "c249010000000000000000", "7f6261ff61c0ff"} {
		data, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := jsoncbor.ToJSON(nil, data)
		if err != nil && cbor.Wellformed(data) == nil {
			t.Fatalf("%x is CBOR and refused: %v", data, err)
		}
		if err == nil && (!json.Valid(text) || bytes.ContainsRune(text, '\n')) {
			t.Fatalf("%x is written as %q", data, text)
		}
	})
}
