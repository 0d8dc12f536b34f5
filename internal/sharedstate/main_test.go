package sharedstate_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
	"github.com/procpool/procpool/internal/sharedstate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller makes operations as one owner.
type caller struct {
	r     *sharedstate.Registry
	owner sharedstate.Owner
	lend  func() func()
	stuck func(int) bool
}

// Enqueue implements procpool.Executor.
func (c caller) Enqueue(ctx context.Context, call *procpool.Call, _ int) {
	c.r.Do(ctx, call, c.owner, sharedstate.Hooks{Lend: c.lend, Stuck: c.stuck})
}

func (c caller) start(ctx context.Context, op string, args sharedop.Args) *procpool.Future[sharedop.Reply] {
	return procpool.Operation[sharedop.Args, sharedop.Reply](op).Submit(ctx, c, args)
}

// do makes an operation that is to have its outcome at once.
func (c caller) do(t testing.TB, op string, args sharedop.Args) (sharedop.Reply, error) {
	t.Helper()
	f := c.start(t.Context(), op, args)
	if f.State() != procpool.Done {
		t.Fatalf("%s of %q waits", op, args.Name)
	}
	return f.Result(t.Context())
}

// must makes an operation that is to succeed at once.
func (c caller) must(t testing.TB, op string, args sharedop.Args) sharedop.Reply {
	t.Helper()
	reply, err := c.do(t, op, args)
	if err != nil {
		t.Fatalf("%s of %q: %v", op, args.Name, err)
	}
	return reply
}

// outcome returns what a future has come to, which it must have.
func outcome(t testing.TB, f *procpool.Future[sharedop.Reply]) (sharedop.Reply, error) {
	t.Helper()
	if f.State() != procpool.Done {
		t.Fatal("it still waits")
	}
	return f.Result(t.Context())
}

// codeOf returns the code of an error of an operation.
func codeOf(err error) string {
	if te, ok := errors.AsType[*procpool.TaskError](err); ok {
		return te.Code
	}
	return ""
}

func call(worker int, seq uint64) sharedstate.Owner {
	return sharedstate.Owner{Worker: worker, Seq: seq}
}
