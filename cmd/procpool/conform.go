package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/procpool/procpool/internal/conformance"
)

const conformExample = "procpool conform -- ./standard-worker"

// conformFlags are the flags of conform.
type conformFlags struct {
	worker workerFlags
	only   string
	limit  time.Duration
	list   bool
	asJSON bool
}

func newConformCommand(kill context.Context, c *console) *cobra.Command {
	f := &conformFlags{}
	cmd := &cobra.Command{
		Use:   "conform [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run the conformance kit against a worker",
		Long: `Conform tries whether a worker keeps the protocol: it runs a table of cases against
any worker command, in whatever language, that serves the standard functions, which
docs/conformance.md names. It starts the command many times.

It prints the cases section by section as they end, each with "pass", "FAIL" and the
reason, or "skip" and what the worker lacks that it need not have, and ends with a line
that counts them. It succeeds when no case has failed.

With --json it prints a JSON document a line: for each case, as it ends,
{"section", "name", "outcome", "reason", "duration_nanos"}, where the outcome is "pass",
"fail" or "skip", and last {"summary": {"pass", "fail", "skip", "duration_nanos"}}. With
--list each line is {"section", "name", "promise"}.

` + commandHelp + "\n\n" + exitCodes,
		Example: "  " + conformExample + `
  procpool conform --run '^(values|streams)/' -- worker.py
  procpool conform --list`,
		ValidArgsFunction: completeCommand(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			cases, err := f.choose()
			if err != nil {
				return err
			}
			if f.list && len(args) == 0 {
				return listCases(c.out, cases, f.asJSON)
			}
			own, command, err := splitCommand(cmd, args, conformExample)
			if err != nil {
				return err
			}
			if len(own) > 0 {
				return wrongUse(`conform takes no arguments of its own, but there is %q before "--"`, own[0])
			}
			if f.list {
				return listCases(c.out, cases, f.asJSON)
			}
			return f.run(cmd.Context(), kill, c, cases, command)
		},
	}
	f.worker.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.only, "run", "", `run only the cases whose "section/name" matches this `+"`regexp`")
	flags.DurationVar(&f.limit, "limit", time.Minute, "the longest that a case may take")
	flags.BoolVar(&f.list, "list", false, "list the cases and what they demand, and run none")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON, a document a line, instead of a table")
	return cmd
}

// choose returns the cases that are to be run.
func (f *conformFlags) choose() ([]conformance.Case, error) {
	if f.limit <= 0 {
		return nil, wrongUse("--limit %v: a time above zero", f.limit)
	}
	pattern, err := regexp.Compile(f.only)
	if err != nil {
		return nil, wrongUse("--run: %v", err)
	}
	var chosen []conformance.Case
	for _, one := range conformance.Cases() {
		if pattern.MatchString(one.ID()) {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return nil, wrongUse("--run %s: no case matches; procpool conform --list names them", f.only)
	}
	return chosen, nil
}

// run runs the cases and prints what comes of them.
func (f *conformFlags) run(ctx, kill context.Context, c *console, cases []conformance.Case, command []string) error {
	env, err := f.worker.environment()
	if err != nil {
		return err
	}
	resolved, err := program(command).Resolve(f.worker.dir, env)
	if err != nil {
		return notStarted(command[0], err)
	}
	// The kit stops when ctx ends, as soon as it can. At the second Ctrl-C nobody waits
	// for that: what it has started ends with this program, however that ends.
	defer context.AfterFunc(kill, func() { os.Exit(exitCode(context.Cause(kill))) })()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var report reporter = newTable(c.out, cases)
	if f.asJSON {
		report = &jsonLines{w: c.out}
	}
	tally := tally{began: time.Now()}
	upcoming := func() {
		if tally.cases() < len(cases) {
			c.err.setStatus(fmt.Sprintf("%d/%d %s", tally.cases()+1, len(cases), cases[tally.cases()].ID()))
		}
	}
	upcoming()
	err = conformance.Run(ctx, conformance.Config{Command: resolved, Env: env, Dir: f.worker.dir, Limit: f.limit}, cases,
		func(r conformance.Result) {
			tally.add(r)
			if err := report.result(r); err != nil {
				cancel(fmt.Errorf("the results can't be written: %w", err))
			}
			upcoming()
		})
	c.err.setStatus("")
	if err != nil {
		return err
	}
	if err := report.summary(tally); err != nil {
		return fmt.Errorf("the results can't be written: %w", err)
	}
	if tally.fail > 0 {
		return errCasesFailed
	}
	return nil
}

// A tally counts results.
type tally struct {
	pass, fail, skip int
	failed           []string // by their ID
	began            time.Time
}

func (t *tally) cases() int { return t.pass + t.fail + t.skip }

func (t *tally) add(r conformance.Result) {
	switch r.Outcome {
	case conformance.Pass:
		t.pass++
	case conformance.Skip:
		t.skip++
	case conformance.Fail:
		t.fail++
		t.failed = append(t.failed, r.Section+"/"+r.Name)
	}
}

// errCasesFailed ends a run in which a case has failed. What there is to say has been
// said.
var errCasesFailed = errors.New("cases failed")
