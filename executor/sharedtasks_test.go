package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/shared"
)

// What the tests of shared state share.
var (
	guard = shared.DefineMutex("guard")
	slots = shared.DefineSemaphore("slots", 2)
	total = shared.DefineCounter("total")
	jobs  = shared.DefineQueue[string]("jobs", 10, shared.Deliveries(2))
)

// sharedErrors keep their identity on the way out of a task.
var sharedErrors = procpool.Errors(map[string]error{
	"queue_closed": shared.ErrQueueClosed, "would_block": shared.ErrWouldBlock, "not_held": shared.ErrNotHeld,
	"mismatch": shared.ErrMismatch, "closed": procpool.ErrClosed, "deadline": context.DeadlineExceeded, "too_large": procpool.ErrTooLarge,
})

var (
	// steps does what it is told, one after the other, and tells what came of it.
	steps = procpool.Define("steps", takeSteps, sharedErrors)
	// stepsBeside does so in a process of its own.
	stepsBeside = procpool.DefineSession("steps_beside",
		func(ctx context.Context, in []string, _ iter.Seq[int], send func(string) error) error {
			said, err := takeSteps(ctx, in)
			return errors.Join(err, send(said))
		}, sharedErrors)
	// tally reads a number from a file and writes the next, under the lock.
	tally = procpool.Define("tally", func(ctx context.Context, path string) (n int, err error) {
		return n, guard.Do(ctx, procpool.ExecutorFrom(ctx), func(context.Context) error {
			n, err = tallyOne(path)
			return err
		})
	}, sharedErrors)
	// initialStep is an initializer that counts, and takes steps if it is the first.
	initialStep = procpool.Define("initial_step", func(ctx context.Context, in []string) (string, error) {
		n, err := total.Add(ctx, procpool.ExecutorFrom(ctx), 1)
		if n > 1 || err != nil {
			return "", err
		}
		return takeSteps(ctx, in)
	}, sharedErrors)
)

func sharedTasks() []procpool.Task {
	return []procpool.Task{steps, stepsBeside, tally, initialStep, aloneInside, reaps, relock}
}

// tallyOne is what must not be done by two at a time.
func tallyOne(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return 0, err
	}
	return n + 1, os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

// takeSteps takes steps, each a verb and perhaps an argument.
func takeSteps(ctx context.Context, in []string) (string, error) {
	ex := procpool.ExecutorFrom(ctx)
	var (
		said    []string
		held    *shared.Held
		permits *shared.Permits
		item    *shared.Item[string]
		items   []*shared.Item[string]
		err     error
	)
	end := time.Now().Add(time.Hour)
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	for _, step := range in {
		verb, arg, _ := strings.Cut(step, " ")
		ctx, cancel := context.WithDeadline(ctx, end)
		switch verb {
		case "lock":
			if held, err = guard.Lock(ctx, ex); err == nil && held.Abandoned() {
				say("abandoned")
			}
		case "unlock":
			held.Unlock()
		case "acquire":
			if permits, err = slots.Acquire(ctx, ex, 2); err == nil && permits.Abandoned() {
				say("abandoned")
			}
		case "release":
			permits.Release()
		case "add":
			_, err = total.Add(ctx, ex, 1)
		case "put":
			err = jobs.Put(ctx, ex, arg)
		case "put_large":
			n, _ := strconv.Atoi(arg)
			err = jobs.Put(ctx, ex, strings.Repeat("x", n))
		case "get":
			if item, err = jobs.Get(ctx, ex); err == nil {
				say("%s#%d", item.Value, item.Delivery)
			}
		case "get_many":
			n, _ := strconv.Atoi(arg)
			items, err = jobs.GetMany(ctx, ex, n)
			for _, item := range items {
				say("%s#%d", item.Value, item.Delivery)
			}
		case "done_all":
			err = jobs.DoneAll(ctx, items)
		case "put_all":
			err = jobs.PutAll(ctx, ex, strings.Split(arg, ","))
		case "done":
			err = item.Done(ctx)
		case "return":
			item.Return()
		case "join":
			err = jobs.Join(ctx, ex)
		case "patience": // that the steps after it have together
			end = time.Now().Add(patienceOf(arg))
		case "mark":
			err = os.WriteFile(arg, nil, 0o600)
		case "await":
			err = untilFile(ctx, arg)
		case "sit": // deaf to its context
			err = untilFile(context.Background(), arg)
		case "die":
			_, err = dieOf(ctx, arg)
		default:
			err = fmt.Errorf("there is no step %q", verb)
		}
		cancel()
		if err != nil {
			return strings.Join(said, " "), fmt.Errorf("%s: %w", step, err)
		}
	}
	return strings.Join(said, " "), nil
}
