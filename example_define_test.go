package procpool_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Handles live in package-level variables, so that the program and its workers
// have the same.
var Shout = procpool.Define("shout", func(_ context.Context, text string) (string, error) {
	return strings.ToUpper(text) + "!", nil
})

func ExampleDefine() {
	ctx := context.Background()
	// A program gives its handles to workerproc.Init and starts a pool with
	// executor.New. Inline is a pool without processes, for tests and examples.
	pool := procpooltest.Inline(Shout)

	fmt.Println(Shout.Call(ctx, pool, "hello"))
	// Output: HELLO! <nil>
}

func ExampleRemote() {
	// The worker may be written in any language: all there is to know are the
	// name and the types. A struct's fields are matched by name.
	type request struct{ Width, Height int }
	area := procpool.Remote[request, int]("area")

	pool := procpooltest.Inline(procpool.Define("area", func(_ context.Context, size map[string]int) (int, error) {
		return size["Width"] * size["Height"], nil
	}))
	fmt.Println(area.Call(context.Background(), pool, request{Width: 3, Height: 4}))
	// Output: 12 <nil>
}

func ExampleFunc_Describe() {
	info := Shout.Describe()
	fmt.Println(info.Name, info.In, info.Out, info.Codecs)
	// Output: shout string string [cbor json]
}

func ExampleFunc_With() {
	// With makes a changed copy of a handle; Shout itself stays as it is.
	polite := Shout.With(procpool.Metadata(map[string]string{"tenant": "library"}), procpool.NoWait())

	fmt.Println(polite.Call(context.Background(), procpooltest.Inline(Shout), "quiet, please"))
	// Output: QUIET, PLEASE! <nil>
}
