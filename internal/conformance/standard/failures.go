package standard

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/procpool/procpool"
)

var (
	errNoNumbers = errors.New("add takes a map with the integers a and b")
	// errKnown is the sentinel that the failing task has named.
	errKnown = errors.New("a known failure")
)

type failure struct {
	Message string `cbor:"message" json:"message"`
	Code    string `cbor:"code" json:"code"`
	Cause   string `cbor:"cause" json:"cause"`
	// Notes have no place in Go's errors.
	Notes []string `cbor:"notes" json:"notes"`
}

// failed is an error with a text of its own and with what it wraps.
type failed struct {
	text  string
	wraps []error
}

// Error returns the text alone.
func (f *failed) Error() string { return f.text }

// Unwrap returns the sentinel and the cause.
func (f *failed) Unwrap() []error { return f.wraps }

// failures lists the functions that fail and leave their worker unharmed.
func failures() []procpool.Task {
	return []procpool.Task{
		procpool.Define("fail", func(_ context.Context, f failure) (nothing, error) { return nil, f.err() },
			procpool.Errors(map[string]error{"known": errKnown})),
		procpool.Define("panic", func(_ context.Context, text string) (nothing, error) {
			panic(text) //nolint:forbidigo // it is what the function is for
		}),
		procpool.Define("end_thread", func(context.Context, nothing) (nothing, error) {
			runtime.Goexit()
			return nil, nil
		}),
	}
}

func (f failure) err() error {
	e := &failed{text: f.Message}
	if f.Code == "known" {
		e.wraps = append(e.wraps, errKnown)
	}
	if f.Cause != "" {
		e.wraps = append(e.wraps, fmt.Errorf("%s", f.Cause))
	}
	return e
}
