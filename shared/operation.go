package shared

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"unicode/utf8"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

type operation = *procpool.Func[sharedop.Args, sharedop.Reply]

func operationOf(name string, opts ...procpool.Option) operation {
	return procpool.Operation[sharedop.Args, sharedop.Reply](name, append(opts, procpool.Errors(sentinels))...)
}

var (
	mutexLock        = operationOf(sharedop.MutexLock)
	mutexUnlock      = operationOf(sharedop.MutexUnlock, procpool.Unanswered())
	semaphoreAcquire = operationOf(sharedop.SemaphoreAcquire)
	semaphoreRelease = operationOf(sharedop.SemaphoreRelease, procpool.Unanswered())
	counterAdd       = operationOf(sharedop.CounterAdd)
	queuePut         = operationOf(sharedop.QueuePut)
	queueGet         = operationOf(sharedop.QueueGet)
	queueDone        = operationOf(sharedop.QueueDone)
	queueReturn      = operationOf(sharedop.QueueReturn, procpool.Unanswered())
	queueJoin        = operationOf(sharedop.QueueJoin)
	queueClose       = operationOf(sharedop.QueueClose)
	queueDead        = operationOf(sharedop.QueueDead)
	queueInfo        = operationOf(sharedop.QueueInfo)
)

// checkName panics unless name can be an object's.
func checkName(verb, name string) {
	if name == "" || len(name) > sharedop.MaxName || !utf8.ValidString(name) {
		panic(fmt.Sprintf("procpool/shared: %s(%q): a name is UTF-8 text of 1 to %d bytes", verb, name, sharedop.MaxName))
	}
}

// perform makes an operation and waits for its outcome. what is what was not done if it
// fails.
func perform(ctx context.Context, ex procpool.Executor, op operation, args sharedop.Args, what string) (sharedop.Reply, error) {
	reply, err := op.Call(ctx, ex, args)
	runtime.KeepAlive(ex) // a pool that nobody holds closes, and somebody waits here
	return reply, explain(ctx, err, what)
}

// grant is what an operation has granted and what is to be given back.
type grant struct {
	ctx    context.Context //nolint:containedctx // of who has it, without its end: it may say whose it is
	ex     procpool.Executor
	give   operation // gives it back
	name   string    // of the object
	ticket uint64
	given  atomic.Bool
}

// acquire makes an operation that grants something. Whoever gives up waiting for it may
// have got it in that moment, and gives it back.
func acquire(ctx context.Context, ex procpool.Executor, op, give operation, args sharedop.Args, what string) (*grant, sharedop.Reply, error) {
	args.Ticket = rand.Uint64N(math.MaxInt64) + 1
	g := &grant{ctx: context.WithoutCancel(ctx), ex: ex, give: give, name: args.Name, ticket: args.Ticket}
	reply, err := perform(ctx, ex, op, args, what)
	if err == nil {
		return g, reply, nil
	}
	if ctx.Err() != nil {
		g.back(sharedop.Args{Unseen: true, Most: args.Most})
	}
	return nil, reply, err
}

// back gives it back, if that was not done before. It does not wait for an answer:
// what is sent to the host is there before the end of the call that sends it. how has
// the rest of the arguments.
func (g *grant) back(how sharedop.Args) {
	if g.given.CompareAndSwap(false, true) {
		how.Name, how.Ticket = g.name, g.ticket
		g.give.Submit(g.ctx, g.ex, how)
	}
}

// A keeper gives back what belongs to a value of the program's when that is garbage. It
// does nothing for a task, whose call gives back what it has.
type keeper struct {
	cleanup runtime.Cleanup
	set     bool
}

// keep returns the keeper of a value that a grant belongs to.
func keep[T any](value *T, g *grant, reply sharedop.Reply) keeper {
	if !reply.Loose {
		return keeper{}
	}
	return keeper{set: true, cleanup: runtime.AddCleanup(value, func(g *grant) { g.back(sharedop.Args{Dropped: true}) }, g)}
}

// stop says that the value is not kept any more.
func (k *keeper) stop() {
	if k.set {
		k.cleanup.Stop()
	}
}
