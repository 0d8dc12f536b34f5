package procpool

// Unanswered has an operation that a task makes sent to the host, and no answer come
// back: its future is resolved without an error, and without a result, when it is on its
// way. It is for those that can't fail, or whose failure is nobody's business. Other
// calls ignore it, and so do operations that don't leave the process.
func Unanswered() Option { return optionFunc(func(s *spec) { s.unasked = true }) }

// Unanswered reports whether nobody wants to know the outcome of an operation.
func (c *Call) Unanswered() bool { return c.spec.unasked && c.spec.kind == KindShared }

// Operation makes a handle on an operation on state that the executor itself keeps,
// such as the "mutex.lock" of package shared, which makes them; programs use that
// package. A call of it has [KindShared]: an executor that keeps such state carries it
// out and gives it to no worker. It is carried out once, whatever its options say of
// running again, and takes no part in queues, priorities, keys and timeouts; its
// context ends it while it waits. What it fails with is a [*TaskError] whose Code says
// what kind of failure it is; name these with [Errors].
func Operation[In, Out any](name string, opts ...Option) *Func[In, Out] {
	return &Func[In, Out]{spec: newSpec("Operation", name, KindShared, opts)}
}
