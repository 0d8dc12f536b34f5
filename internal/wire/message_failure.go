package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// failure is a Failure of the contract: an error as data.
type failure struct {
	kind                                  workerv1.FailureKind
	task, typ, message, code, stack, lang string
	codec, op                             string
	notes                                 []string
	cause                                 *failure

	// host is what failures have that a host tells a task of, nil for those that a
	// worker tells its host of: those can't be of a kind that is the host's alone.
	host *hostFailure
}

// maxFailureText is where a failure's texts are cut, on both sides, maxNotes and
// maxCauses how many notes and how long a chain of causes are kept.
const (
	maxFailureText = 64 << 10
	maxNotes       = 64
	maxCauses      = 16
)

// failureOf turns what the run of a task returned into data. name is the task's,
// for errors that don't hold it.
func failureOf(name string, err error) failure {
	var (
		taskErr  *procpool.TaskError
		panicErr *procpool.PanicError
		codecErr *procpool.CodecError
	)
	switch {
	case errors.As(err, &taskErr):
		return taskFailure(taskErr, maxCauses)
	case errors.As(err, &panicErr):
		f := failure{
			kind: workerv1.FailureKind_FAILURE_KIND_PANIC, task: panicErr.Task, message: panicErr.Value,
			stack: panicErr.Stack, lang: panicErr.Language,
		}
		if panicErr.Goexit {
			f.kind = workerv1.FailureKind_FAILURE_KIND_EXIT
		}
		return f
	case errors.As(err, &codecErr):
		f := failure{
			kind: workerv1.FailureKind_FAILURE_KIND_CODEC, task: codecErr.Task, codec: codecErr.Codec, op: codecErr.Op, lang: "go",
		}
		if codecErr.Err != nil {
			f.typ, f.message = fmt.Sprintf("%T", codecErr.Err), codecErr.Err.Error()
		}
		return f
	}
	f := failure{kind: workerv1.FailureKind_FAILURE_KIND_TASK, task: name, typ: fmt.Sprintf("%T", err), message: err.Error(), lang: "go"}
	switch {
	case errors.Is(err, procpool.ErrTooLarge):
		f.kind = workerv1.FailureKind_FAILURE_KIND_TOO_LARGE
	case errors.Is(err, procpool.ErrUnknownTask):
		f.kind = workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK
	}
	return f
}

// taskFailure is the failure of a task, with at most so many causes.
func taskFailure(e *procpool.TaskError, causes int) failure {
	f := failure{
		kind: workerv1.FailureKind_FAILURE_KIND_TASK, task: e.Task, typ: e.Type, message: e.Message,
		code: e.Code, stack: e.Stack, lang: e.Language, notes: e.Notes,
	}
	if e.Cause != nil && causes > 0 {
		cause := taskFailure(e.Cause, causes-1)
		f.cause = &cause
	}
	return f
}

// err turns the data back into an error of the same family.
func (f *failure) err() error {
	if f.host != nil {
		if err := f.hostErr(); err != nil {
			return err
		}
	}
	switch f.kind {
	case workerv1.FailureKind_FAILURE_KIND_PANIC, workerv1.FailureKind_FAILURE_KIND_EXIT:
		return &procpool.PanicError{
			Task: f.task, Value: f.message, Stack: f.stack, Language: f.lang,
			Goexit: f.kind == workerv1.FailureKind_FAILURE_KIND_EXIT,
		}
	case workerv1.FailureKind_FAILURE_KIND_CODEC:
		return &procpool.CodecError{Task: f.task, Codec: f.codec, Op: f.op, Err: &remoteError{text: f.message}}
	case workerv1.FailureKind_FAILURE_KIND_TOO_LARGE:
		return &remoteError{text: f.message, is: procpool.ErrTooLarge}
	case workerv1.FailureKind_FAILURE_KIND_UNKNOWN_TASK:
		return &remoteError{text: f.message, is: procpool.ErrUnknownTask}
	}
	return f.taskErr()
}

func (f *failure) taskErr() *procpool.TaskError {
	e := &procpool.TaskError{
		Task: f.task, Type: f.typ, Message: f.message, Code: f.code, Stack: f.stack, Language: f.lang, Notes: f.notes,
	}
	if f.cause != nil {
		e.Cause = f.cause.taskErr()
	}
	return e
}

