package protocodec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/protocodec"
)

var after = procpool.Define("after", func(_ context.Context, d *durationpb.Duration) (*timestamppb.Timestamp, error) {
	return timestamppb.New(time.Unix(0, 0).Add(d.AsDuration())), nil
}, procpool.WithCodec(protocodec.Codec))

func TestMessagesCross(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline(after)
	got, err := after.Call(t.Context(), ex, durationpb.New(90*time.Second))
	if err != nil || got.AsTime().Unix() != 90 {
		t.Errorf("%v, %v", got, err)
	}
	// Each Result is a message of the caller's own.
	f := after.Submit(t.Context(), ex, durationpb.New(time.Second))
	first, err := f.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Seconds = 99
	if second, err := f.Result(t.Context()); err != nil || second.Seconds != 1 {
		t.Errorf("%v, %v", second, err)
	}
	// A nil message is an empty one.
	if got, err := after.Call(t.Context(), ex, nil); err != nil || got.AsTime().Unix() != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCodecIsCalledProto(t *testing.T) {
	t.Parallel()
	if got := protocodec.Codec.Name(); got != "proto" {
		t.Errorf("it is called %q", got)
	}
	if got := after.Describe().Codecs[0]; got != "proto" {
		t.Errorf("the task prefers %q", got)
	}
}

func TestAppendAppends(t *testing.T) {
	t.Parallel()
	m := wrapperspb.String("x")
	want, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := protocodec.Codec.Append([]byte("before"), m)
	if err != nil || string(got) != "before"+string(want) {
		t.Errorf("%q, %v", got, err)
	}
	// A failure leaves what was there.
	got, err = protocodec.Codec.Append([]byte("before"), wrapperspb.String("bad\xff"))
	if err == nil || string(got) != "before" {
		t.Errorf("a string that is not UTF-8: %q, %v", got, err)
	}
}

// What is decoded must not refer to the data, which is reused.
func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(wrapperspb.Bytes([]byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	var m *wrapperspb.BytesValue
	if err := protocodec.Codec.Decode(data, &m); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if !bytes.Equal(m.Value, []byte("content")) {
		t.Errorf("the message now holds %q", m.Value)
	}
}

func TestOtherTypesAreRefused(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"not int":              1,
		"not string":           "x",
		"not <nil>":            nil,
		"not structpb.Value":   structpb.Value{},
		"not []*structpb.List": []*structpb.ListValue{},
	} {
		if _, err := protocodec.Codec.Append(nil, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Append of %T: %v", v, err)
		}
	}
	var (
		number  int
		message proto.Message
		value   structpb.Value
		text    *string
	)
	for want, v := range map[string]any{
		"not int":                &number,
		"not protoreflect.Proto": &message,
		"not structpb.Value":     &value,
		"not *string":            &text,
		"not structpb.ListValue": structpb.ListValue{},
		"not *int":               (*int)(nil),
	} {
		if err := protocodec.Codec.Decode(nil, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode into %T: %v", v, err)
		}
	}
	number2 := procpool.Remote[int, *wrapperspb.Int64Value]("after", procpool.WithCodec(protocodec.Codec))
	var ce *procpool.CodecError
	if _, err := number2.Call(t.Context(), procpooltest.Inline(after), 1); !errors.As(err, &ce) || ce.Codec != "proto" {
		t.Errorf("a call with an int: %v", err)
	}
}

func TestBadDataIsRefused(t *testing.T) {
	t.Parallel()
	whole, err := proto.Marshal(structpb.NewStringValue("content"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"truncated":    whole[:len(whole)-1],
		"a wrong type": {0xff},
		"a huge size":  {0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x'},
		"bad UTF-8":    {0x1a, 0x01, 0xff},
		"endless":      bytes.Repeat([]byte{0x32, 0x7f}, 100_000),
	} {
		kept := structpb.NewBoolValue(true)
		m := kept
		if err := protocodec.Codec.Decode(data, &m); err == nil {
			t.Errorf("%s was decoded to %v", name, m)
		}
		if m != kept {
			t.Errorf("%s: the failure changed the target", name)
		}
	}
}

func ExampleCodec() {
	total := procpool.Define("total", func(_ context.Context, list *structpb.ListValue) (*wrapperspb.DoubleValue, error) {
		sum := 0.0
		for _, v := range list.GetValues() {
			sum += v.GetNumberValue()
		}
		return wrapperspb.Double(sum), nil
	}, procpool.WithCodec(protocodec.Codec))

	prices := &structpb.ListValue{Values: []*structpb.Value{structpb.NewNumberValue(1.5), structpb.NewNumberValue(2)}}
	sum, err := total.Call(context.Background(), procpooltest.Inline(total), prices)
	fmt.Println(sum.GetValue(), err)
	// Output: 3.5 <nil>
}
