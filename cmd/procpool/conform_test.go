package main_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/procpool/procpool/internal/conformance"
)

// durations differ from run to run. Which function it is that a case misses first is
// the kit's to choose.
var (
	durations = regexp.MustCompile(` +[0-9.]+(ms|s|µs)`)
	functions = regexp.MustCompile(`function "[a-z_]+"`)
)

func TestConformListsCases(t *testing.T) {
	processes(t)
	got := invoke(t, "", "conform", "--list")
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	if cases := conformance.Cases(); got.code != 0 || len(lines) != len(cases) || !strings.HasPrefix(lines[0], cases[0].ID()+" ") || !strings.HasSuffix(lines[0], cases[0].Promise) {
		t.Errorf("exit code %d, %d lines for %d cases:\n%s\n%s", got.code, len(lines), len(cases), got.stdout, got.stderr)
	}
	got = invoke(t, "", "conform", "--list", "--json", "--run", "^start/handshake$", "--", "ignored")
	var c struct{ Section, Name, Promise string }
	if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || c.Section != "start" || c.Name != "handshake" || c.Promise == "" {
		t.Errorf("%v, it printed\n%s", err, got.stdout)
	}
}

func TestConformOfAWorkerThatPasses(t *testing.T) {
	processes(t)
	got := invoke(t, "", "conform", "--run", "^(start/hello|values/(json|raw))$", "-e", asStandard+"=1", "--", self(t))
	got.stdout = durations.ReplaceAllString(got.stdout, " TIME")
	got.mustBe(t, 0, `start
  pass  hello TIME
values
  pass  json TIME
  pass  raw TIME

3 cases in TIME: 3 pass, 0 fail, 0 skip
`)
}

// The worker of these tests serves none of the standard functions that matter.
func TestConformOfAWorkerThatFails(t *testing.T) {
	processes(t)
	got := invoke(t, "", "conform", "--run", "^(start/handshake|values/(json|result that can't be encoded|proto))$", "--", self(t))
	got.stdout = functions.ReplaceAllString(durations.ReplaceAllString(got.stdout, " TIME"), "function NAME")
	got.mustBe(t, 1, `start
  pass  handshake TIME
values
  FAIL  json TIME
        the worker does not serve the function NAME, which docs/conformance.md requires
  skip  proto TIME
        the worker does not serve the function NAME, which is optional
  FAIL  result that can't be encoded TIME
        the worker does not serve the function NAME, which docs/conformance.md requires

4 cases in TIME: 1 pass, 2 fail, 1 skip
to try these again: --run '^(values/json|values/result that can.t be encoded)$'
`)
}

func TestConformAsJSON(t *testing.T) {
	processes(t)
	got := invoke(t, "", "conform", "--json", "--run", "^(start/handshake|values/(json|proto))$", "--limit", "30s", "--", self(t))
	type line struct {
		Section, Name, Outcome, Reason string
		Duration                       int64 `json:"duration_nanos"`
		Summary                        *struct {
			Pass, Fail, Skip int
			Duration         int64 `json:"duration_nanos"`
		}
	}
	var outcomes []string
	dec := json.NewDecoder(strings.NewReader(got.stdout))
	dec.DisallowUnknownFields()
	for dec.More() {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatalf("%v, it printed\n%s", err, got.stdout)
		}
		if l.Summary != nil {
			if l.Summary.Pass != 1 || l.Summary.Fail != 1 || l.Summary.Skip != 1 || l.Summary.Duration <= 0 || dec.More() {
				t.Errorf("the summary is %+v", *l.Summary)
			}
			continue
		}
		outcomes = append(outcomes, l.Section+"/"+l.Name+" "+l.Outcome)
		if (l.Outcome == "pass") != (l.Reason == "") {
			t.Errorf("%+v", l)
		}
	}
	if want := []string{"start/handshake pass", "values/json fail", "values/proto skip"}; got.code != 1 || !slices.Equal(outcomes, want) || strings.Count(got.stdout, "\n") != 4 {
		t.Errorf("exit code %d, %q, it printed\n%s", got.code, outcomes, got.stdout)
	}
}

// What fails all cases is told once, and where to look.
func TestConformOfWhatIsNoWorker(t *testing.T) {
	processes(t)
	got := invoke(t, "", "conform", "--run", "^values/(json|raw|proto)$", "--", "go", "version")
	got.stdout = durations.ReplaceAllString(got.stdout, " TIME")
	if got.code != 1 || strings.Count(got.stdout, "The worker can't be started:") != 1 || strings.Count(got.stdout, "(the same)") != 2 ||
		!strings.HasSuffix(got.stdout, "3 cases in TIME: 0 pass, 3 fail, 0 skip\nno case has passed: \"procpool tasks\" with the same command tells whether it is a worker at all\n") {
		t.Errorf("exit code %d, it printed\n%s\n%s", got.code, got.stdout, got.stderr)
	}
}
