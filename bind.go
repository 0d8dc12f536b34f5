package procpool

// Bound is a call that has its argument and was not made yet. The pool's
// initializer and finalizer are bound calls, since each worker makes them once.
// The zero value is none. It is immutable and may be used by several at once.
type Bound struct {
	spec    *spec
	payload []byte
	err     error
}

// Bind makes a bound call of the task with the argument in, which is encoded when
// it returns and may be changed. An argument that can't be encoded is for
// [Bound.Err] to tell. Of the options, the handle's included, [Timeout], [Metadata]
// and [WithCodec] count; a bound call has no key and is not run again.
func (f *Func[In, Out]) Bind(in In, opts ...Option) Bound {
	s := new(*f.spec.with(opts))
	s.retry, s.priority, s.noWait = nil, 0, false
	payload, err := encode(s, nil, in)
	return Bound{spec: s, payload: payload, err: err}
}

// IsZero reports whether b is no call at all.
func (b Bound) IsZero() bool { return b.spec == nil }

// Err returns the error that kept the argument from being encoded, nil if none did.
func (b Bound) Err() error { return b.err }

// NewCall makes the call, for an executor to run. b must not be the zero value nor
// have an error. Executors use it.
func (b Bound) NewCall() *Call { return &Call{spec: b.spec, payload: b.payload} }