// remoteError is an error that was made in another process: its text, and what it
// is.
type remoteError struct {
	text string
	is   error // nil, one of procpool's sentinels, or one of a context
}

func (e *remoteError) Error() string {
	if e.text == "" && e.is != nil {
		return e.is.Error()
	}
	return e.text
}

func (e *remoteError) Unwrap() error { return e.is }

// The fields of a Failure, see message.go.
const (
	tagFailureKind     = 1<<3 | wireVarint
	tagFailureTask     = 2<<3 | wireBytes
	tagFailureType     = 3<<3 | wireBytes
	tagFailureMessage  = 4<<3 | wireBytes
	tagFailureCode     = 5<<3 | wireBytes
	tagFailureStack    = 6<<3 | wireBytes
	tagFailureLanguage = 7<<3 | wireBytes
	tagFailureCodec    = 8<<3 | wireBytes
	tagFailureOp       = 9<<3 | wireBytes
	tagFailureNotes    = 10<<3 | wireBytes
	tagFailureCause    = 11<<3 | wireBytes
)

// text returns the field of that tag, nil when there is none.
func (f *failure) text(tag uint64) *string {
	switch tag {
	case tagFailureTask:
		return &f.task
	case tagFailureType:
		return &f.typ
	case tagFailureMessage:
		return &f.message
	case tagFailureCode:
		return &f.code
	case tagFailureStack:
		return &f.stack
	case tagFailureLanguage:
		return &f.lang
	case tagFailureCodec:
		return &f.codec
	case tagFailureOp:
		return &f.op
	}
	return nil
}

// append appends the Failure's fields to dst.
func (f *failure) append(dst []byte) []byte {
	if f.kind != 0 {
		dst = append(dst, tagFailureKind)
		dst = protowire.AppendVarint(dst, uint64(f.kind))
	}
	for tag := uint64(tagFailureTask); tag <= tagFailureOp; tag += 1 << 3 {
		if text := f.text(tag); *text != "" {
			dst = append(dst, byte(tag))
			dst = protowire.AppendString(dst, cutText(*text))
		}
	}
	for _, note := range f.notes[:min(len(f.notes), maxNotes)] {
		dst = protowire.AppendVarint(dst, tagFailureNotes)
		dst = protowire.AppendString(dst, cutText(note))
	}
	if f.cause != nil {
		dst = append(dst, tagFailureCause, 0)
		at := len(dst) - 1
		dst = closeLength(f.cause.append(dst), at, 0)
	}
	if f.host != nil {
		dst = f.host.append(dst)
	}
	return dst
}

// parse decodes the fields of a Failure into f. Causes beyond so many are passed over.
func (f *failure) parse(data []byte, causes int) error {
	for len(data) > 0 {
		whole := data
		tag, n := consumeVarint(data)
		if n < 0 {
			return errTruncated
		}
		data = data[n:]
		if text := f.text(tag); text != nil {
			var field []byte
			if field, n = consumeBytes(data); n < 0 {
				return errTruncated
			}
			*text = cutText(string(field[:min(len(field), maxFailureText+utf8.UTFMax)]))
		} else if tag == tagFailureKind {
			var kind uint64
			if kind, n = consumeVarint(data); n < 0 {
				return errTruncated
			}
			f.kind = workerv1.FailureKind(kind)
		} else {
			part, rest, err := readField(whole)
			if err == nil {
				err = f.parseField(part, causes)
			}
			if err != nil {
				return err
			}
			data = rest
			continue
		}
		data = data[n:]
	}
	return nil
}

// parseField takes in one field that is no text nor the kind, which may be unknown.
func (f *failure) parseField(part field, causes int) error {
	switch {
	case part.tag == tagFailureNotes:
		if len(f.notes) < maxNotes {
			f.notes = append(f.notes, part.text())
		}
	case part.tag == tagFailureCause:
		if causes == 0 {
			return nil
		}
		if f.cause == nil {
			f.cause = new(failure)
		}
		return f.cause.parse(part.body, causes-1)
	case f.host != nil:
		return f.host.parse(part)
	}
	return nil
}

// cutText makes s valid UTF-8, as protobuf demands of strings, and not too long.
func cutText(s string) string {
	const mark = "... (cut)"
	if len(s) > maxFailureText {
		end := maxFailureText - len(mark)
		for end > maxFailureText-len(mark)-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + mark
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
