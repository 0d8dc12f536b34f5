package executor

import (
	"fmt"
	"strings"

	"github.com/procpool/procpool"
)

// unknownTask makes the error for a call of a task that the workers do not serve:
// it says what they serve, which of those names is near, and what to do.
func (c *core) unknownTask(call *procpool.Call) error {
	served := c.served.list()
	var b strings.Builder
	if len(served) == 0 {
		b.WriteString("the workers serve no task at all")
	} else {
		fmt.Fprintf(&b, "the workers serve %s", quoteList(served))
	}
	name := call.Task()
	if near := nearest(name, served); near != "" {
		fmt.Fprintf(&b, "; did you mean %q?", near)
	}
	if call.Local() && c.cfg.Command.path == "" {
		fmt.Fprintf(&b, "; %q is defined in this program: pass it to workerproc.Init (in tests, to procpooltest.Main)", name)
	}
	return fmt.Errorf("%w: no worker serves %q: %s", procpool.ErrUnknownTask, name, b.String())
}

// listed is how many names an error shows at most.
const listed = 20

func quoteList(names []string) string {
	shown := names[:min(len(names), listed)]
	quoted := make([]string, len(shown))
	for i, n := range shown {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	list := strings.Join(quoted, ", ")
	if more := len(names) - len(shown); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// nearest returns the name that is a few typing errors away from name, if any.
func nearest(name string, names []string) string {
	best, bestDistance := "", len(name)/3+2
	for _, n := range names {
		if d := editDistance(name, n); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// editDistance is the number of bytes to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
