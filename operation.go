package procpool

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
