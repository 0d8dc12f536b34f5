package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4}
	if got := median(values); got != 4 {
		t.Errorf("median of three = %v", got)
	}
	if !slices.Equal(values, []float64{5, 1, 4}) {
		t.Errorf("median sorted its argument: %v", values)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of four = %v", got)
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v", got)
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		of    []time.Duration
		share float64
		want  time.Duration
	}{
		{hundred, 0.50, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred[:1], 0.99, 1},
		{hundred[:3], 0.50, 2},
		{nil, 0.50, 0},
	} {
		if got := percentile(c.of, c.share); got != c.want {
			t.Errorf("percentile(%d values, %v) = %d, want %d", len(c.of), c.share, got, c.want)
		}
	}
}

func TestLatenciesSort(t *testing.T) {
	t.Parallel()
	p50, p99 := latencies([]time.Duration{3 * time.Microsecond, time.Microsecond, 2500 * time.Nanosecond})
	if p50 != 2.5 || p99 != 3 {
		t.Errorf("latencies = %v, %v", p50, p99)
	}
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 0, 123456: 123500, 0.00123456: 0.001235, -98765: -98770, 7: 7} {
		if got := rounded(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("rounded(%v) = %v, want %v", v, got, want)
		}
	}
	if got := rounded(math.Inf(1)); !math.IsInf(got, 1) {
		t.Errorf("rounded(+Inf) = %v", got)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 0.7: "0.7", 1.2: "1.2", 6.824: "6.82", 80: "80", 12.34: "12.3", 104.4: "104",
		999.6: "1000", 1000: "1,000", 18150.4: "18,150", 1_000_000: "1,000,000", -1234: "-1,234",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()); got != "-" {
		t.Errorf("number(NaN) = %q", got)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target  *target
		better  better
		value   float64
		ratio   bool
		verdict verdict
		text    string
	}{
		{aimAtLeast(80, 50), higher, 80, true, metYes, ">= 80 x (at least 50 x)"},
		{aimAtLeast(80, 50), higher, 79, true, metAtLeast, ">= 80 x (at least 50 x)"},
		{aimAtLeast(80, 50), higher, 49, true, metNo, ">= 80 x (at least 50 x)"},
		{aimAtLeast(3, 5), lower, 3, false, metYes, "<= 3 (at least 5)"},
		{aimAtLeast(3, 5), lower, 4, false, metAtLeast, "<= 3 (at least 5)"},
		{aimAtLeast(3, 5), lower, 6, false, metNo, "<= 3 (at least 5)"},
		{aim(400), lower, 401, false, metNo, "<= 400"},
		{aim(1_000_000), higher, 2_000_000, false, metYes, ">= 1,000,000"},
	} {
		if got := c.target.met(c.value, c.better); got != c.verdict {
			t.Errorf("%v held to %v: %q, want %q", c.value, *c.target, got, c.verdict)
		}
		if got := c.target.text(c.better, c.ratio); got != c.text {
			t.Errorf("text = %q, want %q", got, c.text)
		}
	}
}

// scripted is a subject that gives prepared values and then fails.
type scripted struct {
	values []float64
	err    error
	closed *int
	round  int
}

func (s *scripted) Round(context.Context) (figures, error) {
	if s.round == len(s.values) {
		return nil, s.err
	}
	s.round++
	return figures{"speed": s.values[s.round-1]}, nil
}

func (s *scripted) Close() error { *s.closed++; return nil }

func scriptedSide(name string, closed *int, err error, values ...float64) side {
	return side{name, func(context.Context) (subject, error) {
		return &scripted{values: values, err: err, closed: closed}, nil
	}}
}

