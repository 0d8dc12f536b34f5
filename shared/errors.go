package shared

import (
	"context"
	"errors"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
)

// Sentinels of the errors of this package, for errors.Is. Beside them there are those
// of any call: the context's, procpool.ErrClosed, procpool.ErrTooLarge,
// *procpool.CodecError, and procpool.ErrNestingLimit where too many tasks wait
// (Config.NestedCalls).
var (
	// ErrMismatch says that the name means another kind of object in this pool, or
	// one of another size.
	ErrMismatch = errors.New("procpool/shared: the name means something else")
	// ErrNotHeld says that an item is not the caller's, or not any more.
	ErrNotHeld = errors.New("procpool/shared: not held")
	// ErrWouldBlock says that TryLock and its like would have to wait.
	ErrWouldBlock = errors.New("procpool/shared: it would block")
	// ErrQueueClosed says that a queue takes no more items, or that it has no more.
	ErrQueueClosed = errors.New("procpool/shared: the queue is closed")
	// ErrLimit says that a pool has as many objects as it may (65,536), or one call
	// as many locks, permits and items (16,384), or that the items which tasks have
	// put and which are not done take 1 GiB, in all queues of the pool.
	ErrLimit = errors.New("procpool/shared: too many")
)

var sentinels = map[string]error{
	sharedop.CodeMismatch: ErrMismatch, sharedop.CodeNotHeld: ErrNotHeld, sharedop.CodeWouldBlock: ErrWouldBlock,
	sharedop.CodeQueueClosed: ErrQueueClosed, sharedop.CodeLimit: ErrLimit,
}

// failure is why an operation failed.
type failure struct {
	text string
	err  error
}

func (e *failure) Error() string { return e.text }
func (e *failure) Unwrap() error { return e.err }

// explain makes the error of an operation say what was not done, such as `mutex "guard"
// was not locked`.
func explain(ctx context.Context, err error, what string) error {
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*procpool.TaskError](err); ok {
		return &failure{text: "procpool: " + failed.Message, err: err}
	}
	why := strings.TrimPrefix(err.Error(), "procpool: ")
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		why = context.Cause(ctx).Error()
	}
	return &failure{text: "procpool: " + what + ": " + why, err: err}
}
