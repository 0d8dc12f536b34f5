package procpool

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Func is a handle on a task: its name, and the types of its argument and its
// result. The verbs are its methods: Submit, Call, Map, MapUnordered. A handle
// is immutable and safe for concurrent use; keep it in a package-level variable.
//
// A Func made by [Define] is also a [Task], which workers serve.
type Func[In, Out any] struct {
	spec *spec
	fn   func(context.Context, In) (Out, error)
	key  func(In) string // nil for none
}

// spec is what the calls of a handle share. It is never modified once a call
// refers to it.
type spec struct {
	name      string
	codec     Codec
	codecName string
	metadata  map[string]string
	errors    map[string]error
	errNames  []string // sorted, so that the same sentinel wins every time
	window    int
	timeout   time.Duration
	retry     *retryPolicy // nil: a call that started is never run again
	priority  int
	kind      Kind
	noWait    bool
	local     bool
	shared    bool // a session or an actor that is content with a share of a process
	restarts  int  // of an actor
	unasked   bool // an operation whose outcome nobody wants to know
	doc       string

	actor  *Instance // that the call is of, nil for none
	step   ActorStep // what it does there
	method string    // the method's own name; name has the actor's in front
}

// Define makes a handle on a task and the task itself. name is what crosses the
// boundary: pick it once, lower_snake_case by habit. Give the handle to
// workerproc.Init (or workerproc.Serve) to have workers serve it. Define panics
// when name is empty or holds a space or control character, and when fn is nil.
//
// fn runs in a worker process, one call at a time unless the pool's Concurrency
// is above one. Where the worker is this program run again it never runs the rest
// of main: flags, globals and captured variables have their initial values there,
// and package initialization runs again. So keep handles in package-level
// variables, and load state in the pool's Initializer (see [Func.Bind]) or in
// sync.OnceValue inside fn.
//
// fn's context ends when the caller cancels, when its deadline passes, and when the
// call has run longer than its [Timeout]. A function that goes on all the same has
// its process killed after a grace period.
func Define[In, Out any](name string, fn func(context.Context, In) (Out, error), opts ...Option) *Func[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("procpool: Define(%q): the function is nil", name))
	}
	f := newFunc[In, Out]("Define", name, opts)
	f.fn, f.spec.local = fn, true
	return f
}

// Remote makes a handle on a task that is implemented elsewhere: by a worker
// program in any language. In and Out are the types that its argument and
// result decode to here. Remote panics when name is empty or holds a space or
// control character.
func Remote[In, Out any](name string, opts ...Option) *Func[In, Out] {
	return newFunc[In, Out]("Remote", name, opts)
}

func newFunc[In, Out any](verb, name string, opts []Option) *Func[In, Out] {
	return &Func[In, Out]{spec: newSpec(verb, name, KindFunction, opts)}
}

// newSpec makes the spec of a handle that verb makes.
func newSpec(verb, name string, kind Kind, opts []Option) *spec {
	checkName(verb, "task", name)
	s := &spec{name: name, codec: CBOR, codecName: CBOR.Name(), kind: kind}
	s.apply(opts)
	return s
}

// checkName panics when a name is none that can cross the boundary.
func checkName(verb, of, name string) {
	if name == "" {
		panic(fmt.Sprintf("procpool: %s: a %s needs a name", verb, of))
	}
	if !utf8.ValidString(name) {
		panic(fmt.Sprintf("procpool: %s(%q): a %s's name is UTF-8 text", verb, name, of))
	}
	for _, r := range name {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			panic(fmt.Sprintf("procpool: %s(%q): a %s's name holds no space or control character", verb, name, of))
		}
	}
}

func (s *spec) apply(opts []Option) {
	for _, o := range opts {
		o.apply(s)
	}
}

// Name returns the task's name.
func (f *Func[In, Out]) Name() string { return f.spec.name }

// Local reports whether the handle, or the one it is a copy of, was made by
// [Define]: then it brings the function, and workers can serve it.
func (f *Func[In, Out]) Local() bool { return f.spec.local }

// With returns a copy of the handle with the options applied. It names the same
// task.
func (f *Func[In, Out]) With(opts ...Option) *Func[In, Out] {
	return &Func[In, Out]{spec: f.spec.with(opts), fn: f.fn, key: f.key}
}

// KeyBy returns a copy of the handle whose calls have a key: calls with the same
// key run in the same worker for as long as it lives, one after the other in the
// order in which they were submitted, so that a worker can keep what belongs to the key in memory. A
// call waits for its worker even if others are idle. An empty key is none, as is a
// nil function. key is called by Submit on its caller's goroutine, and by Map on
// the one that pulls the inputs; it must be safe for concurrent use.
//
// A key is lost when its worker dies or is replaced; the next call with it
// chooses another. It may also be lost when a worker has more keys than the pool
// remembers (4096), none of whose calls wait.
func (f *Func[In, Out]) KeyBy(key func(In) string) *Func[In, Out] {
	return &Func[In, Out]{spec: f.spec, fn: f.fn, key: key}
}

