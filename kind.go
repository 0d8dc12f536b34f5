package procpool

import "fmt"

// Kind says how a task is called.
type Kind uint8

// The kinds of tasks.
const (
	// KindFunction takes one argument and gives one result; see [Define].
	KindFunction Kind = iota
	// KindStream takes one argument and gives a sequence of values; see
	// [DefineStream].
	KindStream
	// KindSession takes one argument and exchanges values both ways; see
	// [DefineSession].
	KindSession
	// KindActor is called by its methods; see [DefineActor].
	KindActor
	// KindShared is no task: it is an operation on state that the executor keeps
	// itself; see [Operation].
	KindShared
)

// String returns "function", "stream", "session", "actor" or "shared".
func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "function"
	case KindStream:
		return "stream"
	case KindSession:
		return "session"
	case KindShared:
		return "shared"
	case KindActor:
		return "actor"
	}
	return "invalid"
}

func (k Kind) withArticle() string {
	if k == KindActor {
		return "an actor"
	}
	return "a " + k.String()
}

// HasValues reports whether values travel with a call of this kind: whether it has a
// [Conduit].
func (k Kind) HasValues() bool { return k == KindStream || k == KindSession }

// KindError makes the error for a call of a task as what it is not, such as a stream
// that is called as a function: it matches [ErrUnknownTask]. Executors and workers use
// it.
func KindError(task string, called, is Kind) error {
	return fmt.Errorf("%w %q that is %s: it is %s where it runs, so the two sides do not mean the same task",
		ErrUnknownTask, task, called.withArticle(), is.withArticle())
}
