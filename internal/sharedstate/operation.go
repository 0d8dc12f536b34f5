package sharedstate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

var operations = sharedop.All()

// operation is a call, understood.
type operation struct {
	call    *procpool.Call
	name    string // such as "mutex.lock"
	kind    string // of the object, such as "mutex"
	args    sharedop.Args
	gives   bool // it gives something back
	release release
}

// parse reads an operation from a call.
func parse(c *procpool.Call) (*operation, error) {
	op := &operation{call: c, name: c.Task()}
	if !slices.Contains(operations, op.name) {
		return nil, procpool.UnknownTaskError(c, operations, "")
	}
	op.kind, _, _ = strings.Cut(op.name, ".")
	if c.Items() != 1 {
		return nil, op.failure(sharedop.CodeInvalid, "operations on shared state are made one by one, not by Map")
	}
	if c.Codec() != procpool.CBOR.Name() {
		return nil, op.failure(sharedop.CodeInvalid, fmt.Sprintf("its arguments are encoded with codec %q; it must be %q", c.Codec(), procpool.CBOR.Name()))
	}
	if err := procpool.CBOR.Decode(c.Payload(), &op.args); err != nil {
		return nil, &procpool.CodecError{Task: op.name, Codec: c.Codec(), Op: "decode the argument", Err: err}
	}
	return op, op.check()
}

// check returns what is wrong with the arguments.
func (op *operation) check() error {
	a := &op.args
	invalid := func(format string, args ...any) error {
		return op.failure(sharedop.CodeInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case a.Name == "" || !utf8.ValidString(a.Name):
		return invalid("an object's name is UTF-8 text, and not empty")
	case len(a.Name) > sharedop.MaxName:
		return invalid("an object's name has at most %d bytes, and this one %d", sharedop.MaxName, len(a.Name))
	case a.Size < 0 || a.Size > math.MaxInt32 || a.Deliveries < 0 || a.Deliveries > math.MaxInt32:
		return invalid("its size or its deliveries make no sense")
	}
	switch op.name {
	case sharedop.MutexUnlock, sharedop.SemaphoreRelease, sharedop.QueueDone, sharedop.QueueReturn:
		op.gives, op.release = true, unlocked
		if op.name == sharedop.QueueReturn {
			op.release = returned
		}
		if a.Unseen {
			op.release = unseen
		} else if a.Dropped {
			op.release = abandoned
		}
	case sharedop.MutexLock:
		a.Count = 1
	case sharedop.SemaphoreAcquire:
		if a.Size < 1 {
			return invalid("a semaphore has at least one permit")
		}
		if a.Count < 1 || a.Count > a.Size {
			return invalid("it is asked for %d permits, and has %d", a.Count, a.Size)
		}
	}
	if op.kind == "queue" && !op.gives && (a.Size < 1 || a.Deliveries < 1) {
		return invalid("a queue holds at least one item, and delivers it at least once")
	}
	if err := op.checkBatch(); err != nil {
		return err
	}
	if grants := op.name == sharedop.MutexLock || op.name == sharedop.SemaphoreAcquire || op.name == sharedop.QueueGet; grants || op.gives {
		if a.Ticket == 0 && len(a.Tickets) == 0 || slices.Contains(a.Tickets, 0) {
			return invalid("it needs a ticket")
		}
	} else {
		a.Ticket = 0
	}
	return nil
}

// checkBatch returns what is wrong with the arguments that are about several items.
func (op *operation) checkBatch() error {
	a := &op.args
	invalid := func(format string, args ...any) error {
		return op.failure(sharedop.CodeInvalid, fmt.Sprintf(format, args...))
	}
	switch several := len(a.Values) > 0 || len(a.Tickets) > 0 || a.Most != 0; {
	case !several:
		return nil
	case len(a.Values) > 0 && (op.name != sharedop.QueuePut || a.Value != nil):
		return invalid("values are for queue.put, in place of a value")
	case len(a.Values) > a.Size:
		return invalid("%d items are to be put at once, and it holds %d", len(a.Values), a.Size)
	case a.Most != 0 && op.name != sharedop.QueueGet && op.name != sharedop.QueueReturn:
		return invalid("how many at the most is for queue.get and queue.return")
	case a.Most < 0 || a.Most > sharedop.MaxBatch || a.Ticket > math.MaxInt64:
		return invalid("it is asked for %d items at the most: it gives between 1 and %d", a.Most, sharedop.MaxBatch)
	case len(a.Tickets) > 0 && (op.name != sharedop.QueueDone || a.Ticket != 0):
		return invalid("tickets are for queue.done, in place of a ticket")
	case len(a.Tickets) > sharedop.MaxBatch:
		return invalid("%d items are to be done at once, and a call has at most %d", len(a.Tickets), sharedop.MaxBatch)
	}
	sorted := slices.Sorted(slices.Values(a.Tickets))
	if len(slices.Compact(sorted)) < len(a.Tickets) {
		return invalid("an item is to be done twice")
	}
	return nil
}

// tickets are those of what the operation gives back.
func (op *operation) tickets() []uint64 {
	a := &op.args
	if len(a.Tickets) > 0 {
		return a.Tickets
	}
	tickets := make([]uint64, max(a.Most, 1))
	for i := range tickets {
		tickets[i] = a.Ticket + uint64(i)
	}
	return tickets
}

// failure makes the error with which the operation fails.
func (op *operation) failure(code, why string) error {
	return &procpool.TaskError{
		Task: op.name, Type: "shared", Code: code, Message: fmt.Sprintf("%s %q: %s", op.kind, op.args.Name, why),
	}
}

// answer gives the operation's call its outcome. It reports false when it had one
// already: it was given up, and is not to be carried out.
func (op *operation) answer(reply sharedop.Reply) bool { return op.call.Finish(encode(reply), nil) }

// definition returns what the operation takes its object for.
func (op *operation) definition() definition {
	d := definition{kind: op.kind}
	switch op.kind {
	case "semaphore":
		d.size = op.args.Size
	case "queue":
		d.size, d.deliveries = op.args.Size, op.args.Deliveries
	}
	return d
}

// definition is what two that use an object must agree on.
type definition struct {
	kind             string
	size, deliveries int
}

func (d definition) String() string {
	switch d.kind {
	case "semaphore":
		return fmt.Sprintf("a semaphore of %d", d.size)
	case "queue":
		return fmt.Sprintf("a queue of %d with %d deliveries", d.size, d.deliveries)
	}
	return "a " + d.kind
}

// make makes the object.
func (d definition) make() object {
	switch d.kind {
	case "counter":
		return new(counter)
	case "queue":
		return &queue{is: d}
	case "mutex":
		return &permits{is: d, free: 1}
	}
	return &permits{is: d, free: d.size}
}

// An object is one mutex, semaphore, counter or queue. Its methods are called with the
// registry's lock held.
type object interface {
	definition() definition
	// do carries out and answers an operation that never waits and grants nothing.
	// It reports false for any other.
	do(r *Registry, op *operation) bool
	// begin begins an operation that may wait: it settles its claim, or has it
	// stand in line.
	begin(r *Registry, cl *claim, op *operation)
	// release takes back what was granted to a claim, which is over. serve is to be
	// called then.
	release(r *Registry, cl *claim, how release)
	// serve grants what there is to those who wait for it, and is to be called also
	// when somebody has left their line.
	serve(r *Registry)
}

// encode encodes a reply, which can't fail: it is numbers and bytes.
func encode(reply sharedop.Reply) []byte {
	if b, err := procpool.CBOR.Append(nil, reply); err == nil {
		return b
	}
	return nil
}
