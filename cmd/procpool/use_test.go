package main_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Whoever calls it wrongly is told what is wrong and what to do.
func TestWrongUse(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		args  string
		words []string
	}{
		{"tsks", []string{`unknown command "tsks"`, "Did you mean this?\n\ttasks", `"procpool --help"`}},
		{"tasks", []string{`there is no "--"`, "procpool tasks -- ./worker", `"procpool tasks --help"`}},
		{"tasks --", []string{`nothing behind "--"`}},
		{"tasks x -- worker", []string{`takes no arguments of its own, but there is "x"`}},
		{"tasks --jsno -- worker", []string{"unknown flag: --jsno"}},
		{"tasks --env COLOUR -- worker", []string{"--env COLOUR: it is to be KEY=VALUE"}},
		{"tasks --env PROCPOOL_X=1 -- worker", []string{"begin with PROCPOOL_"}},
		{"call -- worker", []string{"name the task to call", "procpool call square 7"}},
		{"call square 1 2 -- worker", []string{"there are 3 arguments", "between quotes"}},
		{"call square hello -- worker", []string{"the argument, hello, is no JSON", `'"hello"'`}},
		{"call square {] -- worker", []string{"the argument is no JSON: at byte 2 of 2: invalid character ']'"}},
		{"call square --timeout -1s 1 -- worker", []string{`--timeout`}},
		{"call square --timeout soon 1 -- worker", []string{`invalid argument "soon"`}},
		{"call square --retries 101 1 -- worker", []string{"--retries 101: between 0 and 100"}},
		{"call square --codec xml 1 -- worker", []string{"--codec xml: json, cbor or raw"}},
		{"call square --codec cbor --raw 1 -- worker", []string{"--raw and --codec cbor exclude each other"}},
		{"call square --log-level loud 1 -- worker", []string{"--log-level"}},
		{"conform", []string{`there is no "--"`, "procpool conform -- ./standard-worker"}},
		{"conform x -- worker", []string{`takes no arguments of its own, but there is "x"`}},
		{"conform --run ( -- worker", []string{"--run: error parsing regexp"}},
		{"conform --run nothing/at-all -- worker", []string{"no case matches", "--list"}},
		{"conform --limit 0s -- worker", []string{"--limit 0s: a time above zero"}},
	} {
		got := invoke(t, "", strings.Fields(test.args)...)
		t.Logf("procpool %s", test.args)
		got.mustBe(t, 2, "", append(test.words, "tells how to call it")...)
	}
	invoke(t, "", on(t, "call", "square", "")...).mustBe(t, 2, "", "the argument is empty")
	for _, name := range []string{"heap", "heap.push"} {
		invoke(t, "", on(t, "call", name, "1")...).mustBe(t, 2, "", `"heap" is an actor`, `procpool.RemoteActor("heap")`)
	}
	invoke(t, "[1", on(t, "call", "square")...).mustBe(t, 2, "", "standard input is no JSON: at byte 2 of 2: unexpected end")
}

// A worker that does not start is told about once, with what it printed above.
func TestWorkerThatCantStart(t *testing.T) {
	processes(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"fails.sh": "#!/bin/sh\necho no more licences >&2\nexit 3\n", "script.py": "raise SystemExit('no SDK here')\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string][]string{
		"no-such-program": {"the program was not found", "./no-such-program"},
		"missing.py":      {"there is no such script", "missing.py"},
	}
	if runtime.GOOS != "windows" {
		tests["./fails.sh"] = []string{"[worker 1] no more licences\n", "it ended before it was ready: exit status 3; a worker program calls workerproc.Init"}
	}
	if _, err := exec.LookPath("python3"); err == nil {
		tests["script.py"] = []string{"[worker 1] no SDK here\n", "python3", "exit status 1"}
	}
	for worker, words := range tests {
		for _, args := range [][]string{{"tasks"}, {"call", "square", "7"}} {
			got := invoke(t, "", append(args, "-C", dir, "--", worker)...)
			t.Logf("%q -- %s", args, worker)
			got.mustBe(t, 3, "", append(words, "procpool: can't start a worker")...)
			if strings.Count(got.stderr, "no more licences") > 1 {
				t.Errorf("it says it twice:\n%s", got.stderr)
			}
		}
	}
	invoke(t, "", "conform", "-C", dir, "--", "no-such-program").mustBe(t, 3, "", "./no-such-program")
	invoke(t, "", "conform", "-C", dir, "--", "missing.py").mustBe(t, 3, "", "there is no such script")
}

func TestHelpAndCompletion(t *testing.T) {
	processes(t)
	for _, test := range []struct {
		args  string
		words []string
	}{
		{"", []string{"Available Commands:", "Exit codes:"}},
		{"--version", []string{"procpool version "}},
		{"help call", []string{"Exit codes:", "--timeout", "--raw", "--retries", "KEY=VALUE"}},
		{"help conform", []string{"Exit codes:", "duration_nanos", "--list"}},
		{"completion bash", []string{"bash completion"}},
		{"__complete ta", []string{"tasks\t"}},
		{"__complete call squ", []string{":4\n"}}, // no names of files
		{"__complete tasks -- ", []string{":0\n"}},
		{"__complete call square 7 -- ", []string{":0\n"}}, // names of files
		{"__complete call square 7 -- worker ", []string{":0\n"}},
	} {
		args := strings.Fields(test.args)
		if strings.HasSuffix(test.args, " ") {
			args = append(args, "")
		}
		got := invoke(t, "", args...)
		for _, word := range test.words {
			if got.code != 0 || !strings.Contains(got.stdout, word) {
				t.Errorf("procpool %s: exit code %d, it lacks %q:\n%s\n%s", test.args, got.code, word, got.stdout, got.stderr)
			}
		}
	}
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
