package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// run runs the command line and returns the exit code. It is to be called once in a
// program, whose signals it takes.
func run(args []string, in, out, err *os.File) int {
	c := newConsole(in, out, err)
	ask, kill := watchInterrupts()
	root, parsed := newRoot(kill, c)
	root.SetArgs(keepNegative(args))
	cmd, failure := root.ExecuteContextC(ask)
	if failure != nil && !*parsed {
		failure = wrongUse("%v", failure) // by cobra, of flags and commands
	}
	c.err.setStatus("")
	fmt.Fprint(c.err, explain(failure, cmd.CommandPath()))
	return exitCode(failure)
}

// newRoot makes the command line. parsed tells whether it was right as far as its
// commands and flags go. kill ends when a worker is no longer to be waited for.
func newRoot(kill context.Context, c *console) (root *cobra.Command, parsed *bool) {
	parsed = new(bool)
	root = &cobra.Command{
		Use:   "procpool",
		Short: "Look at, call and try workers of the process pool",
		Long: `Procpool starts worker programs, in whatever language, and shows what they serve,
calls their tasks, and tries whether they keep the protocol.

` + commandHelp + "\n\n" + exitCodes,
		Example: `  procpool tasks -- ./worker
  procpool call square 7 -- worker.py
  procpool conform -- ./standard-worker`,
		Version:          version(),
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { *parsed = true },
	}
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.AddCommand(newTasksCommand(kill, c), newCallCommand(kill, c), newConformCommand(kill, c))
	return root, parsed
}

// version returns the version of the module that this program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// keepNegative puts a space before each argument that is a negative number, up to
// "--", so that it is not taken for a flag. JSON does not mind, and no flag is a digit.
func keepNegative(args []string) []string {
	var kept []string
	for i, arg := range args {
		if arg == "--" {
			return append(kept, args[i:]...)
		}
		if len(arg) > 1 && arg[0] == '-' && '0' <= arg[1] && arg[1] <= '9' {
			arg = " " + arg
		}
		kept = append(kept, arg)
	}
	return kept
}
