package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/procpool/procpool"
)

// nestingErrors keeps its identity up through all levels of a recursion.
var nestingErrors = procpool.Errors(map[string]error{"nesting": procpool.ErrNestingLimit})

// The streams, sessions and nesting tasks that the tests' workers serve.
var (
	// count yields the numbers below n.
	count = procpool.DefineStream("count", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return nil
	})
	// endless yields numbers until it can't, and then makes the file at path.
	endless = procpool.DefineStream("endless", func(ctx context.Context, path string, emit func(int) error) error {
		for i := 0; ; i++ {
			if err := emit(i); err != nil {
				text := fmt.Sprintf("%v, cancelled: %v", err, errors.Is(err, context.Canceled) && ctx.Err() != nil)
				return errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
			}
		}
	})
	// ends yields the numbers below its N and then ends in some way.
	ends = procpool.DefineStream("ends", func(ctx context.Context, in ending, emit func(int) error) error {
		if in.Ledger != "" {
			if err := note(in.Ledger, fmt.Sprint("attempt ", procpool.AttemptFrom(ctx))); err != nil {
				return err
			}
		}
		for i := range in.N {
			if err := emit(i); err != nil {
				return err
			}
		}
		if in.Gate != "" {
			if err := untilFile(ctx, in.Gate); err != nil {
				return err
			}
		}
		switch in.How {
		case "":
			return nil
		case "error":
			return fmt.Errorf("at the end: %w", errNoSuchThing)
		case "goexit", "panic":
			_, err := panicOf(in.How)
			return err
		case "once":
			if procpool.AttemptFrom(ctx) > 1 {
				return emit(in.N)
			}
			in.How = "kill"
		}
		_, err := dieOf(ctx, in.How)
		return err
	}, procpool.Errors(map[string]error{"no_such_thing": errNoSuchThing}))
	blobs = procpool.DefineStream("blobs", func(_ context.Context, sizes []int, emit func([]byte) error) error {
		for i, size := range sizes {
			b := make([]byte, size)
			for j := range b {
				b[j] = byte(i)
			}
			if err := emit(b); err != nil {
				return err
			}
		}
		return nil
	})

	// shout answers each line in capitals, and in the end with how many there were.
	shout = procpool.DefineSession("shout", func(_ context.Context, prefix string, recv iter.Seq[string], send func(string) error) error {
		n := 0
		for line := range recv {
			n++
			switch line {
			case "die":
				_, err := dieOf(context.Background(), "kill")
				return err
			case "fail":
				return errNoSuchThing
			case "pid":
				line = fmt.Sprint(os.Getpid())
			}
			if err := send(prefix + strings.ToUpper(line)); err != nil {
				return err
			}
		}
		return send(fmt.Sprint(n))
	}, procpool.Errors(map[string]error{"no_such_thing": errNoSuchThing}))
	// mute takes nothing and says nothing until the gate opens or it is cancelled.
	mute = procpool.DefineSession("mute", func(ctx context.Context, gate string, _ iter.Seq[int], send func(int) error) error {
		if err := os.WriteFile(gate+".started", nil, 0o600); err != nil {
			return err
		}
		return errors.Join(untilFile(ctx, gate), send(1))
	})

	// fib computes in the way that makes most calls.
	fib = procpool.Define("fib", func(ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		self, ex := procpool.Remote[int, int]("fib"), procpool.ExecutorFrom(ctx)
		a, b := self.Submit(ctx, ex, n-1), self.Submit(ctx, ex, n-2)
		x, err := a.Result(ctx)
		if err != nil {
			return 0, err
		}
		y, err := b.Result(ctx)
		return x + y, err
	})
	// dive calls itself until it is as deep as it should be, and returns how deep.
	dive = procpool.Define("dive", func(ctx context.Context, left int) (int, error) {
		if left == 0 {
			return 0, nil
		}
		n, err := procpool.Remote[int, int]("dive", nestingErrors).Call(ctx, procpool.ExecutorFrom(ctx), left-1)
		return n + 1, err
	}, nestingErrors)
	// within makes a call of the pool that it runs in, and tells how that ended.
	within = procpool.Define("within", func(ctx context.Context, in inner) (string, error) {
		ex := procpool.ExecutorFrom(ctx)
		var opts []procpool.Option
		if in.Retries > 0 {
			opts = append(opts, procpool.Retries(in.Retries), procpool.Backoff(0, 0))
		}
		if in.Limit > 0 {
			opts = append(opts, procpool.Timeout(in.Limit))
		}
		switch in.Task {
		case "stream":
			sum := 0
			for v, err := range count.All(ctx, ex, in.N) {
				if err != nil {
					return kindOf(err), nil
				}
				sum += v
			}
			return fmt.Sprint(sum), nil
		case "session":
			talk := shout.Open(ctx, ex, "> ")
			defer talk.Close()
			if err := talk.Send(ctx, in.Arg); err != nil {
				return kindOf(err), nil
			}
			s, err := talk.Recv(ctx)
			if err != nil {
				return kindOf(err), nil
			}
			return s, talk.Close()
		case "gates":
			for i := range in.N {
				gate.Submit(ctx, ex, filepath.Join(in.Arg, fmt.Sprint(i)))
			}
			return in.Arg, untilFile(ctx, filepath.Join(in.Arg, "parent"))
		case "flaky":
			f := flaky.Submit(ctx, ex, trial{Ledger: in.Arg, Times: in.N, How: "kill"}, opts...)
			_, err := f.Result(ctx)
			return fmt.Sprint(kindOf(err), " ", f.Info().Attempts), nil
		case "spin":
			_, err := spin.Call(ctx, ex, 0, opts...)
			return kindOf(err), nil
		case "unserved":
			_, err := unserved.Call(ctx, ex, 0)
			return kindOf(err), nil
		case "fail":
			_, err := fail.Call(ctx, ex, in.Arg)
			return fmt.Sprint(kindOf(err), " ", errors.Is(err, errNoSuchThing)), nil
		}
		_, err := die.Call(ctx, ex, in.Arg, opts...)
		return kindOf(err), nil
	})
	// reports reports and logs.
	reports = procpool.Define("reports", func(ctx context.Context, in reporting) (int, error) {
		for i := range in.N {
			procpool.Report(ctx, float64(i+1)/float64(in.N), fmt.Sprint("step ", i+1))
		}
		log := procpool.Logger(ctx)
		log.Debug("nobody wants this")
		log.Info("half way", "step", in.N, "tenant", procpool.MetadataFrom(ctx)["tenant"])
		log.WithGroup("disk").Warn("nearly full", "left", "1 GiB")
		if in.Gate != "" {
			return 0, untilFile(ctx, in.Gate)
		}
		return in.N, nil
	})
)

