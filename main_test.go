package procpool_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/procpool/procpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errBoom is an error that no handle names.
var errBoom = errors.New("boom")

// square is the task that tests run when it does not matter which.
var square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// mustPanic runs fn, which must panic with a text that contains want.
func mustPanic(t *testing.T, want string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		p := recover()
		if text, ok := p.(string); !ok || !strings.Contains(text, want) {
			t.Errorf("panicked with %v, want %q", p, want)
		}
	}()
	fn()
}

// encoded is the CBOR encoding of a small number, as a worker would reply it.
func encoded(n byte) []byte {
	if n > 23 {
		return []byte{0x18, n}
	}
	return []byte{n}
}

// number decodes what encoded made.
func number(t *testing.T, payload []byte) int {
	t.Helper()
	var n int
	if err := procpool.CBOR.Decode(payload, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// captureLog keeps what is logged during the test.
func captureLog(t *testing.T) *bytes.Buffer {
	t.Helper()
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	log := new(bytes.Buffer)
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	return log
}

// panicky is a value whose encoding panics.
type panicky struct{}

func (panicky) MarshalCBOR() ([]byte, error) { panic("can't encode me") }
func (panicky) MarshalJSON() ([]byte, error) { panic("can't encode me") }
