package examples_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// update has the tests write what the programs print instead of comparing it:
// go test ./examples -update.
var update = flag.Bool("update", false, "write testdata instead of comparing with it")

// programs is the folder of the built programs.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	var err error
	if programs, err = os.MkdirTemp("", "examples-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	build := exec.Command("go", "build", "-o", programs, "./...")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the examples: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestExamples runs each program that needs no arguments and compares what it
// prints.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hello", "crash", "timeout", "progress", "supervise", "primes", "parser", "walk", "wordcount", "lockstep", "assembly", "modelserver"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runExample(t, name)
			r.check(t, 0)
			compare(t, name, r.stdout)
			if r.stderr != "" {
				t.Errorf("it prints on standard error:\n%s", r.stderr)
			}
			if left := list(t, r.dir); len(left) > 0 {
				t.Errorf("it leaves %q in its folder", left)
			}
		})
	}
}

// A result is what a run of a program came to.
type result struct {
	name           string
	code           int
	stdout, stderr string
	dir            string // where it ran
}

func (r result) check(t *testing.T, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s ended with exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.name, r.code, code, r.stdout, r.stderr)
	}
}

// runExample runs a program in an empty folder, and checks that neither a process
// nor a temporary file of it is left.
func runExample(t *testing.T, name string, args ...string) result {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts processes, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	return finish(t, name, cmd)
}

func finish(t *testing.T, name string, cmd *exec.Cmd) result {
	t.Helper()
	temp, err := os.MkdirTemp("", "ex") //nolint:usetesting // sockets are made below it, which bounds its length
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	r := result{name: name, dir: t.TempDir()}
	// Whoever inherits this was started by the program.
	mark := "PROGRAM_UNDER_TEST=" + temp
	if cmd.Dir == "" {
		cmd.Dir = r.dir
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, mark)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%s can't be run: %v", name, err)
	}
	r.code, r.stdout, r.stderr = cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	noneLeft(t, mark)
	if left := list(t, temp); len(left) > 0 {
		t.Errorf("%s leaves temporary files: %q", name, left)
	}
	return r
}

// noneLeft fails when a process lives on that was started with the environment
// entry mark. Only Linux lets that be seen.
func noneLeft(t *testing.T, mark string) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := marked(mark)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Errorf("these processes are left: %q", left)
			return
		}
	}
}

func marked(mark string) []string {
	var found []string
	environments, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	for _, path := range environments {
		env, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), mark) {
			continue // somebody else's, or gone by now
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		found = append(found, filepath.Base(filepath.Dir(path))+" "+strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// list returns the files below a folder, with slashes.
func list(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	for path, entry := range walk(t, folder) {
		if !entry.IsDir() {
			files = append(files, path)
		}
	}
	return files
}

func walk(t *testing.T, folder string) func(yield func(string, os.DirEntry) bool) {
	t.Helper()
	return func(yield func(string, os.DirEntry) bool) {
		err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(folder, path)
			if err == nil && name != "." && !yield(filepath.ToSlash(name), entry) {
				return filepath.SkipAll
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// normal replaces what differs from run to run.
func normal(text string) string {
	for _, n := range []struct{ pattern, with string }{
		{`\bpid \d+`, "pid PID"},
		// A wait says how long, but a loaded machine takes longer.
		{`\bafter [0-9.]+(ms|s)\b`, "after TIME"},
		{`\bin [0-9.]+ s\b`, "in TIME"},
		// The toolchain's images: where they are and how many.
		{`below .*[/\\]src[/\\]image`, "below GOROOT/src/image"},
		{`(?m)^\d+ of \d+ files$`, "N of N files"},
		{`(?m)^\d+ (images|thumbnails) `, "N $1 "},
		// The toolchain's source: how much there is of it.
		{`(?m)^ *\d+ bytes in \d+ files below .*, in \d+ calls$`, "N bytes in N files below GOROOT/src, in N calls"},
		{`(?m)^ *\d+ bytes in \w+$`, "N bytes in FOLDER"},
		{`(?m)^\d+ words, \d+ different ones, in \d+ folders$`, "N words, N different ones, in N folders"},
		{`\btook [0-9.]+ s\b`, "took TIME"},
		// A memory limit is enforced in one of several ways.
		{`died: .*; out of memory: yes`, "died: CAUSE; out of memory: yes"},
		{`out[/\\]thumbnails[/\\]`, "out/thumbnails/"},
	} {
		text = regexp.MustCompile(n.pattern).ReplaceAllString(text, n.with)
	}
	return text
}

// compare holds what a program printed against testdata.
func compare(t *testing.T, name, printed string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	got := normal(printed)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./examples -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s prints\n%s\nand %s has\n%s", name, got, file, want)
	}
}
