package procpool_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/big"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func TestCBORKeepsGoValues(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name string
		Raw  []byte
	}
	type outer struct {
		inner
		ID       uint64
		Ratio    float32
		At       time.Time
		Took     time.Duration
		Next     *outer
		Tags     map[string]int
		Matrix   [][]float64
		Optional *string
		Renamed  int `cbor:"r,omitempty"`
		JSONName int `json:"j"`
	}
	text := "x"
	v := outer{
		inner: inner{Name: "n\x00ü", Raw: []byte{0, 255}}, ID: 1<<64 - 1, Ratio: 0.1,
		At: time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC), Took: time.Hour,
		Next: &outer{ID: 1, At: time.Unix(0, 0).UTC()}, Tags: map[string]int{"a": -1, "": 0},
		Matrix: [][]float64{{1, 0.5}, {}, nil}, Optional: &text, JSONName: 3,
	}
	_, back := throughCall(t, v)
	if !reflect.DeepEqual(back, v) {
		t.Errorf("got  %+v\nwant %+v", back, v)
	}
}

// What a value of no particular type comes back as.
func TestCBORYieldsPlainTypesForAny(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("18446744073709551615", 10)
	for _, c := range []struct{ in, want any }{
		{7, int64(7)},
		{-7, int64(-7)},
		{uint64(1<<64 - 1), *huge},
		{float32(0.5), 0.5},
		{"s", "s"},
		{[]byte("b"), []byte("b")},
		{[]int{1, 2}, []any{int64(1), int64(2)}},
		{map[string]int{"a": 1}, map[string]any{"a": int64(1)}},
		{struct{ A bool }{true}, map[string]any{"A": true}},
		{time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)},
		{nil, nil},
	} {
		if _, got := throughCall(t, c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%#v came back as %#v, want %#v", c.in, got, c.want)
		}
	}
}

