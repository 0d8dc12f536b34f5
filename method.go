package procpool

import (
	"context"
	"fmt"
	"reflect"
)

// Method is a handle on a method of a kind of actor. It is immutable and safe for
// concurrent use; keep it in a package-level variable.
type Method[In, Out any] struct {
	spec  *spec
	actor string
}

// DefineMethod makes a handle on a method of the actor a and the method itself. fn is
// usually a method expression such as (*counter).Add, from which all types are inferred.
// It runs in the actor's process, when the calls of the actor that came before have
// ended; its context is as in [Define]. Of the actor's options [WithCodec] and [Errors]
// hold for its methods, too.
//
// It panics when the name is empty, holds a space or control character or is taken, when
// fn is nil, and when a was made by [RemoteActor]. Define all methods before the actor is
// served: as package-level variables.
func DefineMethod[Open, State, In, Out any](a *Actor[Open, State], name string, fn func(State, context.Context, In) (Out, error), opts ...Option) *Method[In, Out] {
	m := newMethod[In, Out]("DefineMethod", a, name, opts)
	switch {
	case fn == nil:
		panic(fmt.Sprintf("procpool: DefineMethod(%s, %q): the function is nil", a.spec.name, name))
	case a.def.open == nil:
		panic(fmt.Sprintf("procpool: DefineMethod(%s, %q): the actor is implemented elsewhere, and so are its methods: use RemoteMethod", a.spec.name, name))
	}
	s := m.spec
	s.local = true
	run := func(ctx context.Context, state State, codec string, in, out []byte) ([]byte, error) {
		s, err := s.withCodecNamed(codec)
		if err != nil {
			return out, err
		}
		argument, err := decode[In](s, "decode the argument", in)
		if err != nil {
			return out, err
		}
		result, err := fn(state, ctx, argument)
		if err != nil {
			return out, s.taskError(err)
		}
		return encodeResult(s, out, result)
	}
	a.def.add(a.spec.name, methodDef[State]{info: m.describe(), run: run})
	return m
}

func (m *Method[In, Out]) describe() MethodInfo {
	s := m.spec
	return MethodInfo{
		Name: s.method, In: reflect.TypeFor[In]().String(), Out: reflect.TypeFor[Out]().String(), Codecs: s.codecs(), Doc: s.doc,
	}
}

// RemoteMethod makes a handle on a method of an actor that is implemented elsewhere; see
// [Remote]. The actor's description has it then, for Config.Tasks of package executor to
// compare with what workers serve.
func RemoteMethod[In, Out, Open, State any](a *Actor[Open, State], name string, opts ...Option) *Method[In, Out] {
	m := newMethod[In, Out]("RemoteMethod", a, name, opts)
	if a.def.open == nil {
		a.def.note(m.describe())
	}
	return m
}

func newMethod[In, Out, Open, State any](verb string, a *Actor[Open, State], name string, opts []Option) *Method[In, Out] {
	checkName(verb, "method", name)
	s := &spec{
		name: methodName(a.spec.name, name), kind: KindActor, step: StepMethod, method: name,
		codec: a.spec.codec, codecName: a.spec.codecName, errors: a.spec.errors, errNames: a.spec.errNames,
	}
	s.apply(opts)
	return &Method[In, Out]{spec: s, actor: a.spec.name}
}

// Name returns the actor's name and the method's, as in "counter.add".
func (m *Method[In, Out]) Name() string { return m.spec.name }

// With returns a copy of the handle with the options applied.
func (m *Method[In, Out]) With(opts ...Option) *Method[In, Out] {
	return &Method[In, Out]{spec: m.spec.with(opts), actor: m.actor}
}

// Submit hands a call of the method to the actor and returns its future; see
// [Func.Submit]. Calls that one goroutine submits run in that order, unless they differ
// in [Priority]. Of an actor that has ended the error matches [ErrActorEnded].
//
// Beside a failure of the method itself, with which the actor lives on, a call fails
// with the [*CrashError] of the actor's process if it was the one that ran; if it had not
// started it runs when the actor was opened again, or fails with [ErrActorEnded].
func (m *Method[In, Out]) Submit(ctx context.Context, ref *Ref, in In, opts ...Option) *Future[Out] {
	future := new(Future[Out])
	c := &future.call
	s := m.spec.with(opts)
	c.spec = s
	i, ex, err := ref.of(ctx, m.actor, s.name)
	if err == nil && ctx.Err() != nil {
		err = CancelError(ctx, c)
	}
	if err != nil {
		c.Finish(nil, err)
		return future
	}
	if s == m.spec {
		c.spec = i.specFor(s)
	} else {
		c.spec = s.of(i)
	}
	payload, err := encode(c.spec, c.small[:0], in)
	if err != nil {
		c.Finish(nil, err)
		return future
	}
	c.payload, c.deadline, c.key = payload, deadline(ctx), i.pin
	ex.Enqueue(ctx, c, 1)
	return future
}

// Call submits a call of the method and waits for its result. It is Submit followed by
// Result, with ctx for both.
func (m *Method[In, Out]) Call(ctx context.Context, ref *Ref, in In, opts ...Option) (Out, error) {
	return m.Submit(ctx, ref, in, opts...).await()
}
