package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestMain lets the test binary play the parts that the benchmark's own binary
// plays when it runs again.
func TestMain(m *testing.M) {
	initWorker()
	if code, played := playPart(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// tinyCounts are enough to see that everything works.
func tinyCounts() counts {
	return counts{
		rounds: 2, coldRounds: 1, crashRounds: 2,
		futures: 3_000, pythonFutures: 100,
		mapped:     3_000,
		roundTrips: 100, pythonTrips: 10,
		queued: 2_000, shared: 100, pings: 10, streamed: 3_000,
		worked: 60, replaced: 2,
		echoBytes: 1, pythonEchoBytes: 1, // one echo a round
	}
}

// measured runs the benchmark on the sides that only selects, down to its JSON,
// and checks that it leaves nothing behind.
func measured(t *testing.T, only string) (got report, table string) {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	// The race detector keeps every process for a second at its end.
	t.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	s, err := parse([]string{"-quick", "-only", only, "-json", filepath.Join(t.TempDir(), "sub", "bench.json")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s.counts = tinyCounts()
	var stdout, stderr bytes.Buffer
	if err := s.run(t.Context(), &stdout, &stderr); err != nil {
		t.Fatalf("run: %v\n%s", err, stderr.String())
	}
	nothingLeft(t, temp)
	return readReport(t, s.json), stdout.String()
}

// TestRunMeasuresRawSockets runs what needs no pool, and leaves the pool out.
func TestRunMeasuresRawSockets(t *testing.T) {
	const only = "(round-trip|http)/.*raw socket"
	got, table := measured(t, only)
	if !got.Quick || got.Only != only || got.Format != formatVersion || got.Machine.CPUs != runtime.NumCPU() {
		t.Errorf("the JSON says quick=%v only=%q format=%d cpus=%d", got.Quick, got.Only, got.Format, got.Machine.CPUs)
	}
	r := findRow(t, got, "round trip, one call at a time, p50", rawSocket)
	if r.Procpool.Value != nil || r.Procpool.Why != errNotSelected.Error() || r.Ratio != nil || r.Met != metUnknown {
		t.Errorf("the side that was left out has value %v, why %q, ratio %v, met %q", r.Procpool.Value, r.Procpool.Why, r.Ratio, r.Met)
	}
	if r.Against.Value == nil || *r.Against.Value <= 0 || len(r.Against.Rounds) != tinyCounts().rounds {
		t.Errorf("the raw ping-pong was not measured: %+v", r.Against)
	}
	for _, want := range []string{"raw socket ping-pong", "not run", "bench.json", "A quick run"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not mention %q:\n%s", want, table)
		}
	}
}

// TestRunMeasuresColdPlugin holds the go-plugin comparison, host and plugin
// both being this binary.
func TestRunMeasuresColdPlugin(t *testing.T) {
	got, _ := measured(t, barePlugin)
	if r := findRow(t, got, "cold start to first result", barePlugin); r.Against.Value == nil {
		t.Errorf("the bare go-plugin was not measured: %s", r.Against.Why)
	}
}

// TestRunMeasuresBareStreams holds the gRPC streams that ours are compared with.
func TestRunMeasuresBareStreams(t *testing.T) {
	got, _ := measured(t, bareStream)
	for _, what := range []string{"values of one stream, small", "a session's value and its answer, p50"} {
		if r := findRow(t, got, what, bareStream); r.Against.Value == nil || *r.Against.Value <= 0 {
			t.Errorf("%s: the bare stream was not measured: %s", what, r.Against.Why)
		}
	}
}

// TestRunMeasuresPool runs every measure of ours on real workers, and leaves out
// what it is compared with.
func TestRunMeasuresPool(t *testing.T) {
	got, table := measured(t, "/(procpool|beside.*pool)")
	for _, r := range got.Rows {
		if strings.HasPrefix(r.What, "CPU") && runtime.GOOS != "linux" {
			continue // other systems don't tell; the row says so
		}
		if r.Procpool.Value == nil || *r.Procpool.Value <= 0 {
			t.Errorf("row %q was not measured: %s", r.What, r.Procpool.Why)
		}
	}
	measures := 0
	for _, m := range plan(tinyCounts(), &python{}) {
		if !strings.HasPrefix(m.Name, "python-") {
			measures++
		}
	}
	if len(got.Rows) < measures {
		t.Errorf("%d rows for %d measures:\n%s", len(got.Rows), measures, table)
	}
}

// TestRunMeasuresPython does the same for Python workers, beside what they are compared
// with.
func TestRunMeasuresPython(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	py, err := findPython(t.Context(), t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := py.usable(); err != nil {
		t.Skip(err)
	}
	got, table := measured(t, "^python-")
	for _, r := range got.Rows {
		if r.Procpool.Value == nil || *r.Procpool.Value <= 0 || r.Against == nil || r.Against.Value == nil {
			t.Errorf("row %q was not measured: %s", r.What, r.Procpool.Why)
		}
	}
	if len(got.Rows) < 12 {
		t.Errorf("%d rows:\n%s", len(got.Rows), table)
	}
}

func TestRunRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "("}, "-only is not a regular expression"},
		{[]string{"-only", "nothing-is-called-this"}, "matches no measure"},
		{[]string{"-record", "-quick"}, "-record is for whole runs"},
		{[]string{"stray"}, `"stray"`},
	} {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"-json", filepath.Join(t.TempDir(), "x.json")}, c.args...), &out, &out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("run(%q) = %v, want an error with %q", c.args, err, c.want)
		}
	}
}