func TestCBORReadsWhatOthersWrite(t *testing.T) {
	t.Parallel()
	for encoding, want := range map[string]any{ // from RFC 8949, appendix A
		"1bffffffffffffffff": uint64(1<<64 - 1),
		"3863":               -100,
		"f97bff":             65504.0,
		"fa47c35000":         100000.0,
		"f90001":             5.960464477539063e-08,
		"c074323031332d30332d32315432303a30343a30305a": time.Date(2013, 3, 21, 20, 4, 0, 0, time.UTC),
		"c11a514b67b0":       time.Unix(1363896240, 0),
		"6449455446":         "IETF",
		"62c3bc":             "ü",
		"83010203":           []int{1, 2, 3},
		"a26161016162820203": map[string]any{"a": int64(1), "b": []any{int64(2), int64(3)}},
		"a56161614161626142616361436164614461656145": map[string]string{"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
	} {
		data, err := hex.DecodeString(encoding)
		if err != nil {
			t.Fatal(err)
		}
		p := reflect.New(reflect.TypeOf(want))
		if err := procpool.CBOR.Decode(data, p.Interface()); err != nil {
			t.Errorf("%s: %v", encoding, err)
			continue
		}
		if got, ok := reflect.TypeAssert[time.Time](p.Elem()); ok {
			if !got.Equal(want.(time.Time)) { //nolint:errcheck // got's type is want's
				t.Errorf("%s = %v, want %v", encoding, got, want)
			}
		} else if !reflect.DeepEqual(p.Elem().Interface(), want) {
			t.Errorf("%s = %#v, want %#v", encoding, p.Elem(), want)
		}
	}
}

func TestCBORRefusesWhatIsBad(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":                    "",
		"trailing bytes":             "\x01\x01",
		"65 levels of arrays":        strings.Repeat("\x81", 65) + "\x01",
		"endless levels":             strings.Repeat("\x81", 1<<20),
		"duplicate keys":             "\xa2\x61a\x01\x61a\x02",
		"indefinite array":           "\x9f\x01\xff",
		"indefinite string":          "\x7f\x61a\xff",
		"array of 2^32-1 elements":   "\x9a\xff\xff\xff\xff\x01",
		"array of 2^64-1 elements":   "\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"map of 2^32-1 pairs":        "\xba\xff\xff\xff\xff\x61a\x01",
		"bytes, 2^63 long":           "\x5b\x80\x00\x00\x00\x00\x00\x00\x00a",
		"string, 4 GB long":          "\x7a\xff\xff\xff\xffa",
		"string, one byte too short": "\x63ab",
		"reserved head":              "\x1c",
		"lone break":                 "\xff",
		"tag without content":        "\xc1",
		"half a float":               "\xfb\x00\x00\x00",
	} {
		var (
			v any
			s string
			b []byte
			m map[string]int
			l []int
			k struct{ A int }
		)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, p := range []any{&v, &s, &b, &m, &l, &k} {
			if err := procpool.CBOR.Decode([]byte(data), p); err == nil {
				t.Errorf("%s: decoded to %T", name, p)
			}
		}
		readAsLibrary[string](t, []byte(data))
		readAsLibrary[[]byte](t, []byte(data))
		runtime.ReadMemStats(&after)
		// Not what the data claims. Other tests run at the same time.
		if grown := after.HeapSys - before.HeapSys; int64(grown) > 1<<30 {
			t.Errorf("%s: took %d bytes", name, grown)
		}
	}
	deep := []byte(strings.Repeat("\x81", 64) + "\x01")
	if err := procpool.CBOR.Decode(deep, new(any)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

func TestCBORRefusesTooManyElements(t *testing.T) {
	t.Parallel()
	const most = 16 << 20
	for n, ok := range map[int]bool{most / 64: true, most + 1: false} {
		data := append([]byte{0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)
		var into []int8
		if err := procpool.CBOR.Decode(data, &into); (err == nil) != ok {
			t.Errorf("%d elements: %v", n, err)
		}
	}
}

// Every beginning of an encoding is refused, not half read.
func TestCBORRefusesTruncatedData(t *testing.T) {
	t.Parallel()
	type record struct {
		Name string
		List []float64
		Sub  map[string][]byte
	}
	whole, err := procpool.CBOR.Append(nil, record{"name", []float64{1, 2}, map[string][]byte{"k": {1, 2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		var r record
		if err := procpool.CBOR.Decode(whole[:n], &r); err == nil {
			t.Errorf("%d of %d bytes were decoded to %+v", n, len(whole), r)
		}
	}
}

func FuzzCBOR(f *testing.F) {
	for _, seed := range []any{1, "text", []any{1, "a", nil}, map[string]any{"k": []byte{1}}, time.Unix(0, 0), struct{ A, B int }{1, 2}} {
		data, err := procpool.CBOR.Append(nil, seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xc1, 0xfa, 0x58, 0x30, 0x30, 0x30}) // a time in the year 24557067
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if procpool.CBOR.Decode(data, &v) != nil {
			return
		}
		// What was read can be written and read again, but for times that RFC 3339,
		// in which times are written, has no year for.
		again, err := procpool.CBOR.Append(nil, v)
		if err != nil && strings.Contains(err.Error(), "time.Time year outside of range") {
			return
		}
		if err != nil {
			t.Fatalf("%x was read as %#v, which can't be written: %v", data, v, err)
		}
		var w any
		if err := procpool.CBOR.Decode(again, &w); err != nil {
			t.Fatalf("%x was read as %#v, and that written as %x: %v", data, v, again, err)
		}
	})
}

func TestJSONCodec(t *testing.T) {
	t.Parallel()
	b, err := procpool.JSON.Append([]byte("before "), map[string]any{"html": "<&>", "n": 1})
	if err != nil || string(b) != `before {"html":"<&>","n":1}` {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := procpool.JSON.Append([]byte("before"), func() {}); err == nil || string(b) != "before" {
		t.Errorf("a function: %q, %v", b, err)
	}
	var v map[string]int
	for _, bad := range []string{"", "{", `{"a":1} {"b":2}`, `{"a":"x"}`, "nope"} {
		if err := procpool.JSON.Decode([]byte(bad), &v); err == nil {
			t.Errorf("%q was decoded to %v", bad, v)
		}
	}
	task := procpool.Define("count", func(_ context.Context, m map[string]int) (int, error) { return len(m), nil }, procpool.WithCodec(procpool.JSON))
	if got, err := task.Call(t.Context(), procpooltest.Inline(task), map[string]int{"a": 1}); got != 1 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

func TestRawCodec(t *testing.T) {
	t.Parallel()
	echo := procpool.Define("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw))
	ex := procpooltest.Inline(echo)
	for _, in := range [][]byte{nil, {}, {0}, bytes.Repeat([]byte{0xff}, 1<<20)} {
		if got, err := echo.Call(t.Context(), ex, in); err != nil || !bytes.Equal(got, in) {
			t.Errorf("%d bytes came back as %d, %v", len(in), len(got), err)
		}
	}
	var ce *procpool.CodecError
	text := procpool.Remote[string, []byte]("echo", procpool.WithCodec(procpool.Raw))
	if _, err := text.Call(t.Context(), ex, "x"); !errors.As(err, &ce) || ce.Op != "encode the argument" || !strings.Contains(err.Error(), "takes []byte, not string") {
		t.Errorf("a string: %v", err)
	}
	number := procpool.Remote[[]byte, int]("echo", procpool.WithCodec(procpool.Raw))
	if _, err := number.Call(t.Context(), ex, []byte("x")); !errors.As(err, &ce) || ce.Op != "decode the result" {
		t.Errorf("to a number: %v", err)
	}
}

// A worker reuses the memory of an argument.
func TestCodecsCopyWhatTheyDecode(t *testing.T) {
	t.Parallel()
	type box struct{ Data []byte }
	var (
		bare  []byte
		boxed box
	)
	keep := procpool.Define("keep", func(_ context.Context, b []byte) (int, error) { bare = b; return 0, nil })
	keepBox := procpool.Define("keep_box", func(_ context.Context, b box) (int, error) { boxed = b; return 0, nil })
	run := func(task procpool.Task, c procpool.Codec, v any) {
		in, err := c.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		_, err = task.Run(t.Context(), c.Name(), in, nil)
		clear(in)
		// A number is no result for raw, but by then the argument was kept.
		if ce, ok := errors.AsType[*procpool.CodecError](err); err != nil && (!ok || ce.Op != "encode the result") {
			t.Fatal(err)
		}
	}
	for _, c := range []procpool.Codec{procpool.CBOR, procpool.JSON, procpool.Raw} {
		if run(keep, c, []byte("content")); string(bare) != "content" {
			t.Errorf("%s: the argument is now %q", c.Name(), bare)
		}
	}
	for _, c := range []procpool.Codec{procpool.CBOR, procpool.JSON} {
		if run(keepBox, c, box{[]byte("content")}); string(boxed.Data) != "content" {
			t.Errorf("%s: inside a struct the argument is now %q", c.Name(), boxed.Data)
		}
	}
}

// Each handle has its codec; a task takes its own and those that all take.
func TestCodecsOfHandleAndTask(t *testing.T) { // T043
	t.Parallel()
	fn := func(_ context.Context, b []byte) ([]byte, error) { return append(b, '!'), nil }
	byDefault, raw := procpool.Define("default", fn), procpool.Define("raw", fn, procpool.WithCodec(procpool.Raw))
	ex := procpooltest.Inline(byDefault, raw)
	for _, codec := range []procpool.Codec{procpool.CBOR, procpool.JSON, procpool.Raw} {
		for _, task := range []*procpool.Func[[]byte, []byte]{byDefault, raw} {
			if got, err := task.Call(t.Context(), ex, []byte("hi"), procpool.WithCodec(codec)); err != nil || string(got) != "hi!" {
				t.Errorf("%s with %s: %q, %v", task.Name(), codec.Name(), got, err)
			}
		}
	}
	var ce *procpool.CodecError
	_, err := byDefault.Call(t.Context(), ex, []byte("hi"), procpool.WithCodec(touchy{}))
	if !errors.As(err, &ce) || ce.Codec != "touchy" || !strings.Contains(err.Error(), `use the same WithCodec on both sides`) {
		t.Errorf("with a codec that the task does not know: %v", err)
	}
	mustPanic(t, "WithCodec(nil)", func() { procpool.WithCodec(nil) })
}

// touchy is a codec that panics or fails where it is told to.
type touchy struct{ encode, decode string }

func (touchy) Name() string { return "touchy" }

func (c touchy) Append(dst []byte, v any) ([]byte, error) { return trip(c.encode, append(dst, 'x')) }

func (c touchy) Decode([]byte, any) error {
	_, err := trip(c.decode, nil)
	return err
}

func trip(how string, b []byte) ([]byte, error) {
	switch how {
	case "panic":
		panic(errBoom)
	case "fail":
		return nil, errBoom
	}
	return b, nil
}

// Wherever a codec fails or panics, that call fails, with an error that says
// where, and nothing else happens.
func TestCodecFailuresCostOneCall(t *testing.T) { // T050 T063 T064 T066 T067 T073 T089
	t.Parallel()
	for _, how := range []string{"fail", "panic"} {
		for op, side := range map[string]struct{ host, worker touchy }{
			"encode the argument": {host: touchy{encode: how}},
			"decode the argument": {worker: touchy{decode: how}},
			"encode the result":   {worker: touchy{encode: how}},
			"decode the result":   {host: touchy{decode: how}},
		} {
			task := procpool.Define("x", func(context.Context, int) (int, error) { return 1, nil }, procpool.WithCodec(side.worker))
			ex := procpooltest.Inline(task)
			_, err := task.Call(t.Context(), ex, 1, procpool.WithCodec(side.host))
			var ce *procpool.CodecError
			if !errors.As(err, &ce) || ce.Op != op || ce.Codec != "touchy" || ce.Task != "x" || !strings.Contains(err.Error(), "boom") {
				t.Errorf("%s, %s: %v", how, op, err)
			}
			if got, err := task.Call(t.Context(), ex, 1, procpool.WithCodec(procpool.CBOR)); got != 1 || err != nil {
				t.Errorf("%s, %s: the next call: %d, %v", how, op, got, err)
			}
		}
	}
}

func TestValuesThatCannotBeEncoded(t *testing.T) { // T050
	t.Parallel()
	s := newStage(1)
	for name, v := range map[string]any{
		"function":          func() {},
		"channel":           make(chan int),
		"complex":           complex(1, 2),
		"inside a struct":   struct{ F func() }{func() {}},
		"inside a map":      map[string]any{"c": make(chan int)},
		"panicking encoder": panicky{},
	} {
		for _, codec := range []procpool.Codec{procpool.CBOR, procpool.JSON} {
			var ce *procpool.CodecError
			_, err := procpool.Remote[any, int]("x", procpool.WithCodec(codec)).Call(t.Context(), s, v)
			if !errors.As(err, &ce) || ce.Op != "encode the argument" || ce.Err == nil {
				t.Errorf("%s with %s: %v", name, codec.Name(), err)
			}
		}
	}
	if len(s.calls) != 0 {
		t.Error("one of them reached the executor")
	}
}

func TestCodecNames(t *testing.T) {
	t.Parallel()
	// They cross the boundary, so they never change.
	for want, c := range map[string]procpool.Codec{"cbor": procpool.CBOR, "json": procpool.JSON, "raw": procpool.Raw} {
		if c.Name() != want {
			t.Errorf("%q is now %q", want, c.Name())
		}
	}
}
