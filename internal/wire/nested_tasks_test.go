//go:build unix

package wire_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/procpool/procpool"
)

// What the tasks below call: a test's host answers itself, or has a worker do it that
// serves the tasks of the same names.
var (
	asked    = procpool.Remote[int, int]("asked")
	askedRaw = procpool.Remote[[]byte, []byte]("asked_raw", procpool.WithCodec(procpool.Raw))
	yielded  = procpool.RemoteStream[int, int]("yielded")
	talked   = procpool.RemoteSession[int, int, int]("talked")
)

// verdict is what a task has seen of an error.
type verdict struct {
	Text    string
	Matches []string
	Crash   *procpool.CrashError
	Start   *procpool.StartError
	Took    time.Duration
}

// matches names what an error matches.
var matches = map[string]func(error) bool{
	"ErrClosed":        func(err error) bool { return errors.Is(err, procpool.ErrClosed) },
	"ErrQueueFull":     func(err error) bool { return errors.Is(err, procpool.ErrQueueFull) },
	"ErrUnknownTask":   func(err error) bool { return errors.Is(err, procpool.ErrUnknownTask) },
	"ErrTooLarge":      func(err error) bool { return errors.Is(err, procpool.ErrTooLarge) },
	"ErrNestingLimit":  func(err error) bool { return errors.Is(err, procpool.ErrNestingLimit) },
	"ErrCrashed":       func(err error) bool { return errors.Is(err, procpool.ErrCrashed) },
	"ErrUnsupported":   func(err error) bool { return errors.Is(err, errors.ErrUnsupported) },
	"errKnown":         func(err error) bool { return errors.Is(err, errKnown) },
	"Canceled":         func(err error) bool { return errors.Is(err, context.Canceled) },
	"DeadlineExceeded": func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	"TaskError":        as[*procpool.TaskError],
	"PanicError":       as[*procpool.PanicError],
	"CrashError":       as[*procpool.CrashError],
	"TimeoutError":     as[*procpool.TimeoutError],
	"StartError":       as[*procpool.StartError],
	"CodecError":       as[*procpool.CodecError],
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// sumOf returns the sum of the stream's first values.
func sumOf(ctx context.Context, of, first int) (sum int, err error) {
	for v, err := range yielded.All(ctx, procpool.ExecutorFrom(ctx), of, procpool.Window(4)) {
		if err != nil {
			return sum, err
		}
		sum += v
		if first--; first == 0 {
			break
		}
	}
	return sum, nil
}

func judge(err error) verdict {
	if err == nil {
		return verdict{}
	}
	v := verdict{Text: err.Error()}
	for name, match := range matches {
		if match(err) {
			v.Matches = append(v.Matches, name)
		}
	}
	slices.Sort(v.Matches)
	v.Crash, _ = errors.AsType[*procpool.CrashError](err)
	if start, ok := errors.AsType[*procpool.StartError](err); ok {
		v.Start = &procpool.StartError{Command: start.Command, Reason: start.Reason, ExitCode: start.ExitCode, Output: start.Output}
	}
	return v
}

// The tasks that make calls of their own, and those that they call.
var (
	answers = procpool.Define("asked", func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, fmt.Errorf("%d: %w", n, errKnown)
		}
		return n * n, nil
	}, procpool.Errors(map[string]error{"known": errKnown}))
	yields = procpool.DefineStream("yielded", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return nil
	})
	// replies sends back what it receives, and in the end its opening argument.
	replies = procpool.DefineSession("talked", func(_ context.Context, n int, recv iter.Seq[int], send func(int) error) error {
		for v := range recv {
			if err := send(-v); err != nil {
				return err
			}
		}
		return send(n)
	})
	// asks returns what comes of one call.
	asks = procpool.Define("asks", func(ctx context.Context, n int) (int, error) {
		return asked.Call(ctx, procpool.ExecutorFrom(ctx), n)
	})
	// asksMany makes n calls at once and returns the sum of what comes.
	asksMany = procpool.Define("asks_many", func(ctx context.Context, n int) (int, error) {
		sum := 0
		for got, err := range asked.Map(ctx, procpool.ExecutorFrom(ctx), count(n)) {
			if err != nil {
				return 0, err
			}
			sum += got
		}
		return sum, nil
	})
	asksRaw = procpool.Define("asks_raw", func(ctx context.Context, data []byte) ([]byte, error) {
		return askedRaw.Call(ctx, procpool.ExecutorFrom(ctx), data)
	}, procpool.WithCodec(procpool.Raw))
	// asksAll makes a call with all that can be said with it.
	asksAll = procpool.Define("asks_all", func(ctx context.Context, n int) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		keyed := asked.KeyBy(func(n int) string { return fmt.Sprint("key-", n) })
		return keyed.Call(ctx, procpool.ExecutorFrom(ctx), n, procpool.Priority(-7), procpool.Timeout(90*time.Second),
			procpool.Metadata(map[string]string{"tenant": "acme", "": "x"}), procpool.WithCodec(procpool.JSON))
	})
	// judges tells what became of a call that is allowed so many retries.
	judges = procpool.Define("judges", func(ctx context.Context, retries int) (verdict, error) {
		began := time.Now()
		_, err := asked.Call(ctx, procpool.ExecutorFrom(ctx), 1, procpool.Errors(map[string]error{"known": errKnown}),
			procpool.Retries(retries), procpool.Backoff(0, 0))
		v := judge(err)
		v.Took = time.Since(began)
		return v, nil
	})
	// gives gives a call up, once its own context ends for n = 0, by a context that
	// ends for 1 and by Cancel for 2, and tells what became of it.
	givesUp = procpool.Define("gives_up", func(ctx context.Context, n int) (verdict, error) {
		asking, cancel := context.WithCancel(ctx)
		defer cancel()
		f := asked.Submit(asking, procpool.ExecutorFrom(ctx), n)
		switch n {
		case 1:
			cancel()
		case 2:
			f.Cancel()
		}
		_, err := f.Result(context.Background())
		return judge(err), nil
	})
	// abandons makes n calls and returns while they run.
	abandons = procpool.Define("abandons", func(ctx context.Context, n int) (int, error) {
		for i := range n {
			asked.Submit(context.Background(), procpool.ExecutorFrom(ctx), i)
		}
		return n, nil
	})
	// lateAsks has a goroutine make a call, report and log when the task has
	// returned, and prints what came of that.
	lateAsks = procpool.Define("late_asks", func(ctx context.Context, n int) (int, error) {
		ex, logger := procpool.ExecutorFrom(ctx), procpool.Logger(ctx)
		outstanding := asked.Submit(context.Background(), ex, n)
		go func() {
			<-ctx.Done()
			<-outstanding.Done()
			_, first := outstanding.Result(context.Background())
			procpool.Report(ctx, 1, "too late")
			logger.Error("too late")
			_, second := asked.Call(context.Background(), ex, n)
			fmt.Printf("late: %v; %v\n", judge(first).Matches, judge(second).Matches)
		}()
		return n, nil
	})
	// sums returns the sum of a stream's values, sumsSome that of the first n of a long
	// one.
	sums     = procpool.Define("sums", func(ctx context.Context, n int) (int, error) { return sumOf(ctx, n, n) })
	sumsSome = procpool.Define("sums_some", func(ctx context.Context, n int) (int, error) { return sumOf(ctx, 1<<40, n) })
	// talks sends a session the numbers up to n and returns what it says.
	talks = procpool.Define("talks", func(ctx context.Context, n int) ([]int, error) {
		c := talked.Open(ctx, procpool.ExecutorFrom(ctx), n, procpool.Window(4))
		defer func() { _ = c.Close() }()
		var all []int
		for i := range n {
			if err := c.Send(ctx, i); err != nil {
				return all, err
			}
			v, err := c.Recv(ctx)
			if err != nil {
				return all, err
			}
			all = append(all, v)
		}
		c.CloseSend()
		for v, err := range c.All(ctx) {
			if err != nil {
				return all, err
			}
			all = append(all, v)
		}
		return all, nil
	})
	// reports reports n times how far it has come.
	reports = procpool.Define("reports", func(ctx context.Context, n int) (int, error) {
		for i := range n {
			procpool.Report(ctx, float64(i+1)/float64(n), fmt.Sprint("step ", i+1))
		}
		return n, nil
	})
	// reportsAndWaits reports twice and goes on until it is cancelled.
	reportsAndWaits = procpool.Define("reports_and_waits", func(ctx context.Context, n int) (int, error) {
		procpool.Report(ctx, 0.25, "first")
		procpool.Report(ctx, 0.5, strings.Repeat("ä", 64<<10))
		<-ctx.Done()
		return n, nil
	})
	// logs writes a line of each level.
	logs = procpool.Define("logs", func(ctx context.Context, n int) (int, error) {
		logger := procpool.Logger(ctx).With("n", n).WithGroup("g")
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			logger.Log(ctx, level, "a "+level.String(), "took", 1500*time.Millisecond, slog.Group("h", "k", "v"))
		}
		return n, nil
	})
	logsMuch = procpool.Define("logs_much", func(ctx context.Context, n int) (int, error) {
		var many []any
		for i := range 1000 {
			many = append(many, fmt.Sprint("k", i), strings.Repeat("v", 1000))
		}
		procpool.Logger(ctx).Error(strings.Repeat("\xff", 100<<10))
		procpool.Logger(ctx).Error("fields", many...)
		return n, nil
	})
	// timesAsked returns how long each of n calls took.
	timesAsked = procpool.Define("times_asked", func(ctx context.Context, n int) ([]time.Duration, error) {
		ex := procpool.ExecutorFrom(ctx)
		times := make([]time.Duration, n)
		for i := range times {
			began := time.Now()
			if _, err := asked.Call(ctx, ex, i); err != nil {
				return nil, err
			}
			times[i] = time.Since(began)
		}
		return times, nil
	})
)

var nestingTasks = []procpool.Task{
	asks, asksMany, asksRaw, asksAll, judges, givesUp, abandons, lateAsks, sums, sumsSome, talks, reports, reportsAndWaits, logs, logsMuch,
	timesAsked, answers, yields, replies,
}
