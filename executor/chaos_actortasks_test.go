package executor_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/procpool/procpool"
)

// tallyState is the actor of the chaos test: a sum that keeps books of all that its process
// does.
type tallyState struct {
	sum   int
	books *os.File
}

// tallyOpening is what a tally begins with.
type tallyOpening struct {
	ID    int
	Start int
}

// tallyStep is a call of a tally.
type tallyStep struct {
	ID   int
	N    int           // is added
	For  time.Duration // before that
	Deaf bool          // whatever the context says
	How  string        // how it ends then; empty: with its answer
	Base int           // how often the call that makes it has run before
}

type tallyAnswer struct {
	PID int
	Sum int
}

// What a tally enters into its books.
const (
	bookOpens  = "opens"
	bookBegins = "begins"
	bookAdded  = "added"
	bookLeaves = "leaves"
	bookCloses = "closes"
)

// booksOf returns where the books of a tally are, beside the ledger.
func booksOf(ledger string, id int) string { return ledger + "." + strconv.Itoa(id) }

func openTally(_ context.Context, in tallyOpening) (*tallyState, error) {
	f, err := os.OpenFile(booksOf(os.Getenv(ledgerVariable), in.ID), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	t := &tallyState{sum: in.Start, books: f}
	return t, t.enter(bookOpens, in.ID)
}

// bookEntry is how long an entry is; see entrySize.
const bookEntry = 64

// enter notes what happens, with the sum as it is then, in one write.
func (t *tallyState) enter(what string, id int) error {
	entry := fmt.Sprintf("%-8s %16d %16d %20d\n", what, os.Getpid(), id, t.sum)
	if len(entry) != bookEntry {
		return fmt.Errorf("%q is no entry", entry)
	}
	_, err := t.books.WriteString(entry)
	return err
}

func (t *tallyState) add(ctx context.Context, s tallyStep) (tallyAnswer, error) {
	if err := enter(s.ID, s.Base+procpool.AttemptFrom(ctx)); err != nil {
		return tallyAnswer{}, err
	}
	if err := t.enter(bookBegins, s.ID); err != nil {
		return tallyAnswer{}, err
	}
	defer func() { _ = t.enter(bookLeaves, s.ID) }() // without it the next entry is a complaint
	if s.Deaf {
		ctx = context.Background()
	}
	if err := nap(ctx, s.For); err != nil {
		return tallyAnswer{}, err
	}
	t.sum += s.N
	if err := t.enter(bookAdded, s.ID); err != nil {
		return tallyAnswer{}, err
	}
	return tallyAnswer{PID: os.Getpid(), Sum: t.sum}, badEnd(s.How)
}

func (t *tallyState) Close() error {
	if err := t.enter(bookCloses, 0); err != nil {
		return err
	}
	return t.books.Close()
}

// tallyUse is a step that a task makes.
type tallyUse struct {
	ID   int
	Ref  *procpool.Ref
	Step tallyStep
}

var (
	chaosTally = procpool.DefineActor("chaos_tally", openTally)
	tallyAdd   = procpool.DefineMethod(chaosTally, "add", (*tallyState).add)

	// chaosUse has a tally make a step.
	chaosUse = procpool.Define("chaos_use", func(ctx context.Context, u tallyUse) (tallyAnswer, error) {
		if err := enter(u.ID, procpool.AttemptFrom(ctx)); err != nil {
			return tallyAnswer{}, err
		}
		return tallyAdd.Call(ctx, u.Ref, u.Step)
	}, benchErrors)
)

var chaosActorTasks = []procpool.Task{chaosTally, chaosUse}
