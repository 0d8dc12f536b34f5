package procpool_test

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/procpool/procpool"
)

// Basic types take a short way past the CBOR library. Nobody must be able to tell.

// throughCall returns what Submit encodes v to, and what Result makes of that.
func throughCall[T any](t testing.TB, v T) (payload []byte, back T) {
	t.Helper()
	s := newStage(1)
	f := procpool.Remote[T, T]("x").Submit(t.Context(), s, v)
	c := s.start()
	payload = bytes.Clone(c.Payload())
	c.Finish(payload, nil)
	back, err := f.Result(t.Context())
	if err != nil {
		t.Fatalf("%T %#v: %v", v, v, err)
	}
	return payload, back
}

func sameAsLibrary[T any](t testing.TB, v T) {
	t.Helper()
	payload, back := throughCall(t, v)
	want, err := procpool.CBOR.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(payload, want) {
		t.Fatalf("%T %#v is encoded as %x, by the library as %x", v, v, payload, want)
	}
	var libraryBack T
	if err := procpool.CBOR.Decode(payload, &libraryBack); err != nil {
		t.Fatal(err)
	}
	if !identical(back, v) || !identical(libraryBack, v) {
		t.Fatalf("%T %#v came back as %#v, by the library as %#v", v, v, back, libraryBack)
	}
	// As a worker's result, after what is in its buffer already.
	task := procpool.Define("x", func(context.Context, any) (T, error) { return v, nil })
	out, err := task.Run(t.Context(), "cbor", []byte{0xf6}, []byte("before"))
	if err != nil || !bytes.Equal(out, append([]byte("before"), want...)) {
		t.Fatalf("%T %#v as a result is %x, %v", v, v, out, err)
	}
}

// identical is equality that tells NaNs, zeros and empty slices apart.
func identical[T any](a, b T) bool {
	if x, ok := any(a).(float64); ok {
		y, ok := any(b).(float64)
		return ok && math.Float64bits(x) == math.Float64bits(y)
	}
	return reflect.DeepEqual(a, b)
}

func TestScalarsAreEncodedAsByTheLibrary(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{
		0, 1, 23, 24, 25, 255, 256, 65535, 65536, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64,
		-1, -24, -25, -256, -257, -65536, -65537, math.MinInt32, math.MinInt32 - 1, -1 << 32, -1<<32 - 1, math.MinInt64,
	} {
		sameAsLibrary(t, n)
		sameAsLibrary(t, int(n))
		sameAsLibrary(t, int32(n))
		sameAsLibrary(t, uint64(n))
		sameAsLibrary(t, uint32(n))
	}
	for _, f := range []float64{
		0, math.Copysign(0, -1), 1, -1.5, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1),
		math.NaN(), math.Float64frombits(0x7ff0000000000001), math.Float64frombits(0xfff8000000000123),
	} {
		sameAsLibrary(t, f)
	}
	for _, b := range []bool{false, true} {
		sameAsLibrary(t, b)
	}
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536} {
		sameAsLibrary(t, strings.Repeat("ü", n))
		sameAsLibrary(t, bytes.Repeat([]byte{0xff}, n))
	}
	sameAsLibrary(t, []byte(nil))
	sameAsLibrary(t, "not \xff UTF-8")
	// And some that have no short way.
	sameAsLibrary(t, int8(-3))
	sameAsLibrary(t, float32(0.1))
	sameAsLibrary(t, struct{ A, b int }{A: 1})
	sameAsLibrary(t, celsius(21.5))
	sameAsLibrary(t, (*int)(nil))
}

// celsius is of a basic kind but not of a basic type.
type celsius float64

func TestScalarsAreEncodedAsByTheLibraryAlways(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		tb := rapidTB{T: t, r: r}
		sameAsLibrary(tb, rapid.Int().Draw(r, "int"))
		sameAsLibrary(tb, rapid.Int64().Draw(r, "int64"))
		sameAsLibrary(tb, rapid.Int32().Draw(r, "int32"))
		sameAsLibrary(tb, rapid.Uint64().Draw(r, "uint64"))
		sameAsLibrary(tb, rapid.Uint32().Draw(r, "uint32"))
		sameAsLibrary(tb, math.Float64frombits(rapid.Uint64().Draw(r, "float64")))
		sameAsLibrary(tb, rapid.String().Draw(r, "string"))
		sameAsLibrary(tb, rapid.SliceOf(rapid.Byte()).Draw(r, "bytes"))
	})
}

// rapidTB is a test whose failures rapid shrinks.
type rapidTB struct {
	*testing.T
	r *rapid.T
}

func (t rapidTB) Fatalf(format string, args ...any) { t.r.Fatalf(format, args...) }
func (t rapidTB) Fatal(args ...any)                 { t.r.Fatal(args...) }

// FuzzScalars looks for bytes that the short way reads in another way than the
// library does.
func FuzzScalars(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "\x17", "\x18\x18", "\x18\x05", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "\x20", "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
		"\xf4", "\xf5", "\xf6", "\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", "\xf9\x7e\x00", "\xfa\x3f\x80\x00\x00", "\x60", "\x61a", "\x61\xff", "\x40",
		"\x41\x00", "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "\x7f\x61a\xff", "\xc2\x41\x01", "\x00\x00", "\x1f", "\xff", "\x82\x01\x02",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		readAsLibrary[int](t, data)
		readAsLibrary[int64](t, data)
		readAsLibrary[int32](t, data)
		readAsLibrary[uint64](t, data)
		readAsLibrary[uint32](t, data)
		readAsLibrary[bool](t, data)
		readAsLibrary[float64](t, data)
		readAsLibrary[string](t, data)
		readAsLibrary[[]byte](t, data)
	})
}

func readAsLibrary[T any](t *testing.T, data []byte) {
	t.Helper()
	s := newStage(1)
	f := procpool.Remote[int, T]("x").Submit(t.Context(), s, 0)
	s.start().Finish(data, nil)
	got, err := f.Result(t.Context())
	var want T
	libraryErr := procpool.CBOR.Decode(data, &want)
	if (err == nil) != (libraryErr == nil) || err == nil && !identical(got, want) {
		t.Errorf("%x as %T is %#v, %v; to the library %#v, %v", data, got, got, err, want, libraryErr)
	}
}
