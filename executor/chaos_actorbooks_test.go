//go:build unix

package executor_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// books is what the books of a tally tell.
type books struct {
	lives  int                   // processes that have opened it
	closes int                   // how often its state was closed
	begun  map[int]int           // how often each step began
	added  map[int][]tallyAnswer // what each step was about to answer
}

// audit follows what the processes of a tally have done, one entry after the other: each
// begins with the opening argument, and there is one at a time; its steps run one at a
// time, in the order of their submission, and nothing but they changes the sum; the end
// of the state is the end.
func (a *stay) audit(complain func(string, ...any)) *books {
	b := &books{begun: make(map[int]int), added: make(map[int][]tallyAnswer)}
	byID := make(map[int]*step)
	for _, s := range a.steps {
		byID[s.ID] = s
	}
	path := booksOf(a.chaos.ledger.path, a.open.ID)
	text, err := os.ReadFile(path)
	if err = errors.Join(err, os.Remove(path)); err != nil {
		complain("it has ended and left no books: %v", err)
		return b
	}
	var pid, sum, running, last int
	for line := range bytes.Lines(text) {
		var (
			what        string
			by, id, now int
		)
		if _, err := fmt.Sscan(string(line), &what, &by, &id, &now); err != nil || len(line) != bookEntry {
			complain("it has the entry %q (%v)", line, err)
			return b
		}
		odd := ""
		s := byID[id]
		switch {
		case b.closes > 0:
			odd = "its state was closed before"
		case what == bookOpens:
			if by == pid || now != a.open.Start {
				odd = "that is no new beginning"
			}
			b.lives++
			pid, sum, running = by, now, 0
		case by != pid:
			odd = "that process was followed by another one"
		case what == bookCloses:
			if now != sum || running != 0 {
				odd = "a step runs, or the sum is another"
			}
			b.closes++
		case s == nil:
			odd = "there is no such step"
		case what == bookBegins:
			if running != 0 || now != sum {
				odd = "a step runs, or the sum is another"
			}
			running = id
			b.begun[id]++
			if s.rerun == 0 && s.use == 0 {
				if id < last {
					odd = fmt.Sprintf("it comes after step %d", last)
				}
				last = id
			}
		case running != id:
			odd = "that step does not run"
		case what == bookAdded:
			if sum += s.N; now != sum {
				odd = "the sum is another"
			}
			b.added[id] = append(b.added[id], tallyAnswer{PID: by, Sum: now})
		case what == bookLeaves:
			if running = 0; now != sum {
				odd = "the sum is another"
			}
		}
		if odd != "" {
			complain("its books have %q, and %s: in process %d runs step %d, the sum is %d", bytes.TrimSpace(line), odd, pid, running, sum)
			return b
		}
	}
	return b
}
