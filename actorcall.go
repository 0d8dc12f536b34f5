package procpool

// ActorStep says what a call of an actor does.
type ActorStep uint8

// The steps in the life of an actor.
const (
	// StepOpen makes the actor's state.
	StepOpen ActorStep = iota
	// StepMethod runs one of its methods.
	StepMethod
	// StepClose closes its state.
	StepClose
)

// Actor returns the actor that the call is of, nil for other calls.
func (c *Call) Actor() *Instance { return c.spec.actor }

// Step says what a call of an actor does there.
func (c *Call) Step() ActorStep { return c.spec.step }

// Method returns the name of the method that a call of an actor runs, empty for other
// steps. [Call.Task] has the actor's name in front of it, as in "counter.add".
func (c *Call) Method() string { return c.spec.method }

// Join makes the call one of i, in place of an instance of the same number. The executor
// that has made i calls it, before it makes the call visible to other goroutines.
func (c *Call) Join(i *Instance) {
	if c.spec.actor != i {
		c.spec = c.spec.of(i)
	}
	c.key = i.pin
}

// Bound returns the call's task with its argument, to be called again. It must have been
// made in this process, or relayed.
func (c *Call) Bound() Bound { return Bound{spec: c.spec, payload: c.payload} }

// AfterFinish has fn called when the call has its outcome, on whatever goroutine gives
// it one, maybe with locks held: it must not block and not call back. It is called at
// once if that has happened. Executors use it; others have [Future.OnDone].
func (c *Call) AfterFinish(fn func(err error)) {
	if !c.addWaiter(&waiter{here: true, fn: func() { fn(c.err) }}) {
		fn(c.err)
	}
}

// within are the actors whose methods wait for a call, the innermost first.
type within struct {
	actor *Instance
	outer *within
}

// Nest says that the running call parent makes the call. Executors call it before they
// make the call visible to other goroutines.
func (c *Call) Nest(parent *Call) {
	in := parent.more().within
	if a := parent.Actor(); a != nil {
		in = &within{actor: a, outer: in}
	}
	if in != nil {
		c.addExtra(func(e *extra) { e.within = in })
	}
}

// Reenters reports whether the call is of an actor that waits for it, by what Nest was
// told of it and of those that it is nested in.
func (c *Call) Reenters() bool {
	a := c.Actor()
	if a == nil || c.Step() == StepOpen {
		return false
	}
	for in := c.more().within; in != nil; in = in.outer {
		if in.actor == a {
			return true
		}
	}
	return false
}

// relayActor makes s the spec of a call of an actor that came from elsewhere.
func (s *spec) relayActor(r Relay) {
	s.actor, s.method, s.restarts = r.Actor, r.Method, min(max(r.Restarts, 0), maxRestarts)
	switch {
	case r.Method != "":
		s.step, s.name = StepMethod, methodName(r.Task, r.Method)
	case r.Actor.number > 0:
		s.step = StepClose
	default:
		r.Actor.open, r.Actor.restarts, r.Actor.shared = s, s.restarts, r.Shared
	}
}

// methodName is what a method is called to people.
func methodName(actor, method string) string { return actor + "." + method }

// MethodNames returns what methods of an actor are called to people, which is what
// [Call.Task] returns, from their own names.
func MethodNames(actor string, methods []string) []string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = methodName(actor, m)
	}
	return names
}