// TestMeasureToTable runs a measure of prepared values all the way to the
// table: one side fails midway, one can't be opened, and the rest stands.
func TestMeasureToTable(t *testing.T) {
	t.Parallel()
	closed := 0
	broken := errors.New("the third round broke\nfor a long reason")
	m := measure{
		Name: "speed", Rounds: 3,
		Sides: []side{
			scriptedSide(ours, &closed, nil, 100, 300, 200),
			scriptedSide("steady", &closed, nil, 50, 100, 100),
			scriptedSide("fails", &closed, broken, 1, 2),
			{"absent", func(context.Context) (subject, error) { return nil, errNoPython }},
		},
		Rows: []rowSpec{{
			What: "speed", Unit: "per s", Side: ours, Figure: "speed", Better: higher,
			Target: aim(1000),
			Against: []comparison{
				{Side: "steady", Target: aimAtLeast(3, 1.5)},
				{Side: "fails", Target: aim(1)},
				{Side: "absent"},
			},
		}},
	}
	var progress strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&progress, format+"\n", args...) }
	r := report{Format: formatVersion, Commit: "abc", Rows: m.rows(m.run(t.Context(), regexp.MustCompile(""), say))}
	if closed != 3 {
		t.Errorf("%d of the 3 opened sides were closed", closed)
	}
	if len(r.Rows) != 4 {
		t.Fatalf("%d rows: %+v", len(r.Rows), r.Rows)
	}
	if got := r.Rows[0]; got.Met != metNo || got.Against != nil || *got.Procpool.Value != 200 {
		t.Errorf("the row with a bound of its own: %+v", got)
	}
	if got := r.Rows[1]; got.Met != metAtLeast || got.Ratio == nil || *got.Ratio != 2 {
		t.Errorf("the row with a comparison: %+v", got)
	}
	if got := r.Rows[2]; got.Met != metUnknown || got.Ratio != nil || got.Against.Value != nil || !strings.Contains(got.Against.Why, "round 3: the third round broke") {
		t.Errorf("the row whose comparison failed: %+v", got)
	}
	var out bytes.Buffer
	if err := r.writeTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"what ", "met?", ">= 1,000", "2 x", "at least", "no python3", "[1] round 3: the third round broke for a long reason\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not hold %q:\n%s", want, out.String())
		}
	}
	if !strings.Contains(progress.String(), "speed/fails: round 3") {
		t.Errorf("progress does not tell of the failure:\n%s", progress.String())
	}
}

// TestJSONShape pins the names that readers of recorded runs rely on.
func TestJSONShape(t *testing.T) {
	t.Parallel()
	value, ratio := 2.0, 4.0
	r := report{
		Format: formatVersion, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "abc",
		Machine: machine{OS: "linux", Arch: "amd64", CPU: "A CPU (R) 3.0", CPUs: 2, Kernel: "Linux 6", Go: "go1.26", Python: "no python3", Load: "0.10"},
		Seconds: 1.5,
		Rows: []row{
			{What: "w", Unit: "us", Better: lower, Procpool: cell{Why: "broken"}, Met: metUnknown},
			{
				What: "w", Unit: "us", Better: lower, Procpool: cell{Value: &value, Rounds: []float64{1, 2, 3}},
				Against: &against{"raw", cell{Value: &value}}, Ratio: &ratio, Target: "<= 5 x", Met: metYes,
			},
		},
	}
	got, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "format": 1,
  "date": "2026-01-02T03:04:05Z",
  "commit": "abc",
  "machine": {
    "os": "linux",
    "arch": "amd64",
    "cpu": "A CPU (R) 3.0",
    "cpus": 2,
    "kernel": "Linux 6",
    "go": "go1.26",
    "python": "no python3",
    "load": "0.10"
  },
  "quick": false,
  "seconds": 1.5,
  "rows": [
    {"what":"w","unit":"us","better":"lower","procpool":{"value":null,"why":"broken"},"met":"-"},
    {"what":"w","unit":"us","better":"lower","procpool":{"value":2,"rounds":[1,2,3]},"against":{"name":"raw","value":2},"ratio":4,"target":"<= 5 x","met":"yes"}
  ]
}
`
	if string(got) != want {
		t.Errorf("the JSON is\n%s\nwant\n%s", got, want)
	}
	if slug := r.Machine.slug(); slug != "a-cpu-r-3-0" {
		t.Errorf("slug = %q", slug)
	}
}
