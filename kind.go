package procpool

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
)

// String returns "function", "stream" or "session".
func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "function"
	case KindStream:
		return "stream"
	case KindSession:
		return "session"
	}
	return "invalid"
}
