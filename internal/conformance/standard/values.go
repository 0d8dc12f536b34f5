package standard

import (
	"bytes"
	"context"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/protocodec"
)

// nothing is the argument and the result of functions that have none.
type nothing = any

type pair struct {
	A *int64 `cbor:"a" json:"a"`
	B *int64 `cbor:"b" json:"b"`
}

// values lists the functions that show how values travel.
func values() []procpool.Task {
	return []procpool.Task{
		procpool.Define("echo", func(_ context.Context, v any) (any, error) { return v, nil }),
		procpool.Define("echo_bytes", func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, procpool.WithCodec(procpool.Raw)),
		procpool.Define("echo_proto", func(_ context.Context, v *wrapperspb.StringValue) (*wrapperspb.StringValue, error) { return v, nil },
			procpool.WithCodec(protocodec.Codec)),
		procpool.Define("add", add),
		procpool.Define("length", func(_ context.Context, b []byte) (int, error) { return len(b), nil }),
		procpool.Define("make_bytes", func(_ context.Context, n int) ([]byte, error) { return makeBytes(n), nil }),
		procpool.Define("unencodable", func(context.Context, nothing) (any, error) { return func() {}, nil }),
	}
}

func add(_ context.Context, p pair) (int64, error) {
	if p.A == nil || p.B == nil {
		return 0, errNoNumbers
	}
	return *p.A + *p.B, nil
}

// makeBytes returns n bytes that tell their places.
func makeBytes(n int) []byte {
	const period = 251
	var once [period]byte
	for i := range once {
		once[i] = byte(i)
	}
	return bytes.Repeat(once[:], max(n, 0)/period+1)[:max(n, 0)]
}
