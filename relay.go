package procpool

import "time"

// Relay describes a call that came from elsewhere, such as one that a task makes of
// the pool it runs in. Executors make it a [Call] and enqueue that.
type Relay struct {
	// Task, Codec, Kind, Payload, Metadata, Key, Priority and Timeout are as the
	// methods of Call return them.
	Task, Codec, Key string
	Kind             Kind
	Payload          []byte
	Metadata         map[string]string
	Priority         int
	Timeout          time.Duration
	// Deadline is when the caller's context ends by itself, the zero time for
	// never. It is for the task to see; whoever relays the call gives it up.
	Deadline time.Time
	// Shared is set for a session, or an actor that is to be made, that is not to
	// have a process of its own.
	Shared bool
	// Actor is the actor of a call of KindActor, made with [NewInstance]; of one whose
	// Number is 0 the call makes it. Task is the actor's name then, and Method the
	// method's, empty to open or close the actor. Restarts is the option.
	Actor    *Instance
	Method   string
	Restarts int
	// Attempt counts the starts before this one; a relayed call is not run
	// again by who runs it, but by who has made it. Suspect is set where it must
	// run alone then.
	Attempt int
	Suspect bool
	// Window and WindowBytes are the credit with which a stream or a session begins
	// (see [Conduit.Window]), and Sink takes what comes of it.
	Window, WindowBytes int64
	Sink                Sink
	// Done is called with the outcome, on whatever goroutine has it, maybe with
	// locks held: it must not block and not call back.
	Done func(c *Call, reply []byte, err error)
}

// relayed is the codec of a relayed call, whose values are encoded already.
type relayed struct {
	Codec
	name string
}

func (r relayed) Name() string { return r.name }

// NewCall makes the call.
func (r Relay) NewCall() *Call {
	s := &spec{
		name: r.Task, codec: relayed{name: r.Codec}, codecName: r.Codec, metadata: r.Metadata, kind: r.Kind,
		timeout: r.Timeout, priority: min(max(r.Priority, -maxPriority), maxPriority), shared: r.Shared,
	}
	c := &Call{spec: s, payload: r.Payload, key: r.Key}
	if !r.Deadline.IsZero() {
		c.deadline = r.Deadline.UnixNano()
	}
	c.Slot.Attempts, c.Slot.Suspect = uint16(r.Attempt), r.Suspect
	if r.Kind == KindActor {
		s.relayActor(r)
	}
	if r.Kind.HasValues() {
		d := newConduit(c, 0)
		d.window, d.windowBytes, d.sink = r.Window, r.WindowBytes, r.Sink
		c.extra.Store(&extra{conduit: d})
	}
	done := r.Done
	c.addWaiter(&waiter{here: true, fn: func() { done(c, c.reply, c.err) }})
	return c
}
