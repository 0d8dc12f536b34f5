package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

const callExample = "procpool call square 7 -- ./worker"

// callFlags are the flags of call.
type callFlags struct {
	worker  workerFlags
	timeout time.Duration
	retries int
	raw     bool
	codec   string
	level   slog.Level
}

func newCallCommand(kill context.Context, c *console) *cobra.Command {
	f := &callFlags{level: slog.LevelInfo}
	cmd := &cobra.Command{
		Use:   "call [flags] NAME [JSON] -- COMMAND [ARGUMENT...]",
		Short: "Call a task of a worker",
		Long: `Call starts one worker, calls its task NAME, and prints the result as JSON in one line.

The argument is JSON: the one on the command line, or what standard input holds where
that is "-", or where there is none and standard input is no terminal. Where there is
nothing at all it is null. (So in a script whose standard input stays open and is not
meant, say null.)

Of a stream each value is printed in a line of its own, as soon as it comes. A session
is opened with the JSON of the command line; then each line of standard input is a
JSON value for it, each value that it sends is printed in a line, and the end of
standard input tells it that there are no more.

The task gets JSON where it knows that, else CBOR, which is made of the JSON: 1 is an
integer then and 1.0 a float. CBOR has more kinds of values, which are printed as JSON
has them: bytes in base64, NaN as "NaN". With --raw argument, values and result are
bytes as they are, for tasks that know the codec "raw"; what a session is to receive
is sent to it in pieces as they come.

When the call fails, its error is told on standard error: of a task's error the
message, type, notes, what caused it, and the traceback. Ctrl-C and --timeout tell the
task to stop, and kill the worker when it goes on for 3 seconds all the same. Ctrl-C
once more kills it at once.

` + commandHelp + "\n\n" + exitCodes,
		Example: "  " + callExample + `
  procpool call resize '{"width": 640}' --timeout 30s -- worker.py
  procpool call --raw checksum -- ./worker <image.jpg
  procpool call -e CACHE=/tmp count_words - -- worker.py <document.json`,
		ValidArgsFunction: completeCommand(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			own, command, err := splitCommand(cmd, args, callExample)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), kill, c, own, command)
		},
	}
	f.worker.add(cmd)
	flags := cmd.Flags()
	flags.DurationVarP(&f.timeout, "timeout", "t", 0, "the longest that the task may run, such as 30s; without its start, and the time that it waits for values or their reader")
	flags.IntVar(&f.retries, "retries", 0, "run it again up to so many `times` when its worker dies, and no result has been printed")
	flags.BoolVar(&f.raw, "raw", false, "pass bytes in and out as they are, in place of JSON; the same as --codec raw")
	flags.StringVar(&f.codec, "codec", "", "call it in this `codec`, json, cbor or raw, of those that it knows")
	flags.TextVar(&f.level, "log-level", f.level, "show what the task logs from this `level` on: debug, info, warn or error")
	return cmd
}

// run makes a call. own are the arguments before the worker's command.
func (f *callFlags) run(ctx, kill context.Context, c *console, own, command []string) error {
	switch {
	case len(own) == 0:
		return wrongUse("name the task to call, as in: %s", callExample)
	case len(own) > 2:
		return wrongUse(`there are %d arguments before "--": one is the task's name, one its argument; put JSON that has spaces in it between quotes`, len(own))
	case !slices.Contains([]string{"", "json", "cbor", rawName}, f.codec):
		return wrongUse("--codec %s: json, cbor or raw", f.codec)
	case f.raw && f.codec != "" && f.codec != rawName:
		return wrongUse("--raw and --codec %s exclude each other", f.codec)
	case f.timeout < 0:
		return wrongUse("--timeout %v: a time above zero, or 0 for none", f.timeout)
	case f.retries < 0 || f.retries > 100:
		return wrongUse("--retries %d: between 0 and 100", f.retries)
	}
	if f.raw {
		f.codec = rawName
	}
	f.raw = f.codec == rawName
	arg, err := f.given(own[1:])
	if err != nil {
		return err
	}
	pool, err := f.worker.start(ctx, c, command, f.level)
	if err != nil {
		return err
	}
	err = f.call(ctx, c, pool, own[0], arg)
	if isA[*interrupt](err) {
		c.err.setStatus("stopping; Ctrl-C once more kills the worker")
	}
	leave(kill, pool, err)
	if codec, ok := errors.AsType[*procpool.CodecError](err); ok && codec.Codec == procpool.JSON.Name() &&
		strings.HasPrefix(codec.Op, "encode") && f.codec == "" {
		return fmt.Errorf("%w (JSON does not have all values: try --codec cbor)", err)
	}
	return err
}

