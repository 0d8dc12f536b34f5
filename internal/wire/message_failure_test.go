package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// acrossTheWire sends an error as a worker does and returns what the host gets.
func acrossTheWire(t *testing.T, task string, err error) error {
	t.Helper()
	dst, m := beginOutcome(nil, 1, 0)
	replies, decodeErr := decodeReplies(nil, failOutcome(dst, m, 1, task, err))
	if decodeErr != nil || len(replies) != 1 || replies[0].Kind != Failed {
		t.Fatalf("the failure %v decoded as %+v with error %v", err, replies, decodeErr)
	}
	return replies[0].Err
}

func TestFailureFamiliesCrossTheWire(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		is   []error // what the error matches on the host
		text string
		as   func(error) bool
	}{
		"task": {
			err: &procpool.TaskError{
				Task: "scale", Type: "*fs.PathError", Message: "no such file", Code: "missing", Stack: "main.go:1", Language: "go",
			},
			text: `procpool: task "scale" failed: no such file`,
			as: func(err error) bool {
				var e *procpool.TaskError
				return errors.As(err, &e) && reflect.DeepEqual(*e, procpool.TaskError{
					Task: "scale", Type: "*fs.PathError", Message: "no such file", Code: "missing", Stack: "main.go:1", Language: "go",
				})
			},
		},
		"panic": {
			err:  procpool.NewPanicError("scale", "index out of range", []byte("goroutine 1")),
			text: `procpool: task "scale" panicked: index out of range`,
			as: func(err error) bool {
				var e *procpool.PanicError
				return errors.As(err, &e) && *e == procpool.PanicError{
					Task: "scale", Value: "index out of range", Stack: "goroutine 1", Language: "go",
				}
			},
		},
		"goexit": {
			err:  procpool.NewPanicError("scale", nil, []byte("goroutine 1")),
			text: `procpool: task "scale" ended its goroutine with runtime.Goexit`,
			as: func(err error) bool {
				var e *procpool.PanicError
				return errors.As(err, &e) && e.Goexit
			},
		},
		"codec": {
			err:  &procpool.CodecError{Task: "scale", Codec: "cbor", Op: "decode the argument", Err: io.ErrUnexpectedEOF},
			text: `procpool: can't decode the argument of task "scale" with codec "cbor": unexpected EOF`,
			as: func(err error) bool {
				var e *procpool.CodecError
				return errors.As(err, &e) && e.Codec == "cbor" && e.Err.Error() == "unexpected EOF"
			},
		},
		"too large": {
			err:  fmt.Errorf("the result of task %q has 9 bytes: %w", "scale", procpool.ErrTooLarge),
			is:   []error{procpool.ErrTooLarge},
			text: `the result of task "scale" has 9 bytes: procpool: payload too large`,
		},
		"too large, bare":    {err: procpool.ErrTooLarge, is: []error{procpool.ErrTooLarge}, text: "procpool: payload too large"},
		"unknown task, bare": {err: procpool.ErrUnknownTask, is: []error{procpool.ErrUnknownTask}, text: "procpool: unknown task"},
		"wrapped task error": {
			err:  fmt.Errorf("outer: %w", &procpool.TaskError{Task: "scale", Message: "inner"}),
			text: `procpool: task "scale" failed: inner`,
		},
		// A context's error out of a task is the task's failure and must not
		// look like the end of the caller's context.
		"somebody else's": {
			err:  context.Canceled,
			text: `procpool: task "blur" failed: context canceled`,
			as: func(err error) bool {
				var e *procpool.TaskError
				return errors.As(err, &e) && e.Type == "*errors.errorString" && e.Language == "go"
			},
		},
	}
	sentinels := []error{
		procpool.ErrTooLarge, procpool.ErrUnknownTask, procpool.ErrClosed, procpool.ErrQueueFull, procpool.ErrCrashed,
		context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF,
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := acrossTheWire(t, "blur", tt.err)
			if got.Error() != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
			if tt.as != nil && !tt.as(got) {
				t.Errorf("arrived as %#v", got)
			}
			for _, sentinel := range sentinels {
				if want := slices.Contains(tt.is, sentinel); errors.Is(got, sentinel) != want {
					t.Errorf("errors.Is(%v, %v) is %v", got, sentinel, !want)
				}
			}
		})
	}
}

func TestUnknownFailureKindIsATaskError(t *testing.T) {
	t.Parallel()
	for _, kind := range []workerv1.FailureKind{0, 99, -1} {
		f := failure{kind: kind, message: "m"}
		var e *procpool.TaskError
		if err := f.err(); !errors.As(err, &e) || e.Message != "m" {
			t.Errorf("kind %d became %#v, want a *TaskError", kind, err)
		}
	}
}

func TestFailureTextsAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", maxFailureText)
	got := acrossTheWire(t, "", &procpool.TaskError{Message: long, Stack: "bad \xff\xfe bytes"})
	var e *procpool.TaskError
	if !errors.As(got, &e) {
		t.Fatalf("arrived as %#v", got)
	}
	if len(e.Message) > maxFailureText || !strings.HasSuffix(e.Message, "ä... (cut)") || !utf8.ValidString(e.Message) {
		t.Errorf("a text of %d bytes arrived as one of %d that ends in %q", len(long), len(e.Message), e.Message[len(e.Message)-20:])
	}
	if e.Stack != "bad \uFFFD bytes" {
		t.Errorf("invalid UTF-8 arrived as %q", e.Stack)
	}
	// A worker that does not cut is cut here.
	data, err := proto.Marshal(&workerv1.Failure{Message: long})
	if err != nil {
		t.Fatal(err)
	}
	var f failure
	if err := f.parse(data, maxCauses); err != nil || len(f.message) > maxFailureText {
		t.Errorf("the host took a text of %d bytes, error %v", len(f.message), err)
	}
}

// An exception's notes and what it was raised from arrive, in bounds.
func TestNotesAndCausesCrossTheWire(t *testing.T) {
	t.Parallel()
	sent := &procpool.TaskError{
		Task: "load", Type: "ValueError", Message: "bad header", Language: "python", Notes: []string{"in part.bin", "at byte 7"},
		Cause: &procpool.TaskError{
			Type: "KeyError", Message: "'size'", Language: "python",
			Cause: &procpool.TaskError{Type: "OSError", Message: "gone", Code: "gone", Stack: "line 3", Language: "python"},
		},
	}
	var e *procpool.TaskError
	if got := acrossTheWire(t, "load", sent); !errors.As(got, &e) || !reflect.DeepEqual(e, sent) {
		t.Errorf("%+v arrived as %+v", sent, got)
	}

	long := &workerv1.Failure{Message: "0"}
	for i := range 100 {
		long = &workerv1.Failure{Message: strconv.Itoa(i + 1), Cause: long, Notes: slices.Repeat([]string{"n"}, 1000)}
	}
	data, err := proto.Marshal(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{{
		Seq: 1, Result: &workerv1.Outcome_Failure{Failure: long},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	replies, err := decodeReplies(nil, data)
	if err != nil || len(replies) != 1 || !errors.As(replies[0].Err, &e) {
		t.Fatalf("a long chain of causes decoded as %+v, error %v", replies, err)
	}
	n := 0
	for c := e; c != nil; c = c.Cause {
		if len(c.Notes) != maxNotes {
			t.Fatalf("%d notes of cause %d were kept, want %d", len(c.Notes), n, maxNotes)
		}
		n++
	}
	if n != maxCauses+1 {
		t.Errorf("%d errors of a chain of 101 were kept, want %d", n, maxCauses+1)
	}
}
