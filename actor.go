package procpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
)

// Actor is a handle on a kind of actor: state that lives in a worker process and is
// worked with by calls of its methods, in order and one at a time. A handle is immutable
// and safe for concurrent use; keep it in a package-level variable, and its methods
// beside it (see [DefineMethod]). One made by [DefineActor] is also a [Task], which
// workers serve.
type Actor[Open, State any] struct {
	spec *spec
	def  *actorDef[Open, State]
}

// actorDef is what the copies of a handle share.
type actorDef[Open, State any] struct {
	open func(context.Context, Open) (State, error) // nil where it is implemented elsewhere

	mu      sync.Mutex
	methods []methodDef[State]
}

// methodDef is a method as workers run it.
type methodDef[State any] struct {
	info MethodInfo
	run  func(ctx context.Context, s State, codec string, in, out []byte) ([]byte, error)
}

// DefineActor makes a handle on a kind of actor and the task itself, as [Define] does
// for a function: what is said there of names and worker processes holds here too. open
// makes the state of a new actor from the argument of Spawn; a pointer, as a rule. Its
// context is that of Spawn. If the state is an [io.Closer] it is closed when the actor
// ends by Close or with its pool's Shutdown.
//
// Give the handle to workerproc.Init, after all of its methods were defined.
func DefineActor[Open, State any](name string, open func(context.Context, Open) (State, error), opts ...Option) *Actor[Open, State] {
	if open == nil {
		panic(fmt.Sprintf("procpool: DefineActor(%q): the function is nil", name))
	}
	s := newSpec("DefineActor", name, KindActor, opts)
	s.local = true
	return &Actor[Open, State]{spec: s, def: &actorDef[Open, State]{open: open}}
}

// RemoteActor makes a handle on a kind of actor that is implemented elsewhere; see
// [Remote]. Its methods are made by [RemoteMethod].
func RemoteActor[Open any](name string, opts ...Option) *Actor[Open, any] {
	return &Actor[Open, any]{spec: newSpec("RemoteActor", name, KindActor, opts), def: new(actorDef[Open, any])}
}

// Name returns the task's name.
func (a *Actor[Open, State]) Name() string { return a.spec.name }

// Local reports whether the handle was made by [DefineActor].
func (a *Actor[Open, State]) Local() bool { return a.spec.local }

// With returns a copy of the handle with the options applied. They are for Spawn;
// methods have their own.
func (a *Actor[Open, State]) With(opts ...Option) *Actor[Open, State] {
	return &Actor[Open, State]{spec: a.spec.with(opts), def: a.def}
}

// Spawn makes an actor and returns when its opening function has; the error is that
// function's, or the reason why it did not run to its end. In a pool the actor gets a
// process of its own, beside the pool's workers, unless [Shared] is given; while the pool
// runs as many as it may (Config.MaxDedicated) Spawn blocks, or with [NoWait] is refused
// with [ErrQueueFull]. ctx bounds the opening only, and so does [Timeout]; [Retries] says
// whether it is run again if its process dies. What becomes of the actor when its process
// dies later is for [Restarts] to say.
//
// An actor must be ended, by [Ref.Close] or with its pool. One that a task spawns by
// [ExecutorFrom] ends with the attempt that has spawned it; one that an actor spawns, in
// its opening or a method, ends with that actor.
func (a *Actor[Open, State]) Spawn(ctx context.Context, ex Executor, argument Open, opts ...Option) (*Ref, error) {
	s := a.spec.with(opts)
	if s.restarts > 0 && s.shared {
		return nil, fmt.Errorf("procpool: the actor %q was not spawned: Restarts(%d) and Shared don't go together, since actors that share a process end with it: leave out one of them",
			s.name, s.restarts)
	}
	i := NewInstance(s.name, 0)
	i.restarts, i.shared = s.restarts, s.shared
	s = s.of(i)
	i.open = s
	c := &Call{spec: s}
	if ctx.Err() != nil {
		return nil, CancelError(ctx, c)
	}
	payload, err := encode(s, c.small[:0], argument)
	if err != nil {
		return nil, err
	}
	c.payload, c.deadline = payload, deadline(ctx)
	ex.Enqueue(ctx, c, 1)
	<-c.doneChan()
	if c.err != nil {
		return nil, c.err
	}
	return &Ref{instance: i, ex: ex, bound: !isOwn(ctx, ex)}, nil
}

