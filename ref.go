package procpool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Ref refers to an actor that [Actor.Spawn] has made. It is immutable, but for decoding
// into it, and safe for concurrent use.
//
// A Ref can be part of arguments and results, of tasks of the same pool: it crosses the
// boundary as the actor's name and number. Where it was decoded it stands for an actor of
// the pool in which the running task is that calls it; a program binds it to its pool
// with [Ref.On].
type Ref struct {
	instance *Instance // nil in the zero value
	ex       Executor  // nil where it was decoded
	bound    bool      // ex holds, whatever the context
}

// Actor returns the name of the actor's task.
func (r *Ref) Actor() string {
	if r == nil || r.instance == nil {
		return ""
	}
	return r.instance.actor
}

// String returns the actor's name and number, as it is encoded.
func (r *Ref) String() string {
	if r == nil || r.instance == nil {
		return "no actor"
	}
	text, err := r.MarshalText()
	if err != nil {
		return r.instance.actor
	}
	return string(text)
}

// On returns a Ref to the same actor whose calls go to ex, which must be the pool that
// it lives in or the executor of a task there.
func (r *Ref) On(ex Executor) *Ref {
	if r == nil || r.instance == nil {
		return r
	}
	return &Ref{instance: r.instance, ex: ex, bound: true}
}

// Done returns a channel that is closed when the actor has ended and its process is
// gone. That is known where it was spawned in the program that has the pool; elsewhere
// the channel is never closed.
func (r *Ref) Done() <-chan struct{} {
	if r == nil || r.instance == nil {
		return nil
	}
	return r.instance.Done()
}

// Err returns nil while Done is not closed, then an error that matches [ErrActorEnded]
// and wraps the reason.
func (r *Ref) Err() error {
	if r == nil || r.instance == nil {
		return nil
	}
	return r.instance.Err()
}

// Close ends the actor and returns when its process is gone, or with [Shared] when it
// has left it. Calls of it that wait fail with [ErrActorEnded], and so does the one that
// runs: its context ends, and its process is killed when it goes on all the same. Then
// the state is closed if it is an [io.Closer], within the pool's Config.FinalTimeout; the
// error is what that has returned. If the actor had ended by itself the error is the
// reason, as from Err. Close may be called again and by several at once.
//
// A Ref that was decoded has to be bound with On first.
func (r *Ref) Close() error {
	if r == nil || r.instance == nil {
		return errNoRef
	}
	if r.ex == nil {
		return fmt.Errorf("procpool: the actor %v was not closed: its Ref was decoded and has no executor, use ref.On(executor).Close()", r)
	}
	c := &Call{spec: r.instance.closing()}
	c.key = r.instance.pin
	r.ex.Enqueue(context.Background(), c, 1)
	<-c.doneChan()
	return c.err
}

// of returns the actor and where its calls go, for a call of the named task, a method of
// the given kind of actor.
func (r *Ref) of(ctx context.Context, actor, task string) (*Instance, Executor, error) {
	switch {
	case r == nil || r.instance == nil:
		return nil, nil, errNoRef
	case r.instance.actor != actor:
		return nil, nil, fmt.Errorf("%w: %q is a method of %q, and was called of an actor %q", ErrUnknownTask, task, actor, r.instance.actor)
	case r.bound:
		return r.instance, r.ex, nil
	}
	if h := hostFrom(ctx); h != nil {
		return r.instance, h.Executor(), nil
	}
	if r.ex == nil {
		return nil, nil, fmt.Errorf("procpool: %q was not called: the Ref %v was decoded, and the context belongs to no running task: bind it to its pool with On", task, r)
	}
	return r.instance, r.ex, nil
}

// maxRefNumber bounds the numbers of actors, so that every language can hold them.
const maxRefNumber = 1 << 53

// MarshalText returns the actor's name and number, for codecs. A Ref that refers to
// nothing is an error.
func (r Ref) MarshalText() ([]byte, error) {
	if r.instance == nil || r.instance.number == 0 {
		return nil, errors.New("procpool: a Ref that refers to no actor can't be encoded")
	}
	return strconv.AppendUint(append([]byte(r.instance.actor), '#'), r.instance.number, 16), nil
}

// UnmarshalText decodes what MarshalText has returned.
func (r *Ref) UnmarshalText(text []byte) error {
	at := strings.LastIndexByte(string(text), '#')
	if at <= 0 {
		return fmt.Errorf("procpool: %q is not the name and number of an actor", text)
	}
	number, err := strconv.ParseUint(string(text[at+1:]), 16, 64)
	if err != nil || number == 0 || number >= maxRefNumber {
		return fmt.Errorf("procpool: %q is not the name and number of an actor", text)
	}
	*r = Ref{instance: NewInstance(string(text[:at]), number)}
	return nil
}

// MarshalCBOR encodes the actor's name and number as a text.
func (r Ref) MarshalCBOR() ([]byte, error) {
	text, err := r.MarshalText()
	if err != nil {
		return nil, err
	}
	return cborEncoding.Marshal(string(text))
}

// UnmarshalCBOR decodes what MarshalCBOR has returned.
func (r *Ref) UnmarshalCBOR(data []byte) error {
	var text string
	if err := cborDecoding.Unmarshal(data, &text); err != nil {
		return err
	}
	return r.UnmarshalText([]byte(text))
}
