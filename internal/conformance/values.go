package conformance

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/protocodec"
)

// valueCases are about arguments and results.
func valueCases() []Case {
	const s = "values"
	echo, add := []string{"echo", "pid"}, []string{"add", "pid"}
	return []Case{
		{Section: s, Name: "cbor integers", uses: echo, run: echoes(integers), Promise: "Integers from -2^63 to 2^63-1 come back as they are."},
		{Section: s, Name: "cbor floats", uses: echo, run: echoes(floats), Promise: "Floats come back as floats, also whole numbers, -0, the smallest, infinities and NaN."},
		{Section: s, Name: "cbor text and bytes", uses: echo, run: echoes(texts), Promise: "Text comes back as text and bytes as bytes, empty ones and all byte values, too."},
		{Section: s, Name: "cbor containers", uses: echo, run: echoes(containers), Promise: "Null, booleans, lists and maps, empty and 60 deep, come back as they are."},
		{Section: s, Name: "cbor text that is no utf-8", uses: echo, run: textOfBytes, Promise: "A text string that is not UTF-8 comes back as it is or fails with FAILURE_KIND_CODEC; the worker lives."},
		{Section: s, Name: "json", uses: []string{"echo", "add", "pid"}, run: echoesJSON, Promise: "JSON values come back as they are."},
		{Section: s, Name: "raw", uses: []string{"echo_bytes", "pid"}, run: echoesRaw, Promise: "Raw bytes come back as they are: none, all values, a megabyte."},
		{Section: s, Name: "proto", uses: []string{"echo_proto", "pid"}, run: echoesProto, Promise: "A protobuf message comes back as it is."},
		{Section: s, Name: "64 MiB there and back", uses: []string{"echo_bytes", "pid"}, run: large, Promise: "64 MiB go to the worker and back."},
		{Section: s, Name: "64 MiB one way", uses: []string{"length", "make_bytes", "pid"}, run: largeOneWay, Promise: "64 MiB go to the worker in CBOR, and come from it."},
		{Section: s, Name: "too large", uses: []string{"make_bytes", "pid"}, run: tooLarge, Promise: "A result of max_payload_bytes comes, one byte more fails with FAILURE_KIND_TOO_LARGE; the worker lives."},
		{Section: s, Name: "no limit", uses: []string{"make_bytes", "add"}, run: noLimit, Promise: "A max_payload_bytes of 0 is no limit."},
		{Section: s, Name: "no argument", uses: []string{"echo", "echo_bytes", "add"}, run: noArgument, Promise: "An argument that is not set is empty: no bytes for raw, no value for CBOR. An empty codec is the task's first."},
		{Section: s, Name: "malformed argument", uses: add, run: malformed, Promise: "An argument that is no CBOR, or no JSON, fails with FAILURE_KIND_CODEC; the worker lives."},
		{Section: s, Name: "unknown codec", uses: add, run: unknownCodec, Promise: "A codec that the task does not take fails with FAILURE_KIND_CODEC; the worker lives."},
		{Section: s, Name: "argument of another type", uses: add, run: wrongType, Promise: "An argument of a type that the function does not take is an error; the worker lives."},
		{Section: s, Name: "result that can't be encoded", uses: []string{"unencodable", "pid"}, run: unencodable, Promise: "A result that can't be encoded fails with FAILURE_KIND_CODEC; the worker lives."},
	}
}

// verbatim is a codec of any name whose values are encoded already.
type verbatim string

// Name is the codec's name.
func (v verbatim) Name() string { return string(v) }

// Append appends what v holds.
func (v verbatim) Append(dst []byte, value any) ([]byte, error) {
	b, ok := value.(encoded)
	if !ok {
		return dst, fmt.Errorf("the kit itself is wrong: a %T is not encoded", value)
	}
	return append(dst, b...), nil
}

