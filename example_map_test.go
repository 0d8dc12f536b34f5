package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

var Half = procpool.Define("half", func(_ context.Context, n int) (int, error) {
	if n%2 != 0 {
		return 0, fmt.Errorf("%d is odd", n)
	}
	return n / 2, nil
})

func ExampleFunc_Map() {
	pool := procpooltest.Inline(Half)

	// Results come in the order of the inputs; a failed item is one error.
	for n, err := range Half.Map(context.Background(), pool, slices.Values([]int{10, 11, 12})) {
		fmt.Println(n, err)
	}
	// Output:
	// 5 <nil>
	// 0 procpool: task "half" failed: 11 is odd
	// 6 <nil>
}

func ExampleFunc_MapUnordered() {
	pool := procpooltest.Inline(Half)

	// Results come as they are there, each with its input.
	var odd []int
	for item := range Half.MapUnordered(context.Background(), pool, slices.Values([]int{1, 2, 3, 4})) {
		if item.Err != nil {
			odd = append(odd, item.In)
		}
	}
	slices.Sort(odd)
	fmt.Println(odd)
	// Output: [1 3]
}

// naturals is 0, 1, 2 and so on, without end.
func naturals() iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := 0; yield(n); n++ {
		}
	}
}

func ExampleWindow() {
	pool := procpooltest.Inline(Square)

	// The input may have no end: Map pulls no more than a window ahead of its
	// reader, and stops when the reader leaves.
	for n, err := range Square.With(procpool.Window(16)).Map(context.Background(), pool, naturals()) {
		if err != nil || n > 20 {
			break
		}
		fmt.Print(n, " ")
	}
	// Output: 0 1 4 9 16
}

func ExampleFunc_Map_refused() {
	pool := procpooltest.Inline() // which serves nothing

	// What would meet every item alike is told once.
	for _, err := range Square.Map(context.Background(), pool, naturals()) {
		fmt.Println(errors.Is(err, procpool.ErrUnknownTask))
	}
	// Output: true
}
