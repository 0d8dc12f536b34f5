// Matrix kills workers, breaks values and cancels calls in every way that the
// crash matrix of docs/semantics.md tells of, against procpool and, where there
// is a python3, against CPython's ProcessPoolExecutor and multiprocessing.Pool in
// the same way. It prints what became of the call, of a call that ran beside it,
// of three that waited and of the next one, and what was left of the pool at the
// end. It fails when an event costs procpool more than the one call.
//
// Each line is a host process of its own with a pool of two workers, so that what
// one event breaks can't spoil the next line, and each wait in it ends after six
// seconds: "hang" is a result.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"

	"github.com/procpool/procpool/workerproc"
)

func main() {
	workerproc.Init(served()...)
	if len(os.Args) == 4 && os.Args[1] == hostPart {
		os.Exit(beHost(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "matrix: %v\n", err)
		os.Exit(1)
	}
}

// run does what the command line says.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("matrix", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "run only the lines whose \"event/pool\" matches this regular expression, such as ^idle/")
	jsonFile := flags.String("json", "", "also write the outcomes to this file")
	parallel := flags.Int("parallel", 4, "how many hosts run at once; they mostly wait")
	python := flags.String("python", "python3", "the interpreter whose pools are compared")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("it takes flags only, and %q is none", flags.Arg(0))
	}
	if *parallel < 1 {
		return fmt.Errorf("-parallel is %d: at least one host runs", *parallel)
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only is not a regular expression: %w", err)
	}
	began := time.Now()
	r := runner{parallel: *parallel, chosen: chosen}
	if r.folder, err = os.MkdirTemp("", "matrix"); err != nil {
		return fmt.Errorf("no folder for temporary files: %w", err)
	}
	defer os.RemoveAll(r.folder)
	if err := r.findPython(ctx, *python); err != nil {
		return err
	}
	lines := r.runAll(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if len(lines) == 0 {
		return fmt.Errorf("-only %q matches no line", *only)
	}
	if err := writeTable(stdout, lines, r.version, time.Since(began)); err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := writeJSON(*jsonFile, lines, r.version); err != nil {
			return err
		}
	}
	return failures(lines)
}

// writeJSON writes the outcomes for programs.
func writeJSON(file string, lines []line, python string) error {
	encoded, err := json.MarshalIndent(struct {
		Python string `json:"python"`
		Lines  []line `json:"lines"`
	}{python, lines}, "", "  ")
	if err != nil {
		return fmt.Errorf("the outcomes could not be written as JSON: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("the folder of %s could not be made: %w", file, err)
	}
	if err := os.WriteFile(file, append(encoded, '\n'), 0o644); err != nil {
		return fmt.Errorf("the outcomes could not be written: %w", err)
	}
	return nil
}
