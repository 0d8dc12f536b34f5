package procpool_test

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
)

// Load loads a model into the memory of the worker that runs it.
var Load = procpool.Define("load", func(_ context.Context, model string) (int, error) { return len(model), nil })

// A pool's Config takes a bound call as its Initializer, which each worker makes
// before it takes others.
func ExampleFunc_Bind() {
	initializer := Load.Bind("model.bin")
	fmt.Println(initializer.IsZero(), initializer.Err())

	broken := procpool.Remote[any, int]("load").Bind(func() {})
	fmt.Println(broken.Err() != nil)
	// Output:
	// false <nil>
	// true
}
