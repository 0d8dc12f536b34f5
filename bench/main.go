// Command bench measures procpool beside what one would use instead, in one
// run: a raw Unix socket between two Go processes, a bare go-plugin, CPython's
// ProcessPoolExecutor. It prints one table and writes it as JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	initWorker()
	if code, played := playPart(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	quick  bool
	counts counts
	only   *regexp.Regexp
	json   string
	record bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.quick, "quick", false, "few short rounds: half a minute, good for a look")
	only := flags.String("only", "", "measure only the sides whose \"measure/side\" matches this regular expression")
	flags.StringVar(&s.json, "json", "", "where to write the run as JSON (default: out/bench.json in the repository)")
	flags.BoolVar(&s.record, "record", false, "also write it to docs/benchmarks/<os>-<cpu>-<commit>.json, to be committed")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("it takes flags only, and %q is none", flags.Arg(0))
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return s, fmt.Errorf("-only is not a regular expression: %w", err)
	}
	if s.record && (s.quick || *only != "") {
		return s, errors.New("-record is for whole runs: leave -quick and -only away")
	}
	s.counts = fullCounts()
	if s.quick {
		s.counts = quickCounts()
	}
	return s, nil
}

// run does what the command line says.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return s.run(ctx, stdout, stderr)
}

// run measures, prints and writes. Progress goes to stderr.
func (s settings) run(ctx context.Context, stdout, stderr io.Writer) error {
	root, rootErr := repositoryRoot()
	if s.json == "" || s.record {
		if rootErr != nil {
			return rootErr
		}
	}
	if s.json == "" {
		s.json = filepath.Join(root, "out", "bench.json")
	}
	folder, err := os.MkdirTemp("", "procpool-bench-")
	if err != nil {
		return fmt.Errorf("no folder for temporary files: %w", err)
	}
	defer os.RemoveAll(folder)
	py, err := findPython(ctx, folder, root)
	if err != nil {
		return err
	}
	began := time.Now()
	r := &report{
		Format:  formatVersion,
		Date:    began.UTC().Truncate(time.Second),
		Commit:  commitOf(ctx, root),
		Machine: thisMachine(ctx, py.version),
		Quick:   s.quick,
		Only:    s.only.String(),
	}
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stderr, format+"\n", args...) // losing progress loses nothing
	}
	for _, m := range plan(s.counts, py) {
		if results := m.run(ctx, s.only, say); results != nil {
			r.Rows = append(r.Rows, m.rows(results)...)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted: nothing was written")
		}
	}
	if len(r.Rows) == 0 {
		return fmt.Errorf("-only %q matches no measure", s.only)
	}
	r.Seconds = time.Since(began).Round(time.Second / 10).Seconds()
	return r.publish(s, root, stdout)
}

// publish prints the table and writes the files.
func (r *report) publish(s settings, root string, stdout io.Writer) error {
	if err := r.writeTable(stdout); err != nil {
		return err
	}
	files := []string{s.json}
	if s.record {
		name := fmt.Sprintf("%s-%s-%s.json", r.Machine.OS, r.Machine.slug(), r.Commit)
		files = append(files, filepath.Join(root, "docs", "benchmarks", name))
	}
	for _, file := range files {
		if err := r.writeJSON(file); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "Written to %s.\n", file); err != nil {
			return fmt.Errorf("the run is in %s, but that could not be printed: %w", file, err)
		}
	}
	return nil
}