// Decode copies data.
func (v verbatim) Decode(data []byte, value any) error {
	to, ok := value.(*encoded)
	if !ok {
		return fmt.Errorf("the kit itself is wrong: a %T takes no encoded value", value)
	}
	*to = bytes.Clone(data)
	return nil
}

func integers() []any {
	var all []any
	for _, n := range []int64{
		0, 1, 23, 24, 255, 256, math.MaxUint16, math.MaxUint16 + 1, 1<<53 - 1, 1 << 53, 1<<53 + 1, math.MaxUint32, math.MaxUint32 + 1,
		math.MaxInt64, -1, -24, -25, -256, -257, math.MinInt32, -1<<53 - 1, math.MinInt64 + 1, math.MinInt64,
	} {
		all = append(all, n)
	}
	return all
}

func floats() []any {
	return []any{
		0.0, math.Copysign(0, -1), 1.0, -2.0, 0.1, 1e300, float64(1 << 53), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi,
		math.Inf(1), math.Inf(-1), math.NaN(),
	}
}

func texts() []any {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return []any{
		"", "a", "\x00", "tab\tand\nnewline", "žluťoučký kůň, 日本語, 🙂", "e\u0301", strings.Repeat("long ", 50_000),
		[]byte{},
		[]byte{0},
		every, []byte("\xff\xfe no text"), []byte("text, but bytes"),
	}
}

func containers() []any {
	deep := any("the bottom")
	for range 60 {
		deep = []any{deep}
	}
	many := make(map[string]any)
	var list []any
	for i := range 2000 {
		many[fmt.Sprintf("key %d", i)] = int64(i)
		list = append(list, int64(i))
	}
	return []any{
		nil, true, false,
		[]any{},
		map[string]any{},
		[]any{nil, true, int64(1), 1.0, "one", []byte("one")},
		map[string]any{"": nil, "žluť": []any{}, "nested": map[string]any{"a": map[string]any{}}},
		deep, list, many,
	}
}

// echoes returns a case in which echo returns each of the values.
func echoes(values func() []any) func(*trial) {
	return func(t *trial) {
		p := t.pool()
		pid := p.pid()
		for _, v := range values() {
			got := call[any](p, "echo", v)
			if !alike(got, v) {
				t.failf("echo was called with a %T, %s, in CBOR: expected the same, got a %T, %s", v, brief(v), got, brief(got))
			}
		}
		p.sameWorker(pid, "echo was called with many values")
	}
}

// alike compares two values, in which all NaN are alike and the zeros are not.
func alike(a, b any) bool {
	x, isFloat := a.(float64)
	y, areFloats := b.(float64)
	if isFloat && areFloats {
		return math.IsNaN(x) && math.IsNaN(y) || x == y && math.Signbit(x) == math.Signbit(y)
	}
	return reflect.DeepEqual(a, b)
}

func textOfBytes(t *trial) {
	p := t.pool()
	pid := p.pid()
	const text = "a file\xff.txt"
	f := submit[any](p, "echo", text)
	switch got, err := f.Result(t.ctx); {
	case err != nil:
		_ = errorAs[*procpool.CodecError](p, fmt.Sprintf("echo was called with the text %q, which is not UTF-8", text), err)
	case got != text:
		t.failf("echo was called with the text %q, which is not UTF-8: expected the same or a codec's failure, got %s", text, brief(got))
	}
	p.sameWorker(pid, "echo was called with a text that is not UTF-8")
}

func echoesJSON(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, v := range []any{
		nil, true, false, 0.0, -1.0, 1.5, 1e21, float64(1<<53 - 1), "", "quote \" and \\ and / and \u2028", "\x00\x01", "日本語 🙂",
		[]any{},
		map[string]any{},
		[]any{nil, 1.0, "x", []any{false}},
		map[string]any{"": map[string]any{"ž": []any{1.0}}},
	} {
		if got := call[any](p, "echo", v, procpool.WithCodec(procpool.JSON)); !alike(got, v) {
			t.failf("echo was called with %s in JSON: expected the same, got %s", brief(v), brief(got))
		}
	}
	expect(t, "add was called with 40 and 2 in JSON", call[int](p, "add", args{"a": 40, "b": 2}, procpool.WithCodec(procpool.JSON)), 42)
	p.sameWorker(pid, "echo was called with many values in JSON")
}

