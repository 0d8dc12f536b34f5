package shared

import (
	"context"
	"fmt"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// Counter is a number that begins at 0. It is a handle, immutable and safe for
// concurrent use.
type Counter struct{ name string }

// DefineCounter makes a handle on the counter of that name. It panics when name is
// empty, longer than 1 KiB, or no UTF-8 text.
func DefineCounter(name string) *Counter {
	checkName("DefineCounter", name)
	return &Counter{name: name}
}

// Name returns the counter's name.
func (c *Counter) Name() string { return c.name }

// Add adds delta, which may be negative, and returns the sum. It waits for the host's
// answer and for nothing else. A sum beyond 64 bits is an error and changes nothing. In
// a task whose ctx ends meanwhile the error does not tell whether it was added.
func (c *Counter) Add(ctx context.Context, ex procpool.Executor, delta int64) (int64, error) {
	reply, err := perform(ctx, ex, counterAdd, sharedop.Args{Name: c.name, Delta: delta}, fmt.Sprintf("counter %q was not changed, or nobody knows", c.name))
	return reply.Total, err
}

// Value returns the number.
func (c *Counter) Value(ctx context.Context, ex procpool.Executor) (int64, error) {
	reply, err := perform(ctx, ex, counterAdd, sharedop.Args{Name: c.name}, fmt.Sprintf("counter %q was not read", c.name))
	return reply.Total, err
}
