package procpool

import (
	"fmt"
	"slices"
	"strings"
)

// servedShown bounds how many names an error lists.
const servedShown = 20

// UnknownTaskError makes the error for a call of a task that no worker serves:
// it matches [ErrUnknownTask], lists the names that are served, and tells the one
// that was perhaps meant. Where the handle was made by [Define] it tells remedy
// instead, such as "pass it to workerproc.Init", unless that is empty. Executors
// use it.
func UnknownTaskError(c *Call, served []string, remedy string) error {
	served = slices.Sorted(slices.Values(served))
	var b strings.Builder
	if c.Local() && remedy != "" {
		fmt.Fprintf(&b, ": %s", remedy)
	} else if near := nearest(c.Task(), served); near != "" {
		fmt.Fprintf(&b, ", did you mean %q?", near)
	}
	switch {
	case len(served) == 0:
		b.WriteString(" (no task is served)")
	case len(served) > servedShown:
		fmt.Fprintf(&b, " (served are %s and %d more)", quoted(served[:servedShown]), len(served)-servedShown)
	default:
		fmt.Fprintf(&b, " (served: %s)", quoted(served))
	}
	return fmt.Errorf("%w %q%s", ErrUnknownTask, c.Task(), b.String())
}

func quoted(names []string) string {
	return `"` + strings.Join(names, `", "`) + `"`
}

// nearest returns the name that is closest to name and so close that a slip of
// the pen explains it; "" when there is none.
func nearest(name string, names []string) string {
	best, bound := "", len(name)/3+1
	for _, n := range names {
		if d := distance(name, n, bound); d < bound {
			best, bound = n, d
		}
	}
	return best
}

// distance counts the bytes to insert, delete or replace to turn a into b
// (Levenshtein); it may give up and return bound once there are that many.
func distance(a, b string, bound int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= bound {
		return bound
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