func echoesRaw(t *trial) {
	p := t.pool()
	pid := p.pid()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, b := range [][]byte{{}, {0}, []byte("\xff\xfe"), every, bytes.Repeat(every, 4096)} {
		t.echoBytes(p, b)
	}
	p.sameWorker(pid, "echo_bytes was called with many values")
}

// echoBytes sends bytes there and back.
func (t *trial) echoBytes(p *pool, b []byte) {
	t.use("echo_bytes")
	done := fmt.Sprintf("echo_bytes was called with %d bytes", len(b))
	f := procpool.Remote[[]byte, []byte]("echo_bytes", procpool.WithCodec(procpool.Raw)).Submit(t.ctx, p, b)
	if got := result(p, done, f); !bytes.Equal(got, b) {
		t.failf("%s: expected the same, got %d bytes that differ", done, len(got))
	}
}

func echoesProto(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, text := range []string{"", "x", strings.Repeat("日本語", 1000)} {
		v := wrapperspb.String(text)
		f := procpool.Remote[*wrapperspb.StringValue, *wrapperspb.StringValue]("echo_proto", procpool.WithCodec(protocodec.Codec)).Submit(t.ctx, p, v)
		done := fmt.Sprintf("echo_proto was called with a StringValue of %d bytes", len(text))
		expect(t, done, result(p, done, f).GetValue(), text)
	}
	p.sameWorker(pid, "echo_proto was called")
}

const mebibyte = 1 << 20

func large(t *trial) {
	p := t.pool()
	pid := p.pid()
	t.echoBytes(p, patterned(64*mebibyte))
	p.sameWorker(pid, "echo_bytes was called with 64 MiB")
}

func largeOneWay(t *trial) {
	p := t.pool()
	pid := p.pid()
	expect(t, "length was called with 64 MiB in CBOR", call[int](p, "length", patterned(64*mebibyte)), 64*mebibyte)
	if got := call[[]byte](p, "make_bytes", 64*mebibyte); !bytes.Equal(got, patterned(64*mebibyte)) {
		t.failf("make_bytes was called for 64 MiB: expected bytes i mod 251, got %d bytes that differ", len(got))
	}
	p.sameWorker(pid, "64 MiB were sent there and back")
}

// patterned returns what make_bytes makes.
func patterned(n int) []byte {
	const period = 251
	var once [period]byte
	for i := range once {
		once[i] = byte(i)
	}
	return bytes.Repeat(once[:], n/period+1)[:n]
}

func tooLarge(t *trial) {
	// Five bytes of CBOR say how long a byte string of that size is.
	const most = mebibyte
	p := t.pool(func(c *executor.Config) { c.MaxPayload = most })
	pid := p.pid()
	expect(t, fmt.Sprintf("max_payload_bytes is %d, and make_bytes was called for a result of just that in CBOR: its length", most),
		len(call[[]byte](p, "make_bytes", most-5)), most-5)
	err := fail(p, "make_bytes", most-4)
	p.errorIs(fmt.Sprintf("max_payload_bytes is %d, and make_bytes was called for a result of one byte more", most), err, procpool.ErrTooLarge)
	err = fail(p, "make_bytes", 8*most)
	p.errorIs(fmt.Sprintf("max_payload_bytes is %d, and make_bytes was called for eight times as much", most), err, procpool.ErrTooLarge)
	p.sameWorker(pid, "a result was too large")
}

