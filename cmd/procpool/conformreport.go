package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/procpool/procpool/internal/conformance"
)

// A reporter prints the results of a conformance run.
type reporter interface {
	result(conformance.Result) error
	summary(tally) error
}

// table prints results for a person, a section under its name.
type table struct {
	w       io.Writer
	width   int    // of the longest name
	section string // that of the last result
	reason  string // that of the last failure
}

func newTable(w io.Writer, cases []conformance.Case) *table {
	t := &table{w: w}
	for _, c := range cases {
		t.width = max(t.width, len(c.Name))
	}
	return t
}

// marks are how outcomes are shown: those that want a look stand out.
var marks = map[conformance.Outcome]string{conformance.Pass: "pass", conformance.Fail: "FAIL", conformance.Skip: "skip"}

func (t *table) result(r conformance.Result) error {
	var b strings.Builder
	if r.Section != t.section {
		fmt.Fprintf(&b, "%s\n", r.Section)
		t.section = r.Section
	}
	fmt.Fprintf(&b, "  %s  %-*s  %8s\n", marks[r.Outcome], t.width, r.Name, r.Duration.Round(time.Millisecond))
	reason := r.Reason
	if r.Outcome == conformance.Fail {
		// A worker that can't be started fails all cases for the same reason.
		if reason == t.reason {
			reason = "(the same)"
		} else {
			t.reason = reason
		}
	}
	if reason = strings.TrimRight(reason, "\n"); reason != "" {
		b.WriteString("        " + strings.ReplaceAll(reason, "\n", "\n        ") + "\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// maxAgain is how many failed cases the pattern that chooses them may name.
const maxAgain = 20

func (t *table) summary(all tally) error {
	text := fmt.Sprintf("%d cases in %v: %d pass, %d fail, %d skip\n",
		all.cases(), time.Since(all.began).Round(time.Millisecond), all.pass, all.fail, all.skip)
	switch {
	case all.fail == 0:
	case all.pass == 0:
		text += "no case has passed: \"procpool tasks\" with the same command tells whether it is a worker at all\n"
	case all.fail <= maxAgain:
		var names []string
		for _, id := range all.failed {
			names = append(names, strings.ReplaceAll(regexp.QuoteMeta(id), "'", "."))
		}
		text += fmt.Sprintf("to try these again: --run '^(%s)$'\n", strings.Join(names, "|"))
	}
	_, err := io.WriteString(t.w, "\n"+text)
	return err
}

// jsonLines prints results for machines.
type jsonLines struct{ w io.Writer }

func (j *jsonLines) result(r conformance.Result) error { return writeLine(j.w, r) }

func (j *jsonLines) summary(all tally) error {
	type summary struct {
		Pass     int           `json:"pass"`
		Fail     int           `json:"fail"`
		Skip     int           `json:"skip"`
		Duration time.Duration `json:"duration_nanos"`
	}
	return writeLine(j.w, map[string]summary{"summary": {all.pass, all.fail, all.skip, time.Since(all.began)}})
}

// listCases prints what the cases demand.
func listCases(w io.Writer, cases []conformance.Case, asJSON bool) error {
	width := 0
	for _, c := range cases {
		width = max(width, len(c.ID()))
	}
	for _, c := range cases {
		var err error
		if asJSON {
			err = writeLine(w, map[string]string{"section": c.Section, "name": c.Name, "promise": c.Promise})
		} else {
			_, err = fmt.Fprintf(w, "%-*s  %s\n", width, c.ID(), c.Promise)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLine writes v as JSON in one line.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
