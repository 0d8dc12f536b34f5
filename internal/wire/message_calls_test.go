package wire //nolint:testpackage // helps tests of what is not exported

import (
	"context"
	"slices"
	"testing"

	"github.com/procpool/procpool"
)

// collector is an executor that keeps the calls it is given.
type collector struct {
	calls []*procpool.Call
	stop  func() // called with each pack
}

func (c *collector) Enqueue(_ context.Context, first *procpool.Call, n int) {
	for call := first; n > 0; n-- {
		next := call.Slot.Next
		call.Slot.Next = nil
		c.calls = append(c.calls, call)
		if c.stop != nil {
			c.stop()
		}
		call = next
	}
}

func (c *collector) TakesPacks() bool { return c.stop != nil }

// calls returns n calls of task "square" with an int argument, numbered upwards.
func calls(tb testing.TB, n, in int, opts ...procpool.Option) []*procpool.Call {
	tb.Helper()
	var c collector
	square := procpool.Remote[int, int]("square", opts...)
	for range n {
		square.Submit(tb.Context(), &c, in)
	}
	number(c.calls)
	return c.calls
}

// rawCall returns a call of task "echo" with bytes as its argument.
func rawCall(ctx context.Context, in []byte, opts ...procpool.Option) *procpool.Call {
	var c collector
	opts = append(opts, procpool.WithCodec(procpool.Raw))
	procpool.Remote[[]byte, []byte]("echo", opts...).Submit(ctx, &c, in)
	number(c.calls)
	return c.calls[0]
}

func number(calls []*procpool.Call) {
	seq := uint64(70_000)
	for _, c := range calls {
		n := c.Seal()
		c.Slot.Seq = seq
		seq += uint64(n)
	}
}

// packOf returns a pack of n small numbers.
func packOf(tb testing.TB, n int) *procpool.Call {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	c := collector{}
	var pulled int
	c.stop = func() {}
	numbers := func(yield func(int) bool) {
		for pulled < n && yield(pulled) {
			pulled++
		}
		cancel() // nobody runs the items
	}
	for _, err := range procpool.Remote[int, int]("square").Map(ctx, &c, numbers) {
		if err == nil {
			tb.Fatal("an item has a result, and nobody ran it")
		}
		break
	}
	i := slices.IndexFunc(c.calls, func(c *procpool.Call) bool { return c.Seal() == n })
	if i < 0 {
		tb.Fatalf("Map made no pack of %d items but %d calls", n, len(c.calls))
	}
	number(c.calls)
	return c.calls[i]
}
