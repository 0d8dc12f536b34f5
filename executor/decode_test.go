package executor_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// wrapper is an argument whose decoding, in the worker, ends the process, or
// panics, or fails.
type wrapper struct{ how byte }

func (w wrapper) MarshalCBOR() ([]byte, error) { return []byte{w.how}, nil }

func (w *wrapper) UnmarshalCBOR(b []byte) error {
	switch w.how = b[0]; w.how {
	case 1:
		os.Exit(5)
	case 2:
		panic("in the decoder")
	case 3:
		return errors.New("not today")
	}
	return nil
}

var unwrap = procpool.Define("unwrap", func(_ context.Context, w wrapper) (int, error) { return int(w.how), nil })

// T064, T089: a worker that dies, panics or fails while it decodes an argument
// costs that call only. It had started: what decodes is the user's code.
func TestArgumentThatHurtsItsDecoder(t *testing.T) {
	pool := newPool(t, executor.Config{})
	_, err := unwrap.Call(t.Context(), pool, wrapper{1})
	if ce, ok := errors.AsType[*procpool.CrashError](err); !ok || ce.ExitCode != 5 || ce.Task != "unwrap" {
		t.Errorf("it exits: %v", err)
	}
	for how, text := range map[byte]string{2: "in the decoder", 3: "not today"} {
		_, err := unwrap.Call(t.Context(), pool, wrapper{how})
		if _, ok := errors.AsType[*procpool.CodecError](err); !ok {
			t.Errorf("%#v", err)
		}
		mustContain(t, err, text)
	}
	if v, err := unwrap.Call(t.Context(), pool, wrapper{9}); v != 9 || err != nil {
		t.Errorf("a harmless one: %d, %v", v, err)
	}
	works(t, pool)
}

// T067: a result that can't be decoded here costs its call only, even if the
// decoder panics.
func TestResultThatHurtsItsDecoder(t *testing.T) {
	pool := newPool(t, executor.Config{})
	for _, n := range []int{2, 3} {
		_, err := procpool.Remote[int, wrapper]("identity").Call(t.Context(), pool, n)
		if _, ok := errors.AsType[*procpool.CodecError](err); !ok {
			t.Errorf("%#v", err)
		}
	}
	works(t, pool)
}