func flowTasks() []procpool.Task {
	return []procpool.Task{count, endless, ends, blobs, shout, mute, fib, dive, within, reports, prepareNested, initOnce, delegate, writesNested, asks}
}

// prepareNested is an initializer that calls its pool, which it can't.
var prepareNested = procpool.Define("prepare_nested", func(ctx context.Context, n int) (int, error) {
	return identity.Call(ctx, procpool.ExecutorFrom(ctx), n)
})

// ending is what the stream "ends" does.
type ending struct {
	N            int
	How          string
	Gate, Ledger string
}

// inner is what the task "within" does.
type inner struct {
	Task, Arg  string
	N, Retries int
	Limit      time.Duration
}

type reporting struct {
	N    int
	Gate string
}

// kindOf says of which family an error is, as code in a task sees it.
func kindOf(err error) string {
	var (
		crash   *procpool.CrashError
		timeout *procpool.TimeoutError
		task    *procpool.TaskError
	)
	switch {
	case err == nil:
		return "fine"
	case errors.Is(err, procpool.ErrPoison):
		return "poison"
	case errors.As(err, &crash):
		return fmt.Sprintf("crash %d %s", crash.ExitCode, crash.Signal)
	case errors.As(err, &timeout):
		return "timeout"
	case errors.As(err, &task):
		return "task " + task.Message
	case errors.Is(err, procpool.ErrNestingLimit):
		return "nesting limit: " + err.Error()
	case errors.Is(err, procpool.ErrUnknownTask):
		return "unknown task"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return err.Error()
}

func delegates(ctx context.Context, n int, emit func(int) error) error {
	for range 3 {
		v, err := identity.Call(ctx, procpool.ExecutorFrom(ctx), n)
		if err != nil {
			return err
		}
		if err := emit(v); err != nil {
			return err
		}
	}
	return nil
}

// writesNested makes calls that write into a ledger.
var writesNested = procpool.Define("writes_nested", func(ctx context.Context, path string) (int, error) {
	var all []*procpool.Future[int]
	for i := range 3 {
		all = append(all, ledger.Submit(ctx, procpool.ExecutorFrom(ctx), [2]string{path, fmt.Sprint("nested ", i)}))
	}
	_, err := procpool.All(ctx, all...)
	return len(all), err
})