func noLimit(t *trial) {
	w := t.started()
	t.must(w.Dial(t.ctx))
	r := w.Request()
	r.MaxPayloadBytes = 0
	const done = "Hello was called with max_payload_bytes 0"
	if _, err := w.Greet(t.ctx, r); err != nil {
		t.failf("%s: expected an answer, got: %v; %s", done, err, w.End())
	}
	t.must(w.Open())
	task := w.task("make_bytes", mebibyte)
	w.send(task)
	expect(t, done+", and make_bytes for 1 MiB", len(decode[[]byte](t, done, w.answer(done+", and make_bytes for 1 MiB", task))), mebibyte)
	w.works(done)
}

func noArgument(t *trial) {
	w := t.raw()
	unset := func(task *workerv1.Task) { task.Payload = nil }
	empty, missing := w.task("echo_bytes", encoded(nil), unset), w.task("echo", encoded(nil), unset)
	named := w.task("add", encoded(`{"a": 40, "b": 2}`), func(task *workerv1.Task) { task.Codec = "json" })
	w.send(empty, missing, named)
	expect(t, "echo_bytes was called without an argument: the length of its result", len(w.answer("echo_bytes was called without an argument", empty)), 0)
	w.failed("echo was called without an argument, whose codec is cbor", missing, workerv1.FailureKind_FAILURE_KIND_CODEC)
	expect(t, "add was called with 40 and 2 and the codec json", string(bytes.TrimSpace(w.answer("add was called in json", named))), "42")
	w.works("Codecs were left out and named") // its codec is left out, and CBOR is the first
}

func malformed(t *trial) {
	p := t.pool()
	pid := p.pid()
	for codec, arguments := range map[string][]string{
		// The CBOR of: nothing; a break; a list of 2 with 1 element; a text of 5 with 1
		// byte; a reserved length; a map of 1 with a key alone; a map of 2^63 pairs.
		"cbor": {"", "\xff", "\x82\x01", "\x65a", "\x1c", "\xa1\x61a", "\xbb\x80\x00\x00\x00\x00\x00\x00\x00"},
		"json": {"", "{", `{"a": 1,`, "nul", `"text`, "[1 2]"},
	} {
		for _, argument := range arguments {
			done := fmt.Sprintf("add was called with %q, which is no %s", argument, codec)
			f := procpool.Remote[encoded, encoded]("add", procpool.WithCodec(verbatim(codec))).Submit(t.ctx, p, encoded(argument))
			e := errorAs[*procpool.CodecError](p, done, failure(p, done, f))
			if !strings.Contains(e.Op, "decode") {
				t.failf("%s: expected a failure of \"decode the argument\", got op %q", done, e.Op)
			}
		}
	}
	p.sameWorker(pid, "add was called with malformed arguments")
}

func unknownCodec(t *trial) {
	p := t.pool()
	pid := p.pid()
	const done = "add was called with the codec \"xyzzy\""
	f := procpool.Remote[encoded, encoded]("add", procpool.WithCodec(verbatim("xyzzy"))).Submit(t.ctx, p, encoded("plugh"))
	_ = errorAs[*procpool.CodecError](p, done, failure(p, done, f))
	p.sameWorker(pid, done)
}

func wrongType(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, arg := range []any{"text", args{"a": "one", "b": 2}, args{"a": 1}, []any{int64(1), int64(2)}, nil} {
		done := calling("add", arg)
		err := fail(p, "add", arg)
		if !isCodec(err) && !isTask(err) && !isPanic(err) {
			t.failf("%s: expected a failure of the codec or the function, got %s", done, p.describe(err))
		}
	}
	p.sameWorker(pid, "add was called with arguments of other types")
}

func unencodable(t *trial) {
	p := t.pool()
	pid := p.pid()
	for _, codec := range []procpool.Codec{procpool.CBOR, procpool.JSON} {
		done := fmt.Sprintf("unencodable was called in %s", codec.Name())
		e := errorAs[*procpool.CodecError](p, done, fail(p, "unencodable", nil, procpool.WithCodec(codec)))
		if !strings.Contains(e.Op, "encode") {
			t.failf("%s: expected a failure of \"encode the result\", got op %q", done, e.Op)
		}
	}
	p.sameWorker(pid, "unencodable was called")
}
