package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// workerFlags say how a worker is to be run.
type workerFlags struct {
	env []string
	dir string
}

func (f *workerFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.env, "env", "e", nil, "set a variable in the worker's environment, as `KEY=VALUE`; may be given several times")
	cmd.Flags().StringVarP(&f.dir, "dir", "C", "", "run the worker in this `folder`")
}

// commandHelp tells how commands name a worker.
const commandHelp = `What follows "--" is the command that starts a worker, as it would be typed in a
shell: a program and its arguments. A name without a slash is looked up in PATH. A
Python script, whose name ends in .py, is run by the Python of the virtual environment
.venv beside it or above it in its project, else by that of $VIRTUAL_ENV, else by
python3. The worker's own output appears on standard error.`

// splitCommand divides a command's arguments at "--" into its own and the worker's
// command. example is a way to call it.
func splitCommand(cmd *cobra.Command, args []string, example string) (own, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0:
		return nil, nil, wrongUse(`there is no "--": put it before the command that starts the worker, as in: %s`, example)
	case dash == len(args):
		return nil, nil, wrongUse(`there is nothing behind "--": name the command that starts the worker, as in: %s`, example)
	}
	return args[:dash], args[dash:], nil
}

// program is what runs as a worker.
func program(command []string) executor.Command {
	if strings.HasSuffix(command[0], ".py") {
		return executor.Python(command[0], command[1:]...)
	}
	return executor.Program(command[0], command[1:]...)
}

// environment returns the worker's environment.
func (f *workerFlags) environment() ([]string, error) {
	env := os.Environ()
	for _, entry := range f.env {
		key, _, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return nil, wrongUse("--env %s: it is to be KEY=VALUE", entry)
		}
		for _, ours := range []string{"PLUGIN_", "PROCPOOL_"} {
			if strings.HasPrefix(key, ours) {
				return nil, wrongUse("--env %s: variables that begin with %s are for the pool to set; choose another name", entry, ours)
			}
		}
		env = append(env, entry)
	}
	return env, nil
}

// stopTime is how long a task may go on that was told to stop, before its worker is
// killed. Whoever has no time presses Ctrl-C again, so it is longer than in a pool.
const stopTime = 3 * time.Second

// start starts one worker.
func (f *workerFlags) start(ctx context.Context, c *console, command []string, level slog.Level) (*executor.Pool, error) {
	env, err := f.environment()
	if err != nil {
		return nil, err
	}
	c.err.setStatus("starting " + strings.Join(command, " "))
	defer c.err.setStatus("")
	pool, err := executor.New(ctx, executor.Config{
		Workers: 1, Command: program(command), Env: env, Dir: f.dir,
		CancelGrace: stopTime,
		Output:      c.err,
		Logger:      slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level})),
		OnEvent:     c.progress,
	})
	if err != nil {
		return nil, notStarted(command[0], err)
	}
	return pool, nil
}

// notStarted makes the error of a worker that did not start one for a person at a
// terminal: without the worker's output, which was shown as it came.
func notStarted(name string, err error) error {
	start, ok := errors.AsType[*procpool.StartError](err)
	if !ok {
		return err
	}
	shown := *start
	shown.Output = ""
	if errors.Is(err, exec.ErrNotFound) {
		shown.Reason += fmt.Sprintf(" (one that is not in PATH is named by its path, such as ./%s)", name)
	}
	return &shown
}

// progress shows how far a call has come.
func (c *console) progress(e executor.Event) {
	if e.Kind == executor.TaskProgress {
		c.err.setStatus(fmt.Sprintf("%s %3.0f%% %s", e.Task, 100*e.Progress.Fraction, e.Progress.Text))
	}
}

// completeCommand completes the worker's command by the names of files, and of the own
// words before it nothing, since what the worker serves is not known.
func completeCommand(own int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) < own {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
}
