package conformance

import (
	"time"
)

// A Case is one thing that a worker must do.
type Case struct {
	// Section is the chapter that the case belongs to, Name what it is called in
	// there. Both are lower-case words; "section/name" is unique.
	Section, Name string
	// Promise says in a sentence what the case demands.
	Promise string

	uses  []string // the standard functions that it calls
	needs []string // the capabilities that the worker must have named
	run   func(t *trial)
}

// ID returns "section/name", by which [Config.Only] chooses.
func (c Case) ID() string { return c.Section + "/" + c.Name }

// An Outcome is what came of a case.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	// Skip is for a case that needs what is optional and the worker does not have.
	Skip Outcome = "skip"
)

// Result is what came of one case.
type Result struct {
	// Section and Name are the case's.
	Section string `json:"section"`
	Name    string `json:"name"`
	// Outcome says how it ended.
	Outcome Outcome `json:"outcome"`
	// Reason says of a failure what was done, what was expected and what came, and
	// of a skipped case what is missing. It may have several lines.
	Reason string `json:"reason,omitempty"`
	// Duration is how long it took.
	Duration time.Duration `json:"duration_nanos"`
}

// Cases returns all cases, section by section, in the order in which they are best
// read and run.
func Cases() []Case {
	var all []Case
	for _, section := range []func() []Case{startCases, valueCases, failureCases, deathCases, cancelCases, withdrawCases, packCases, streamCases, sessionCases, nestedCases, actorCases, sharedCases, reportCases, surroundingCases, messageCases, signCases, leavingCases} {
		all = append(all, section()...)
	}
	return all
}