// isOwn reports whether ex is the executor of the running task that ctx belongs to.
func isOwn(ctx context.Context, ex Executor) bool {
	h := hostFrom(ctx)
	if h == nil {
		return false
	}
	own := h.Executor()
	return reflect.TypeOf(own).Comparable() && own == ex
}

// Describe tells the task's name, the type of its opening argument, the codecs it
// accepts, and its methods.
func (a *Actor[Open, State]) Describe() TaskInfo {
	info := a.spec.describe(reflect.TypeFor[Open](), reflect.TypeFor[State]())
	info.Out = ""
	a.def.mu.Lock()
	defer a.def.mu.Unlock()
	for _, m := range a.def.methods {
		info.Methods = append(info.Methods, m.info)
	}
	return info
}

// Run refuses: an actor is opened by OpenActor.
func (a *Actor[Open, State]) Run(_ context.Context, _ string, _, out []byte) ([]byte, error) {
	return out, KindError(a.spec.name, KindFunction, KindActor)
}

// OpenActor makes an actor; see [ActorTask]. Only workers call it.
func (a *Actor[Open, State]) OpenActor(ctx context.Context, codec string, in []byte) (Resident, error) {
	if a.def.open == nil {
		return nil, a.spec.noFunction()
	}
	s, err := a.spec.withCodecNamed(codec)
	if err != nil {
		return nil, err
	}
	argument, err := decode[Open](s, "decode the argument", in)
	if err != nil {
		return nil, err
	}
	state, err := a.def.open(ctx, argument)
	if err != nil {
		return nil, s.taskError(err)
	}
	a.def.mu.Lock()
	defer a.def.mu.Unlock()
	return &resident[State]{spec: s, state: state, methods: a.def.methods}, nil
}

// An ActorTask is a [Task] of which workers keep actors: [Actor] is the usual
// implementation. Workers call OpenActor in place of Run, which only refuses.
type ActorTask interface {
	Task
	// OpenActor decodes the argument in with the named codec and makes an actor. The
	// error is one of this package's, as for Run. in is valid only until it returns.
	OpenActor(ctx context.Context, codec string, in []byte) (Resident, error)
}

// A Resident is an actor that lives in a worker. Its methods are called one at a time,
// maybe by different goroutines.
type Resident interface {
	// RunMethod is [Task].Run for the method with that index in [TaskInfo].Methods.
	RunMethod(ctx context.Context, method int, codec string, in, out []byte) ([]byte, error)
	// Close ends the actor. It is called once, as the last.
	Close() error
}

// resident is an actor of a handle made by DefineActor.
type resident[State any] struct {
	spec    *spec
	state   State
	methods []methodDef[State]
}

func (r *resident[State]) RunMethod(ctx context.Context, method int, codec string, in, out []byte) ([]byte, error) {
	if method < 0 || method >= len(r.methods) {
		return out, fmt.Errorf("%w: the actor %q has %d methods here, and number %d was called", ErrUnknownTask, r.spec.name, len(r.methods), method)
	}
	return r.methods[method].run(ctx, r.state, codec, in, out)
}

func (r *resident[State]) Close() error {
	if c, ok := any(r.state).(io.Closer); ok {
		if err := c.Close(); err != nil {
			return r.spec.taskError(err)
		}
	}
	return nil
}

// add adds a method, in whose place there must be none of that name.
func (d *actorDef[Open, State]) add(actor string, m methodDef[State]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.methods, func(other methodDef[State]) bool { return other.info.Name == m.info.Name }) {
		panic(fmt.Sprintf("procpool: DefineMethod(%s, %q): the actor has a method of that name", actor, m.info.Name))
	}
	d.methods = append(slices.Clip(d.methods), m)
}

// note takes note of a method that is implemented elsewhere, the first time.
func (d *actorDef[Open, State]) note(info MethodInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.ContainsFunc(d.methods, func(other methodDef[State]) bool { return other.info.Name == info.Name }) {
		d.methods = append(slices.Clip(d.methods), methodDef[State]{info: info})
	}
}

var errNoRef = errors.New("procpool: a method was called of no actor: the Ref is nil, or was never decoded into")
