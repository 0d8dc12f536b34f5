package procpool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// An Instance is one actor, as the calls of it and the executor that runs it know it.
// Programs use [Ref]; Instance is for those who write executors. A call of an actor
// carries it (see [Call.Actor]): the call that makes the actor one that is new, which
// the executor takes over with Begin. Its methods may be called from any goroutine.
type Instance struct {
	actor    string
	open     *spec // nil where it was not spawned here
	restarts int
	shared   bool

	// Written by Begin, before anybody else gets to see the instance.
	number uint64
	owner  any
	pin    string

	refusal atomic.Pointer[error]
	bound   atomic.Pointer[[]boundSpec]

	mu   sync.Mutex
	done chan struct{}
	err  error
}

// boundSpec is what the calls of a method share, for one actor.
type boundSpec struct{ of, spec *spec }

// maxBound is for how many handles on methods an instance remembers that. Handles are
// few, but With makes one each time.
const maxBound = 64

// NewInstance returns an instance for calls of an actor that was spawned elsewhere and
// has that name and number; with number 0 it is for one that is to be spawned. Executors
// find their own by the number and put it in its place with [Call.Join].
func NewInstance(actor string, number uint64) *Instance {
	return &Instance{actor: actor, number: number, done: make(chan struct{})}
}

// Actor returns the name of the actor's task.
func (i *Instance) Actor() string { return i.actor }

// Number returns the actor's number in its executor, 0 before it has one.
func (i *Instance) Number() uint64 { return i.number }

// Restarts returns how often the actor may be opened again; see the option.
func (i *Instance) Restarts() int { return i.restarts }

// Shared reports whether the actor may share a process with others.
func (i *Instance) Shared() bool { return i.shared }

// Owner returns what the executor has given to Begin, nil where none has.
func (i *Instance) Owner() any { return i.owner }

// Begin makes the actor one of the executor's, before it runs any call of it, and gives
// it a number; called again, another one. That is chosen by chance, so that a [Ref] that
// gets to the wrong pool, or outlives its own, finds no other actor there. owner is the
// executor's record. If pinned is set all calls of the actor have a key, which is its
// own.
func (i *Instance) Begin(owner any, pinned bool) {
	i.number = 1 + rand.Uint64N(maxRefNumber-1) //nolint:gosec // no secret
	i.owner, i.pin = owner, ""
	if pinned {
		i.pin = "\x00" + i.actor + "#" + strconv.FormatUint(i.number, 16)
	}
}

// Found says which number the actor has where it runs, for an executor that has passed on
// the call that makes it.
func (i *Instance) Found(number uint64) { i.number = number }

// Refuse has Refusal return why from now on; the first reason counts.
func (i *Instance) Refuse(why error) { i.refusal.CompareAndSwap(nil, &why) }

// Refusal returns the error with which calls of the actor are to be refused, nil while
// it takes some.
func (i *Instance) Refusal() error {
	if why := i.refusal.Load(); why != nil {
		return *why
	}
	return nil
}

// End says that the actor has ended, after which it has no process any more; the first
// reason counts. It refuses calls then for that reason, too.
func (i *Instance) End(why error) {
	i.Refuse(why)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = why
		close(i.done)
	}
}

// Done returns a channel that is closed when the actor has ended.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Err returns why the actor has ended, nil while it has not.
func (i *Instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// NewClose makes the call that closes the actor's state where it runs, within limit. It
// is for the executor to make: programs ask for the end with [Ref.Close].
func (i *Instance) NewClose(limit time.Duration) *Call {
	s := i.closing()
	s.timeout = limit
	return &Call{spec: s, key: i.pin}
}

func (i *Instance) closing() *spec {
	s := &spec{codec: CBOR, codecName: CBOR.Name(), kind: KindActor}
	if i.open != nil {
		*s = *i.open
		s.retry, s.priority, s.noWait = nil, 0, false
	}
	s.name, s.actor, s.step = i.actor, i, StepClose
	return s
}

// specFor returns what a method's calls of this actor share.
func (i *Instance) specFor(method *spec) *spec {
	known := i.bound.Load()
	if known != nil {
		for _, b := range *known {
			if b.of == method {
				return b.spec
			}
		}
	}
	s := method.of(i)
	var all []boundSpec
	if known != nil {
		all = *known
	}
	if len(all) < maxBound {
		all = append(slices.Clip(all), boundSpec{of: method, spec: s})
		i.bound.CompareAndSwap(known, &all)
	}
	return s
}

// of returns a copy of the spec for calls of the actor.
func (s *spec) of(i *Instance) *spec {
	c := *s
	c.actor = i
	return &c
}

// ActorEndedError makes the error for calls of an actor that has ended for the given
// reason; it matches [ErrActorEnded] and the reason. nil means that it was closed.
// Executors use it.
func ActorEndedError(actor string, why error) error {
	if why == nil {
		why = errActorClosed
	}
	return &endedError{actor: actor, why: why}
}

type endedError struct {
	actor string
	why   error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("procpool: the actor %q has ended: %v", e.actor, e.why)
}

func (e *endedError) Unwrap() []error { return []error{ErrActorEnded, e.why} }

var errActorClosed = errors.New("it was closed")

// ReentrantError makes the error for a call of an actor that is refused, since the
// actor waits for who makes it; it matches [ErrReentrant]. Executors use it.
func ReentrantError(c *Call) error {
	return fmt.Errorf("%w: %q was called by a method of the same actor, or by a call that such a method waits for; have the method call its own code instead",
		ErrReentrant, c.Task())
}
