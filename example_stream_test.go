package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Powers yields the powers of a number, without end.
var Powers = procpool.DefineStream("powers", func(_ context.Context, base int, emit func(int) error) error {
	for n := 1; ; n *= base {
		if err := emit(n); err != nil {
			return err // the reader has left
		}
	}
})

func ExampleDefineStream() {
	pool := procpooltest.Inline(Powers)

	// The values come as they are made, no more than a window ahead of their
	// reader. Leaving the loop ends the task.
	for n, err := range Powers.All(context.Background(), pool, 3) {
		if err != nil || n > 100 {
			break
		}
		fmt.Print(n, " ")
	}
	// Output: 1 3 9 27 81
}

// Lines fails in its third line.
var Lines = procpool.DefineStream("lines", func(_ context.Context, name string, emit func(string) error) error {
	for _, line := range []string{"one", "two"} {
		if err := emit(line); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: line 3 is too long", name)
})

func ExampleStream_All() {
	pool := procpooltest.Inline(Lines)

	// What came before the error is there all the same.
	for line, err := range Lines.All(context.Background(), pool, "notes.txt") {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(line)
	}
	// Output:
	// one
	// two
	// procpool: task "lines" failed: notes.txt: line 3 is too long
}
