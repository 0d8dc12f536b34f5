package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// formatVersion is raised when the JSON changes in a way that breaks readers.
const formatVersion = 1

// report is a whole run: what was measured, where, and how thoroughly.
type report struct {
	Format  int       `json:"format"`
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"`
	Machine machine   `json:"machine"`
	// Quick runs have fewer and shorter rounds; don't publish them.
	Quick   bool    `json:"quick"`
	Only    string  `json:"only,omitempty"`
	Seconds float64 `json:"seconds"`
	Rows    []row   `json:"rows,omitempty"`
}

// writeTable prints the run for people.
func (r *report) writeTable(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "procpool %s, %s\n%s\n", r.Commit, r.Date.Format("2006-01-02 15:04 MST"), r.Machine)
	if r.Quick {
		fmt.Fprintln(&out, "A quick run: few short rounds, good for a look, not for quoting.")
	}
	fmt.Fprintln(&out)
	var why footnotes
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, err := table.Write(r.cells(&why))
	if err := errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("the table could not be laid out: %w", err)
	}
	fmt.Fprintln(&out)
	why.write(&out)
	fmt.Fprintf(&out, "Ratios are procpool divided by the comparison: above 1 is better for what should be high (per s, GB/s), below 1 for everything else.\n"+
		"Values are medians of rounds that alternate between the sides. The run took %.0f s.\n", r.Seconds)
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("the table could not be printed: %w", err)
	}
	return nil
}

// cells are the table's lines, with tabs between the columns. What is said once
// is not repeated in the lines below it.
func (r *report) cells(why *footnotes) []byte {
	var out bytes.Buffer
	fmt.Fprintln(&out, "what\tprocpool\tunit\tcompared with\tits value\tratio\ttarget\tmet?")
	fmt.Fprintln(&out, "----\t--------\t----\t-------------\t---------\t-----\t------\t----")
	last := ""
	for _, row := range r.Rows {
		what := row.What
		if what == last {
			what = ""
		}
		last = row.What
		name, theirs, ratio := "-", "-", "-"
		if row.Against != nil {
			name, theirs = row.Against.Name, row.Against.text(why)
		}
		if row.Ratio != nil {
			ratio = number(*row.Ratio) + " x"
		}
		target := row.Target
		if target == "" {
			target = "-"
		}
		columns := []string{what, row.Procpool.text(why), row.Unit, name, theirs, ratio, target, string(row.Met)}
		fmt.Fprintln(&out, strings.Join(columns, "\t"))
	}
	return out.Bytes()
}

// text is the value for the table, or a mark that leads to the reason.
func (c cell) text(why *footnotes) string {
	if c.Value == nil {
		return why.mark(c.Why)
	}
	return number(*c.Value)
}

// footnotes numbers the reasons for which something was not measured: they
// are sentences, too long for a column.
type footnotes struct{ reasons []string }

// mark returns what stands in the column. Reasons of a few words stand there
// themselves.
func (f *footnotes) mark(reason string) string {
	if len(reason) <= len("no python3") {
		return reason
	}
	for i, seen := range f.reasons {
		if seen == reason {
			return fmt.Sprintf("[%d]", i+1)
		}
	}
	f.reasons = append(f.reasons, reason)
	return fmt.Sprintf("[%d]", len(f.reasons))
}

func (f *footnotes) write(out *bytes.Buffer) {
	for i, reason := range f.reasons {
		fmt.Fprintf(out, "[%d] %s\n", i+1, strings.Join(strings.Fields(reason), " "))
	}
}

// number writes a value with about three significant digits, and with commas
// once it has more than three before the point.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case size >= 1000:
		return withCommas(int64(math.Round(v)))
	case size >= 100:
		return trimZeros(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 10:
		return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
	default:
		return trimZeros(strconv.FormatFloat(v, 'f', 2, 64))
	}
}

func trimZeros(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

func withCommas(v int64) string {
	digits := strconv.FormatInt(v, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// writeJSON writes the run for programs, making the folder if need be.
func (r *report) writeJSON(path string) error {
	encoded, err := r.encode()
	if err != nil {
		return fmt.Errorf("the run could not be written as JSON: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("the folder of %s could not be made: %w", path, err)
	}
	if err := os.WriteFile(path, encoded, 0o644); err != nil {
		return fmt.Errorf("the run could not be written: %w", err)
	}
	return nil
}

// encode is the run as JSON with one line for each row, so that two recorded
// runs can be compared with diff.
func (r *report) encode() ([]byte, error) {
	var out bytes.Buffer
	head := *r
	head.Rows = nil
	encoded, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, err
	}
	out.Write(bytes.TrimSuffix(encoded, []byte("\n}")))
	out.WriteString(",\n  \"rows\": [")
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false) // targets hold < and >
	for i, row := range r.Rows {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		if err := lines.Encode(row); err != nil {
			return nil, err
		}
		out.Truncate(out.Len() - 1) // Encode ends with a newline
	}
	out.WriteString("\n  ]\n}\n")
	return out.Bytes(), nil
}
