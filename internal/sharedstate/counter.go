package sharedstate

import (
	"fmt"

	"github.com/procpool/procpool/internal/sharedop"
)

// counter is a number.
type counter struct{ total int64 }

func (c *counter) definition() definition { return definition{kind: "counter"} }

func (c *counter) do(_ *Registry, op *operation) bool {
	sum := c.total + op.args.Delta
	if (sum > c.total) != (op.args.Delta > 0) {
		op.call.Finish(nil, op.failure(sharedop.CodeInvalid, fmt.Sprintf("it is at %d, and with %d more it would be beyond 64 bits", c.total, op.args.Delta)))
	} else if op.answer(sharedop.Reply{Total: sum}) {
		c.total = sum
	}
	return true
}

// It never waits and grants nothing.
func (c *counter) begin(*Registry, *claim, *operation) {}
func (c *counter) release(*Registry, *claim, release)  {}
func (c *counter) serve(*Registry)                     {}
