package procpool_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

func ExampleWithCodec() {
	// Raw takes and yields []byte as it is.
	reverse := procpool.Define("reverse", func(_ context.Context, b []byte) ([]byte, error) {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return b, nil
	}, procpool.WithCodec(procpool.Raw))

	b, err := reverse.Call(context.Background(), procpooltest.Inline(reverse), []byte("stressed"))
	fmt.Println(string(b), err)
	// Output: desserts <nil>
}

// gobCodec is a codec of the program's own.
type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

func (gobCodec) Append(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	err := gob.NewEncoder(buf).Encode(v)
	return buf.Bytes(), err
}

func (gobCodec) Decode(data []byte, v any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(v)
}

func ExampleCodec() {
	// The handle that workers serve has the codec too.
	sum := procpool.Define("sum", func(_ context.Context, numbers []complex128) (complex128, error) {
		var total complex128
		for _, n := range numbers {
			total += n
		}
		return total, nil
	}, procpool.WithCodec(gobCodec{}))

	fmt.Println(sum.Call(context.Background(), procpooltest.Inline(sum), []complex128{1 + 2i, 3}))
	// Output: (4+2i) <nil>
}
