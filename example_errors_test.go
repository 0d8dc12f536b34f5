package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Size fails with fs.ErrNotExist, which Errors lets keep its identity on the way
// from the worker.
var Size = procpool.Define("size", func(_ context.Context, name string) (int, error) {
	if name == "" {
		panic("no name")
	}
	return 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}, procpool.Errors(map[string]error{"not_exist": fs.ErrNotExist}))

func ExampleErrors() {
	pool := procpooltest.Inline(Size)

	_, err := Size.Call(context.Background(), pool, "report.txt")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

func ExampleTaskError() {
	pool := procpooltest.Inline(Size)

	_, err := Size.Call(context.Background(), pool, "report.txt")
	if te, ok := errors.AsType[*procpool.TaskError](err); ok {
		fmt.Println(te.Type, te.Code)
		fmt.Println(te.Message)
	}
	// Output:
	// *fs.PathError not_exist
	// open report.txt: file does not exist
}

func ExamplePanicError() {
	pool := procpooltest.Inline(Size)

	_, err := Size.Call(context.Background(), pool, "")
	if pe, ok := errors.AsType[*procpool.PanicError](err); ok {
		fmt.Println(pe.Value, len(pe.Stack) > 0)
	}
	// Output: no name true
}

// Four families of errors, because there are four things to do about them.
func Example_errors() {
	advice := func(err error) string {
		switch {
		case err == nil:
			return "go on"
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return "give up"
		case errors.Is(err, procpool.ErrPoison):
			return "leave it, and find out why it kills its workers"
		case errors.Is(err, procpool.ErrCrashed):
			return "run it again, if that is safe"
		case errors.Is(err, procpool.ErrQueueFull):
			return "come back later"
		case errors.Is(err, procpool.ErrClosed), errors.Is(err, procpool.ErrUnknownTask), errors.Is(err, procpool.ErrTooLarge):
			return "fix the program"
		}
		return "report what the task said"
	}
	_, err := Size.Call(context.Background(), procpooltest.Inline(Size), "report.txt")
	fmt.Println(advice(err))
	_, err = Size.Call(context.Background(), procpooltest.Inline(), "report.txt")
	fmt.Println(advice(err))
	// Output:
	// report what the task said
	// fix the program
}
