package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// figures are the numbers one round of one side gave, by name ("p50").
type figures map[string]float64

// subject is one side of a measure, opened and ready to be measured in
// rounds. It is used by one goroutine.
type subject interface {
	// Round measures once.
	Round(ctx context.Context) (figures, error)
	// Close releases what opening made, processes included.
	Close() error
}

// side names a subject and says how to open it. Opening may cost whatever it
// likes; it is not measured.
type side struct {
	Name string
	Open func(ctx context.Context) (subject, error)
}

// measure puts several sides through the same work, in rounds that alternate
// between them, so that a machine that slows down slows all of them.
type measure struct {
	Name   string
	Rounds int
	Sides  []side
	Rows   []rowSpec
}

// outcome is what the rounds of one side gave, or why they gave nothing.
type outcome struct {
	rounds map[string][]float64
	err    error
}

// errNotSelected is the reason of a side that -only left out.
var errNotSelected = errors.New("not run")

// outcomes are the sides' outcomes by name.
type outcomes map[string]*outcome

// value is the median of a figure over the rounds, or the reason for which
// there is none.
func (o *outcome) value(figure string) (float64, []float64, error) {
	if o.err != nil {
		return 0, nil, o.err
	}
	rounds := o.rounds[figure]
	if len(rounds) == 0 {
		return 0, nil, fmt.Errorf("no round gave %s, which not every system can tell", figure)
	}
	return median(rounds), rounds, nil
}

// run measures the sides that only selects by "measure/side", and returns nil
// when it selects none. A side that fails is left out of the later rounds and
// the others go on: one broken comparison must not cost the table. say takes
// the progress, a line at a time.
func (m *measure) run(ctx context.Context, only *regexp.Regexp, say func(format string, args ...any)) outcomes {
	results := make(outcomes, len(m.Sides))
	var running []side
	for _, s := range m.Sides {
		results[s.Name] = &outcome{rounds: map[string][]float64{}}
		if only.MatchString(m.Name + "/" + s.Name) {
			running = append(running, s)
		} else {
			results[s.Name].err = errNotSelected
		}
	}
	if len(running) == 0 {
		return nil
	}
	began := time.Now()
	opened := make(map[string]subject, len(running))
	for _, s := range running {
		sub, err := s.Open(ctx)
		if err != nil {
			results[s.Name].err = err
			continue
		}
		opened[s.Name] = sub
	}
	for round := range m.Rounds {
		// Every other round goes the other way, so that no side always runs in
		// the wake of the same neighbour.
		slices.Reverse(running)
		for _, s := range running {
			if results[s.Name].err == nil {
				results[s.Name].add(oneRound(ctx, opened[s.Name], round))
			}
		}
	}
	for name, sub := range opened {
		if err := sub.Close(); err != nil {
			say("  %s/%s: closing: %v", m.Name, name, err)
		}
	}
	for _, s := range m.Sides {
		if err := results[s.Name].err; err != nil && !errors.Is(err, errNotSelected) {
			say("  %s/%s: %v", m.Name, s.Name, err)
		}
	}
	say("  %-14s %5.1f s", m.Name, time.Since(began).Seconds())
	return results
}

// oneRound measures once, on a heap that owes nothing to the round before.
func oneRound(ctx context.Context, sub subject, round int) (figures, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	runtime.GC()
	got, err := sub.Round(ctx)
	if err != nil {
		return nil, fmt.Errorf("round %d: %w", round+1, err)
	}
	return got, nil
}

// add records a round; the first failure stands for the whole side.
func (o *outcome) add(got figures, err error) {
	if err != nil {
		o.err = err
		return
	}
	for name, value := range got {
		o.rounds[name] = append(o.rounds[name], rounded(value))
	}
}
