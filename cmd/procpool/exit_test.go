package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/procpool/procpool"
	main "github.com/procpool/procpool/cmd/procpool"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	call := procpool.Relay{Task: "t"}.NewCall()
	stopped, stop := context.WithCancelCause(context.Background())
	stop(main.Interrupt())
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{&procpool.TaskError{Task: "t"}, 1},
		{&procpool.PanicError{Task: "t"}, 1},
		{&procpool.CodecError{Task: "t", Err: io.EOF}, 1},
		{procpool.ErrTooLarge, 1},
		{errors.New("anything else"), 1},
		{procpool.UnknownTaskError(call, nil, ""), 2},
		{procpool.KindError("t", procpool.KindFunction, procpool.KindStream), 2},
		{&procpool.StartError{}, 3},
		{&procpool.CrashError{}, 4},
		{procpool.PoisonError(call, 2, &procpool.CrashError{}), 4},
		{&procpool.TimeoutError{}, 5},
		{procpool.CancelError(stopped, call), 130},
		{&procpool.StartError{Err: main.Interrupt()}, 130},
		{fmt.Errorf("the result can't be written: %w", &os.PathError{Err: syscall.EPIPE}), 141},
	} {
		if got := main.ExitCode(test.err); got != test.want {
			t.Errorf("%v: exit code %d, want %d", test.err, got, test.want)
		}
	}
}

// A failure in another language is told with all that came with it.
func TestTaskErrorIsToldInFull(t *testing.T) {
	t.Parallel()
	err := &procpool.TaskError{
		Task: "load", Type: "ValueError", Message: "customer 7 is broken", Language: "python", Code: "broken",
		Notes: []string{"it was read from\ncustomers.db", "second note"},
		Stack: "Traceback (most recent call last):\n  File \"w.py\", line 3, in load\nValueError: customer 7 is broken\n",
		Cause: &procpool.TaskError{Type: "KeyError", Message: "'name'", Language: "python", Notes: []string{"inner"}, Stack: "its own stack\n", Cause: &procpool.TaskError{Message: "no more"}},
	}
	want := `procpool: task "load" failed: ValueError: customer 7 is broken
  type: ValueError (python)
  code: broken
  note: it was read from
        customers.db
  note: second note
caused by: 'name'
  type: KeyError (python)
  note: inner
  its own stack
caused by: no more
  Traceback (most recent call last):
    File "w.py", line 3, in load
  ValueError: customer 7 is broken
`
	if got := main.Explain(fmt.Errorf("wrapped: %w", err), "procpool call"); got != want {
		t.Errorf("it reads\n%s\nwant\n%s", got, want)
	}
}

// The status gets out of the way of everything else, and is one line.
func TestStatusIsOneLineBelowTheNotes(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{
		0:  "note\n",
		12: "\r\x1b[Kresize  50%\r\x1b[Knote\nresize  50%\r\x1b[Ka long lin…\r\x1b[K",
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "notes"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		n := main.NewNotes(file, width)
		n.SetStatus("resize  50%")
		n.SetStatus("resize  50%")
		if _, err := n.Write([]byte("note\n")); err != nil {
			t.Fatal(err)
		}
		n.SetStatus("a long\nline\x1b[2J which does not fit")
		n.SetStatus("")
		got, err := os.ReadFile(file.Name())
		if err != nil || string(got) != want {
			t.Errorf("width %d: %q, want %q, %v", width, got, want, err)
		}
	}
}
