package procpool

// Bound is a call that has its argument and was not made yet. The pool's
// initializer and finalizer are bound calls, since each worker makes them once.
// The zero value is none.
type Bound struct {
	spec    *spec
	payload []byte
	err     error
}

// Bind makes a bound call of the task with the argument in, which is encoded when
// it returns. Of the options [Timeout], [Metadata] and [WithCodec] count.
func (f *Func[In, Out]) Bind(in In, opts ...Option) Bound {
	s := f.spec.with(opts)
	payload, err := encode(s, nil, in)
	return Bound{spec: s, payload: payload, err: err}
}

// IsZero reports whether b is no call at all.
func (b Bound) IsZero() bool { return b.spec == nil }

// Err returns the error that kept the argument from being encoded, nil if none did.
func (b Bound) Err() error { return b.err }

// NewCall makes the call, for an executor to run. b must not be the zero value nor
// have an error.
func (b Bound) NewCall() *Call { return &Call{spec: b.spec, payload: b.payload} }
