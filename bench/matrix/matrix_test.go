package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/procpool/procpool/workerproc"
)

// TestMain lets the test binary be a worker and a host, as the program itself is.
func TestMain(m *testing.M) {
	workerproc.Init(served()...)
	if len(os.Args) == 4 && os.Args[1] == hostPart {
		os.Exit(beHost(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// matrix runs the chosen lines and returns them, with what was printed.
func matrix(t *testing.T, args ...string) ([]line, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	// The race detector keeps every process for a second at its end.
	t.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	temp, file := t.TempDir(), filepath.Join(t.TempDir(), "sub", "matrix.json")
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := run(t.Context(), append(args, "-json", file), &out, io.Discard); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("these files are left: %v, %v", left, err)
	}
	encoded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Lines []line }
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatalf("%v\n%s", err, encoded)
	}
	return got.Lines, out.String()
}

// Every row of procpool's is good: the crash matrix of docs/semantics.md.
func TestProcpoolsMatrix(t *testing.T) {
	lines, table := matrix(t, "-only", "/procpool$", "-python", "there-is-no-such-program")
	if len(lines) != len(events()) {
		t.Errorf("%d lines for %d events", len(lines), len(events()))
	}
	for _, l := range lines {
		// That nothing is left within a second is for a machine with nothing else to do.
		late := strings.HasSuffix(l.Left, " 0 after 7 s")
		if !l.Good && !late || !strings.Contains(table, l.What) {
			t.Errorf("%s: %+v", l.Event, l)
		}
	}
	if !strings.Contains(table, "There is no python3 here") {
		t.Errorf("the table does not say that the comparison is missing:\n%s", table)
	}
}

// The comparison is run in the same way, and what is worse there is seen.
func TestPythonsMatrix(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 to compare with")
	}
	lines, table := matrix(t, "-only", "^(exit|host-idle)/ProcessPoolExecutor$|^panic/multi")
	verdicts := map[string]string{"exit": "the pool is broken", "panic": onlyThatCall, "host-idle": "not all of it ends"}
	if len(lines) != len(verdicts) {
		t.Errorf("%d lines:\n%s", len(lines), table)
	}
	for _, l := range lines {
		if l.Verdict != verdicts[l.Event] && l.Left != unknown {
			t.Errorf("%s, %s: %+v", l.Pool, l.Event, l)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	fine := fates{Call: "CrashError, signal: killed", Neighbour: fateOK, Pending: fateOK, Next: fateOK, Close: fateOK}
	for verdict, change := range map[string]func(*line){
		onlyThatCall:                                  func(*line) {},
		"the call hangs":                              func(l *line) { l.Call = fateHang },
		"its neighbour fails":                         func(l *line) { l.Neighbour = "CrashError" },
		"those that wait hang":                        func(l *line) { l.Pending = fateHang },
		"the next one fails":                          func(l *line) { l.Next = "CrashError" },
		"the pool is broken":                          func(l *line) { l.Neighbour, l.Pending, l.Next = "E", "E", "E" },
		"the call hangs, closing hangs":               func(l *line) { l.Call, l.Close = fateHang, fateHang },
		"not all of it ends":                          func(l *line) { l.Left = "1" },
		"it could not be watched":                     func(l *line) { l.fates, l.Trouble = fates{}, "the host: exit status 1" },
		"the call has another outcome than it should": func(l *line) { l.Call = "PanicError" },
	} {
		l := line{Pool: ours, fates: fine, Left: "0", event: events()[0]}
		change(&l)
		l.judge()
		if l.Verdict != verdict || l.Good != (verdict == onlyThatCall) {
			t.Errorf("%+v: %q, want %q", l.fates, l.Verdict, verdict)
		}
		if err := failures([]line{l}); (err == nil) != l.Good {
			t.Errorf("%q: the program ends with %v", verdict, err)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	lines := []line{
		{Event: "a", What: "something happens", Pool: ours, fates: fates{Call: fateOK}, Left: "0", Verdict: onlyThatCall, Good: true},
		{Event: "a", What: "something happens", Pool: executorPool, fates: fates{Call: fateHang, Close: fateHang}, Left: "2", Verdict: "the call hangs"},
		{Event: "a", What: "something happens", Pool: multiprocessingPool, Verdict: cannot},
	}
	var out bytes.Buffer
	if err := writeTable(&out, lines, "Python 3.99", 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Python 3.99", "something happens\n  procpool              ok        -          -        -     0               only that call\n",
		"  ProcessPoolExecutor   hang      -          -        -     2, close hangs  the call hangs\n",
		"procpool              1 of 1 events", "ProcessPoolExecutor   0 of 1 events",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "multiprocessing.Pool  0 of") {
		t.Errorf("what a pool can't do counts:\n%s", out.String())
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "("}, "-only is not a regular expression"},
		{[]string{"-only", "nothing-is-called-this"}, "matches no line"},
		{[]string{"-parallel", "0"}, "-parallel is 0"},
		{[]string{"stray"}, `"stray"`},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), c.args, &out, &out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("run(%q) = %v, want an error with %q", c.args, err, c.want)
		}
	}
}
