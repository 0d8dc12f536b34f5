package procpool

import "context"

// An Executor takes calls and sees to it that each is finished exactly once.
// The pool in package executor is one; procpooltest.Inline is another. User
// code never needs to know which executor it holds.
//
// Implementations must be safe for concurrent use.
type Executor interface {
	// Enqueue takes n calls, linked through Slot.Next and beginning with
	// first, and arranges for each to be finished with [Call.Finish]. It may
	// block while the executor is full, but no longer than ctx lasts. A call
	// that it refuses it finishes with the reason. When ctx ends before a
	// call is finished the executor finishes the call with an error made by
	// [CancelError] and stops the work if it can.
	//
	// From the moment it is handed over until it is finished, a call's Slot
	// belongs to the executor.
	Enqueue(ctx context.Context, first *Call, n int)
}

// A PackExecutor is an Executor that also takes packs: calls that hold a run of
// inputs for one task ([Call.Items] > 1), as Map makes them. A pack may grow
// until the executor seals it.
type PackExecutor interface {
	Executor
	// TakesPacks reports whether Enqueue accepts packs.
	TakesPacks() bool
}

// A Holder is the side of an executor that a call turns to when its future is
// cancelled or asked how far it has come. An executor that has one gives it to
// the call with [Call.Hold] before Enqueue returns. Its methods are called from
// any goroutine and must not block for long.
type Holder interface {
	// CancelCall says that the call was finished by its future's Cancel: it
	// need not run, and if it runs it should stop.
	CancelCall(c *Call)
	// InspectCall tells what is known of an unfinished call.
	InspectCall(c *Call) CallInfo
}

// A Task is a function that workers serve under a name, as http.Handler is to
// an HTTP server. [Func] is the usual implementation.
type Task interface {
	// Name is the name that callers use.
	Name() string
	// Describe tells what the task takes and returns.
	Describe() TaskInfo
	// Run decodes the argument in with the named codec, runs the function
	// and appends the encoded result to out, which it returns. The error is
	// one of this package's: *TaskError, *CodecError. A panic is the
	// caller's to recover (see [NewPanicError]). in is valid only until Run
	// returns.
	Run(ctx context.Context, codec string, in, out []byte) ([]byte, error)
}

// A StreamTask is a [Task] whose calls exchange values with their caller while they
// run: [Stream] and [Session] are the usual implementations. Workers call RunStream
// in place of Run, which only refuses.
type StreamTask interface {
	Task
	// RunStream decodes the argument in with the named codec and runs the
	// function, which sends and receives values through port. The error is one
	// of this package's, as for Run. in is valid only until RunStream returns.
	RunStream(ctx context.Context, codec string, in []byte, port Port) error
}

// A Port is the task's end of the values that travel with its call, whose other end
// is a [Conduit]. Room and Emit are for one goroutine at a time, and so is Next.
type Port interface {
	// Room returns an empty slice to append a value's encoding to, for Emit.
	Room() []byte
	// Emit sends the value that was appended to Room's slice. It blocks while
	// the caller has given no credit. The error says that the value is too
	// large, or that the call was given up.
	Emit(value []byte) error
	// Next returns the next value of a session's input, which is valid until
	// it is called again. It blocks until there is one; false says that there
	// are no more, that the call was given up, or that RunStream has returned,
	// when a goroutine of the task's may still be here.
	Next() (value []byte, more bool)
}

// TaskInfo describes a task to people and to callers in other languages.
type TaskInfo struct {
	// Name is the task's name.
	Name string
	// Kind says how the task is called.
	Kind Kind
	// In and Out are the types of argument and result, as the worker's
	// language writes them. Of a stream Out is the type of its values; of a
	// session In is the type of its opening argument.
	In, Out string
	// Receives is the type of the values that a session receives, empty for
	// other kinds.
	Receives string
	// Codecs are the names of the codecs that the task accepts, the
	// preferred one first.
	Codecs []string
	// Doc says what the task does, in words.
	Doc string
	// Methods are what can be called of an actor, in the order of their definition;
	// In is the type of its opening argument then, and Out is empty.
	Methods []MethodInfo
}

// MethodInfo describes a method of an actor; its fields are as those of [TaskInfo].
type MethodInfo struct {
	// Name is the method's own name.
	Name string
	// In and Out are the types of its argument and result.
	In, Out string
	// Codecs are the names of the codecs that it accepts.
	Codecs []string
	// Doc says what it does, in words.
	Doc string
}
