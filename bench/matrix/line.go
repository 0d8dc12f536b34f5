package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// line is one event in one pool, and what became of everything.
type line struct {
	Event string `json:"event"`
	What  string `json:"what"`
	Pool  string `json:"pool"`
	fates
	// Left says which processes and files outlived the host.
	Left string `json:"left,omitempty"`
	// Trouble is why the host could not be watched to its end.
	Trouble string `json:"trouble,omitempty"`
	Verdict string `json:"verdict"`
	// Good is set when the event cost only what it has to.
	Good bool `json:"good"`

	event event
}

// fates are what a host reports.
type fates struct {
	Call      string `json:"call,omitempty"`
	Neighbour string `json:"neighbour,omitempty"`
	Pending   string `json:"pending,omitempty"`
	Next      string `json:"next,omitempty"`
	Close     string `json:"close,omitempty"`
	Ready     string `json:"ready,omitempty"`
}

// read takes a host's report, one JSON object a line.
func (l *line) read(report []byte) error {
	for text := range bytes.Lines(report) {
		if err := json.Unmarshal(text, &l.fates); err != nil {
			return fmt.Errorf("the host reports %q: %w", text, err)
		}
	}
	return nil
}

// judge says in words what the event cost.
func (l *line) judge() {
	var costs []string
	say := func(is bool, what string) {
		if is {
			costs = append(costs, what)
		}
	}
	e := l.event
	hangs := strings.HasPrefix(l.Call, fateHang)
	if !e.KillHost && l.Trouble == "" {
		switch {
		case hangs:
			say(true, "the call hangs")
		case !e.Call.MatchString(l.Call) && e.Bad != "":
			say(true, e.Bad)
		case !e.Call.MatchString(l.Call), l.Pool == ours && !e.Ours.MatchString(l.Call):
			say(true, "the call has another outcome than it should")
		}
		others := together([]string{l.Neighbour, l.Pending, l.Next})
		switch {
		case e.Alone: // there are no others
		case others != fateOK && others == l.Next:
			say(true, broken(others))
		default:
			say(l.Neighbour != fateOK, "its neighbour "+fails(l.Neighbour))
			say(l.Pending != fateOK, "those that wait "+strings.TrimSuffix(fails(l.Pending), "s"))
			say(l.Next != fateOK, "the next one "+fails(l.Next))
		}
		say(l.Close == fateHang, "closing hangs")
	}
	say(l.Trouble != "", "it could not be watched")
	say(l.Left != "0" && l.Left != unknown && l.Trouble == "", "not all of it ends")
	l.Good = len(costs) == 0
	l.Verdict = strings.Join(costs, ", ")
	if l.Good {
		l.Verdict = onlyThatCall
		if e.Good != "" {
			l.Verdict = e.Good
		}
	}
}

// broken is a pool in which all calls have the same bad fate.
func broken(fate string) string {
	if fate == fateHang {
		return "the pool hangs"
	}
	return "the pool is broken"
}

func fails(fate string) string {
	if fate == fateHang {
		return "hangs"
	}
	return "fails"
}

// writeTable prints the matrix for people.
func writeTable(w io.Writer, lines []line, python string, took time.Duration) error {
	var out bytes.Buffer
	fmt.Fprintln(&out, "What one event costs a pool of two workers: the call it happens to, one that runs beside it,")
	fmt.Fprintf(&out, "three that wait, and the next one. \"hang\" is no answer within %v.\n", patience)
	if python == "" {
		fmt.Fprintln(&out, "There is no python3 here, so nothing is printed beside procpool.")
	} else {
		fmt.Fprintf(&out, "The others are those of %s.\n", python)
	}
	cells := [][]string{{"  pool", "the call", "neighbour", "waiting", "next", "left", "verdict"}}
	for _, l := range lines {
		cells = append(cells, l.cells())
	}
	text := aligned(cells)
	fmt.Fprintf(&out, "\n%s\n", text[0])
	event := ""
	for i, l := range lines {
		if l.Event != event {
			event = l.Event
			fmt.Fprintln(&out, l.What)
		}
		fmt.Fprintln(&out, text[i+1])
	}
	fmt.Fprintln(&out)
	for _, l := range lines {
		if l.Trouble != "" {
			fmt.Fprintf(&out, "%s, %s: %s\n", l.Pool, l.What, l.Trouble)
		}
	}
	for _, pool := range pools() {
		good, all := score(lines, pool)
		if all > 0 {
			fmt.Fprintf(&out, "%-20s  %d of %d events cost no more than they must\n", pool, good, all)
		}
	}
	fmt.Fprintf(&out, "It took %.0f s.\n", took.Seconds())
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("the table could not be printed: %w", err)
	}
	return nil
}

func (l *line) cells() []string {
	left := l.Left
	if l.Close == fateHang {
		left += ", close hangs"
	}
	cells := []string{"  " + l.Pool, l.Call, l.Neighbour, l.Pending, l.Next, left, l.Verdict}
	for i, text := range cells {
		if text == "" {
			cells[i] = fateNone
		}
	}
	return cells
}

// aligned makes a line of text of each row of cells. Titles stand between these
// lines, which text/tabwriter would take for the end of a table.
func aligned(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// score counts the good rows of a pool, and those that it could have.
func score(lines []line, pool string) (good, all int) {
	for _, l := range lines {
		if l.Pool != pool || l.Verdict == cannot {
			continue
		}
		all++
		if l.Good {
			good++
		}
	}
	return good, all
}

// failures is an error when procpool has a bad row, and names the events.
func failures(lines []line) error {
	var bad []string
	for _, l := range lines {
		if l.Pool == ours && !l.Good {
			bad = append(bad, l.Event)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("procpool fails %d rows: %s", len(bad), strings.Join(bad, ", "))
	}
	return nil
}