// TestNoPython shows what a machine without an interpreter gets: every other
// figure, and the reason in the column.
func TestNoPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	py, err := findPython(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if py.version != "no python3" {
		t.Errorf("version = %q", py.version)
	}
	m := mapMeasure(quickCounts(), py)
	results := m.run(t.Context(), regexp.MustCompile(pythonPool), t.Logf)
	if err := results[pythonPool].err; !errors.Is(err, errNoPython) {
		t.Errorf("the side's error is %v", err)
	}
	rows := m.rows(results)
	if len(rows) != 1 || rows[0].Against.Why != "no python3" {
		t.Errorf("rows = %+v", rows)
	}
}

// TestPlanIsConsistent finds rows that name a side their measure has not.
func TestPlanIsConsistent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range plan(fullCounts(), &python{}) {
		if seen[m.Name] || m.Rounds < 1 {
			t.Errorf("measure %q: named twice, or %d rounds", m.Name, m.Rounds)
		}
		seen[m.Name] = true
		sides := map[string]bool{}
		for _, s := range m.Sides {
			if sides[s.Name] {
				t.Errorf("%s has two sides %q", m.Name, s.Name)
			}
			sides[s.Name] = true
		}
		for _, r := range m.Rows {
			if !sides[r.Side] {
				t.Errorf("%s: row %q shows side %q, which is not there", m.Name, r.What, r.Side)
			}
			for _, c := range r.Against {
				if !sides[c.Side] {
					t.Errorf("%s: row %q is compared with %q, which is not there", m.Name, r.What, c.Side)
				}
			}
		}
	}
}

func readReport(t *testing.T, file string) report {
	t.Helper()
	encoded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("the JSON does not decode: %v\n%s", err, encoded)
	}
	return r
}

func findRow(t *testing.T, r report, what, comparedWith string) row {
	t.Helper()
	for _, row := range r.Rows {
		if row.What == what && row.Against != nil && row.Against.Name == comparedWith {
			return row
		}
	}
	t.Fatalf("no row %q compared with %q in %+v", what, comparedWith, r.Rows)
	return row{}
}

// nothingLeft fails the test when a process or a temporary file outlived the
// run.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	pids, err := childPIDs()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	if len(pids) > 0 {
		t.Errorf("processes %v outlived the run", pids)
	}
	entries, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("%s outlived the run", filepath.Join(temp, entry.Name()))
	}
}