// leave ends a pool after what it was for ended with err. A call that was given up
// gets the time to stop that the pool gives such calls, and the worker the time to
// leave by itself, until kill ends.
func leave(kill context.Context, pool *executor.Pool, err error) {
	if errors.Is(err, procpool.ErrCrashed) {
		pool.Close() // there is a new worker, which nobody waits for
		return
	}
	_ = pool.Shutdown(kill) // what it says it has given up was given up before, or by kill
}

// call calls a task of the pool and prints what comes of it.
func (f *callFlags) call(ctx context.Context, c *console, pool *executor.Pool, name string, arg argument) error {
	task, err := find(pool.Tasks(), name)
	if err != nil {
		return err
	}
	wire, err := chooseCodec(task, f.codec)
	if err != nil {
		return err
	}
	in, err := arg.read(ctx, c, task.Kind)
	if err != nil {
		return err
	}
	opts := append(f.options(c), procpool.WithCodec(wire))
	switch task.Kind {
	case procpool.KindStream:
		for out, err := range procpool.RemoteStream[value, value](name, opts...).All(ctx, pool, in) {
			if err == nil {
				err = f.print(c, out)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case procpool.KindSession:
		return f.converse(ctx, c, pool, name, in, opts)
	}
	out, err := procpool.Remote[value, value](name, opts...).Call(ctx, pool, in)
	if err != nil {
		return err
	}
	return f.print(c, out)
}

// find returns what is known of the task of that name.
func find(tasks []procpool.TaskInfo, name string) (procpool.TaskInfo, error) {
	var names []string
	for _, t := range tasks {
		of, _, method := strings.Cut(strings.TrimPrefix(name, t.Name), ".")
		switch {
		case t.Kind == procpool.KindActor && strings.HasPrefix(name, t.Name) && (name == t.Name || method && of == ""):
			return t, wrongUse("%q is an actor, which lives no longer than the program that spawns it: call its methods from a program, by procpool.RemoteActor(%q) and procpool.RemoteMethod, or serve a function that does", t.Name, t.Name)
		case t.Name == name:
			return t, nil
		}
		names = append(names, t.Name)
	}
	return procpool.TaskInfo{}, procpool.UnknownTaskError(procpool.Relay{Task: name}.NewCall(), names, "")
}

// options are those of the call that flags have set.
func (f *callFlags) options(c *console) []procpool.Option {
	var opts []procpool.Option
	if f.timeout > 0 {
		opts = append(opts, procpool.Timeout(f.timeout))
	}
	if f.retries > 0 {
		again := func(err error) bool {
			if crash, ok := errors.AsType[*procpool.CrashError](err); ok && crash.Attempt <= f.retries {
				fmt.Fprintf(c.err, "%v; the call is run again\n", err)
			}
			return true
		}
		opts = append(opts, procpool.Retries(f.retries), procpool.RetryOn(procpool.CrashFailure, again), procpool.RetryOn(procpool.OOMFailure, again))
	}
	return opts
}

// print prints a result or a value: JSON in a line, raw bytes as they are.
func (f *callFlags) print(c *console, v value) error {
	if !f.raw {
		v = append(v, '\n')
	}
	if _, err := c.out.Write(v); err != nil {
		return fmt.Errorf("the result can't be written: %w", err)
	}
	return nil
}