func (s *spec) with(opts []Option) *spec {
	if len(opts) == 0 {
		return s
	}
	c := *s
	c.apply(opts)
	return &c
}

// Submit hands a call to ex and returns its future. It blocks only while ex is
// full, at most until ctx ends. The input is encoded when it returns and may be
// changed. A call that is refused or can't be encoded is a future that is
// already resolved with that error.
//
// When ctx ends before the call does, the future resolves at once with an error
// that matches ctx.Err, and the work is stopped. So it is when the task itself
// returns an error once ctx's deadline has passed.
func (f *Func[In, Out]) Submit(ctx context.Context, ex Executor, in In, opts ...Option) *Future[Out] {
	future := new(Future[Out])
	c := &future.call
	c.spec = f.spec.with(opts)
	if err := ctx.Err(); err != nil {
		c.Finish(nil, CancelError(ctx, c))
		return future
	}
	payload, err := encode(c.spec, c.small[:0], in)
	if err != nil {
		c.Finish(nil, err)
		return future
	}
	c.payload = payload
	c.deadline = deadline(ctx)
	if f.key != nil {
		c.key = f.key(in)
	}
	ex.Enqueue(ctx, c, 1)
	return future
}

// deadline returns when ctx ends by itself in Unix nanoseconds, 0 for never. What
// an int64 can't hold, as of a timeout of math.MaxInt64, is as good as never.
func deadline(ctx context.Context) int64 {
	d, ok := ctx.Deadline()
	if !ok || d.After(time.Unix(0, math.MaxInt64)) {
		return 0
	}
	return d.UnixNano()
}

// Call submits a call and waits for its result. It is Submit followed by
// Result, with ctx for both.
func (f *Func[In, Out]) Call(ctx context.Context, ex Executor, in In, opts ...Option) (Out, error) {
	return f.Submit(ctx, ex, in, opts...).await()
}

// Describe tells the task's name, the types of its argument and result, and the
// codecs it accepts.
func (f *Func[In, Out]) Describe() TaskInfo {
	return f.spec.describe(reflect.TypeFor[In](), reflect.TypeFor[Out]())
}

func (s *spec) describe(in, out reflect.Type) TaskInfo {
	return TaskInfo{Name: s.name, Kind: s.kind, Doc: s.doc, In: in.String(), Out: out.String(), Codecs: s.codecs()}
}

// codecs returns the names of the codecs that the task accepts, its own first.
func (s *spec) codecs() []string {
	names := []string{s.codecName}
	for _, c := range []Codec{CBOR, JSON} {
		if !slices.Contains(names, c.Name()) {
			names = append(names, c.Name())
		}
	}
	return names
}

// Run runs the function on an encoded argument and appends the encoded result to
// out. It makes Func a [Task]; only workers call it.
func (f *Func[In, Out]) Run(ctx context.Context, codec string, in, out []byte) ([]byte, error) {
	s := f.spec
	if f.fn == nil {
		return out, s.noFunction()
	}
	s, err := s.withCodecNamed(codec)
	if err != nil {
		return out, err
	}
	arg, err := decode[In](s, "decode the argument", in)
	if err != nil {
		return out, err
	}
	result, err := f.fn(ctx, arg)
	if err != nil {
		return out, s.taskError(err)
	}
	return encodeResult(s, out, result)
}

// noFunction is the error of a handle that is served without having a function.
func (s *spec) noFunction() error {
	return fmt.Errorf("procpool: task %q has no function here: it is a Remote handle, serve the one that Define made: %w", s.name, ErrUnknownTask)
}

func (s *spec) withCodecNamed(name string) (*spec, error) {
	if name == s.codecName {
		return s, nil
	}
	for _, c := range []Codec{CBOR, JSON, Raw} {
		if c.Name() == name {
			return s.with([]Option{WithCodec(c)}), nil
		}
	}
	return nil, &CodecError{
		Task: s.name, Codec: name, Op: "decode the argument",
		Err: fmt.Errorf("the task's codec is %q, and %q is none that every task accepts; use the same WithCodec on both sides", s.codecName, name),
	}
}

// taskError turns what the function returned into data that can cross the
// boundary.
func (s *spec) taskError(err error) error {
	te := &TaskError{Task: s.name, Type: errorType(err), Message: errorText(err), Language: "go"}
	for _, name := range s.errNames {
		if errorIs(err, s.errors[name]) {
			te.Code, te.sentinel = name, s.errors[name]
			break
		}
	}
	return te
}

func (s *spec) addErrors(sentinels map[string]error) {
	merged := make(map[string]error, len(s.errors)+len(sentinels))
	maps.Copy(merged, s.errors)
	maps.Copy(merged, sentinels)
	s.errors = merged
	s.errNames = slices.Sorted(maps.Keys(merged))
}
