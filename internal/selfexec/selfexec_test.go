package selfexec_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/procpool/procpool/internal/selfexec"
)

func TestMain(m *testing.M) {
	// The copy of this program that TestReplacedProgramStartsAgain runs.
	if os.Getenv("SELFEXEC_TEST_RUN_AGAIN") != "" {
		os.Exit(runAgain())
	}
	marks = []bool{selfexec.InitCalled(), selfexec.MarkInit(), selfexec.MarkInit(), selfexec.InitCalled()}
	os.Exit(m.Run())
}

// marks is what the functions around the one-way mark said, in order: a process
// can see that only once.
var marks []bool

func TestMarkInitTellsTheFirstTime(t *testing.T) {
	t.Parallel()
	if want := []bool{false, true, false, true}; !slices.Equal(marks, want) {
		t.Errorf("InitCalled, MarkInit, MarkInit, InitCalled = %v, want %v", marks, want)
	}
}

func TestDepth(t *testing.T) {
	for value, want := range map[string]int{
		"0": 0, "1": 1, "3": 3, "17": 17,
		"": selfexec.MaxDepth, "x": selfexec.MaxDepth, "-1": selfexec.MaxDepth,
	} {
		t.Setenv("PROCPOOL_DEPTH", value)
		if got := selfexec.Depth(); got != want {
			t.Errorf("Depth with PROCPOOL_DEPTH=%q = %d, want %d", value, got, want)
		}
	}
	if err := os.Unsetenv("PROCPOOL_DEPTH"); err != nil {
		t.Fatal(err)
	}
	if got := selfexec.Depth(); got != 0 {
		t.Errorf("Depth without PROCPOOL_DEPTH = %d, want 0", got)
	}
}

func TestWorkerEnv(t *testing.T) {
	t.Setenv("PROCPOOL_DEPTH", "1")
	base := []string{
		"PATH=/bin", "PLUGIN_CLIENT_CERT=outer", "PROCPOOL_WORKER=1", "PROCPOOL_DEPTH=1",
		"PROCPOOL_RECORDER=/proc/1/fd/3", "MY_PLUGIN_DIR=kept", "PLUGINS=kept", "=C:=C:\\", "",
	}
	before := slices.Clone(base)
	kept := []string{"PATH=/bin", "MY_PLUGIN_DIR=kept", "PLUGINS=kept", "=C:=C:\\", "", "PROCPOOL_DEPTH=2"}

	if got := selfexec.WorkerEnv(base); !slices.Equal(got, kept) {
		t.Errorf("for another program: %q, want %q", got, kept)
	}
	if !slices.Equal(base, before) {
		t.Error("base was modified")
	}
}

func TestExecutableNamesTheProgramOnly(t *testing.T) {
	path, args, err := selfexec.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if len(args) != 1 || args[0] != os.Args[0] {
		t.Errorf("args = %q, want the program's name %q alone", args, os.Args[0])
	}
	mine, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(mine, other) {
		t.Errorf("Executable = %q, which is not %q", path, exe)
	}
}

// A deployment replaces a program's file while it runs; its workers must still
// be the program that runs.
func TestReplacedProgramStartsAgain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux names the running program apart from its file")
	}
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "SELFEXEC_TEST_RUN_AGAIN=first")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "I run, though my file is gone\n" {
		t.Errorf("the replaced program printed %q, error %v", out, err)
	}
}

// runAgain removes the program's own file and starts the program once more.
func runAgain() int {
	if os.Getenv("SELFEXEC_TEST_RUN_AGAIN") == "second" {
		_, _ = os.Stdout.WriteString("I run, though my file is gone\n")
		return 0
	}
	if err := os.Remove(os.Args[0]); err != nil {
		return 2
	}
	path, args, err := selfexec.Executable()
	if err != nil {
		return 3
	}
	cmd := exec.Cmd{Path: path, Args: args, Env: append(os.Environ(), "SELFEXEC_TEST_RUN_AGAIN=second"), Stdout: os.Stdout, Stderr: os.Stderr}
	if err := cmd.Run(); err != nil {
		return 4
	}
	return 0
}
