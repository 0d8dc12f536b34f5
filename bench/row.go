package main

import (
	"errors"
	"fmt"
)

// rowSpec describes the rows one figure gives: one for each side it is
// compared with, or a single one when it is compared with nothing.
type rowSpec struct {
	What   string
	Unit   string
	Side   string // the side that fills the procpool column
	Figure string
	Better better
	// Against lists the comparisons; with none the row shows Target alone.
	Against []comparison
	// Target holds the value itself to a bound.
	Target *target
}

// comparison is one side to divide by.
type comparison struct {
	Side   string
	Figure string // the same as the row's when empty
	// Target holds the ratio to a bound; nil when the comparison is shown for
	// orientation only.
	Target *target
}

// better says which way a figure improves.
type better string

const (
	higher better = "higher"
	lower  better = "lower"
)

// target is a bound: a floor for what should be high, a ceiling for what
// should be low. AtLeast is the weaker bound that must hold in any case; it
// equals Aim when there is only one.
type target struct {
	Aim     float64
	AtLeast float64
}

// met compares a value with the bound.
func (t *target) met(value float64, b better) verdict {
	reaches := func(bound float64) bool {
		if b == higher {
			return value >= bound
		}
		return value <= bound
	}
	switch {
	case reaches(t.Aim):
		return metYes
	case t.AtLeast != t.Aim && reaches(t.AtLeast):
		return metAtLeast
	default:
		return metNo
	}
}

// text writes the bound with its direction, and with "x" for a ratio.
func (t *target) text(b better, ratio bool) string {
	sign, suffix := "<=", ""
	if b == higher {
		sign = ">="
	}
	if ratio {
		suffix = " x"
	}
	text := sign + " " + number(t.Aim) + suffix
	if t.AtLeast != t.Aim {
		text += " (at least " + number(t.AtLeast) + suffix + ")"
	}
	return text
}

// verdict is the last column of the table.
type verdict string

const (
	metYes     verdict = "yes"
	metAtLeast verdict = "at least" // the weaker bound holds, the aim does not
	metNo      verdict = "no"
	metUnknown verdict = "-" // nothing to hold it to, or nothing measured
)

// row is one line of the table, and one element of the JSON.
type row struct {
	What     string   `json:"what"`
	Unit     string   `json:"unit"`
	Better   better   `json:"better"`
	Procpool cell     `json:"procpool"`
	Against  *against `json:"against,omitempty"`
	// Ratio is procpool divided by the comparison.
	Ratio  *float64 `json:"ratio,omitempty"`
	Target string   `json:"target,omitempty"`
	Met    verdict  `json:"met"`
}

// cell is a measured value, or why there is none.
type cell struct {
	Value  *float64  `json:"value"`
	Rounds []float64 `json:"rounds,omitempty"`
	Why    string    `json:"why,omitempty"`
}

// against is the side a row is compared with.
type against struct {
	Name string `json:"name"`
	cell
}

// rows turns the outcomes of a measure into its lines. A line whose two sides
// were both left out by -only is left out too.
func (m *measure) rows(results outcomes) []row {
	var rows []row
	for _, spec := range m.Rows {
		ours, oursErr := cellOf(results, spec.Side, spec.Figure)
		blank := row{What: spec.What, Unit: spec.Unit, Better: spec.Better, Procpool: ours, Met: metUnknown}
		if len(spec.Against) == 0 || spec.Target != nil {
			if !errors.Is(oursErr, errNotSelected) {
				rows = append(rows, blank.alone(spec.Target))
			}
		}
		for _, c := range spec.Against {
			figure := c.Figure
			if figure == "" {
				figure = spec.Figure
			}
			theirs, theirsErr := cellOf(results, c.Side, figure)
			if errors.Is(oursErr, errNotSelected) && errors.Is(theirsErr, errNotSelected) {
				continue
			}
			rows = append(rows, blank.beside(c, theirs))
		}
	}
	return rows
}

// cellOf fills a cell and also returns the reason as an error, for the caller
// to tell "left out" from "failed".
func cellOf(results outcomes, sideName, figure string) (cell, error) {
	side, ok := results[sideName]
	if !ok {
		err := fmt.Errorf("the measure has no side %q", sideName)
		return cell{Why: err.Error()}, err
	}
	value, rounds, err := side.value(figure)
	if err != nil {
		return cell{Why: err.Error()}, err
	}
	return cell{Value: &value, Rounds: rounds}, nil
}

// alone is the row held to a bound by its own value.
func (r row) alone(t *target) row {
	if t == nil {
		return r
	}
	r.Target = t.text(r.Better, false)
	if r.Procpool.Value != nil {
		r.Met = t.met(*r.Procpool.Value, r.Better)
	}
	return r
}

// beside is the row divided by a comparison.
func (r row) beside(c comparison, theirs cell) row {
	r.Against = &against{Name: c.Side, cell: theirs}
	if c.Target != nil {
		r.Target = c.Target.text(r.Better, true)
	}
	if r.Procpool.Value == nil || theirs.Value == nil || *theirs.Value == 0 {
		return r
	}
	ratio := *r.Procpool.Value / *theirs.Value
	r.Ratio = &ratio
	if c.Target != nil {
		r.Met = c.Target.met(ratio, r.Better)
	}
	return r
}
