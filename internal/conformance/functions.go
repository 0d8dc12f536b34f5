package conformance

import (
	"fmt"
	"slices"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// function is a standard function, as docs/conformance.md has it.
type function struct {
	name     string
	kind     workerv1.TaskKind
	optional bool
	codecs   []string
}

const (
	kindFunction = workerv1.TaskKind_TASK_KIND_FUNCTION
	kindStream   = workerv1.TaskKind_TASK_KIND_STREAM
	kindSession  = workerv1.TaskKind_TASK_KIND_SESSION
	kindActor    = workerv1.TaskKind_TASK_KIND_ACTOR
	kindShared   = workerv1.TaskKind_TASK_KIND_SHARED
)

// The capabilities, by the names of the protocol. The last is one of the kit's own: it
// is had by a worker with more than one lane.
const (
	capRecorder = "recorder"
	capStream   = "stream"
	capSession  = "session"
	capActor    = "actor"
	capHostCall = "host_call"
	capShared   = "shared_state"
	capProgress = "progress"
	capLog      = "log"
	capLanes    = "lanes"
)

// standardFunctions returns all standard functions.
func standardFunctions() []function {
	both, cbor := []string{"cbor", "json"}, []string{"cbor"}
	return []function{
		{name: "echo", codecs: both},
		{name: "echo_bytes", codecs: []string{"raw"}},
		{name: "echo_proto", codecs: []string{"proto"}, optional: true},
		{name: "add", codecs: both},
		{name: "length", codecs: cbor},
		{name: "make_bytes", codecs: cbor},
		{name: "unencodable", codecs: both},

		{name: "fail", codecs: both},
		{name: "panic", codecs: both},
		{name: "end_thread", codecs: both, optional: true},

		{name: "exit", codecs: both},
		{name: "die", codecs: both},

		{name: "hold", codecs: both},
		{name: "hold_out", codecs: both},
		{name: "spin", codecs: both},

		{name: "note", codecs: both},
		{name: "pid", codecs: both},
		{name: "environment", codecs: both},
		{name: "read_stdin", codecs: both},
		{name: "write", codecs: cbor},
		{name: "child", codecs: both},

		{name: "count", kind: kindStream, codecs: both},
		{name: "chunks", kind: kindStream, codecs: cbor},

		{name: "echo_session", kind: kindSession, codecs: both},
		{name: "sum_session", kind: kindSession, codecs: both},
		{name: "take_session", kind: kindSession, codecs: both},
		{name: "deaf_session", kind: kindSession, codecs: both},

		{name: "context", codecs: both},
		{name: "progress", codecs: both, optional: true},
		{name: "log", codecs: both, optional: true},
		{name: "call", codecs: both, optional: true},
		{name: "call_stream", codecs: both, optional: true},
		{name: "call_session", codecs: both, optional: true},

		{name: "tally", kind: kindActor, codecs: both},
		{name: "call_actor", codecs: both, optional: true},

		{name: "shared", codecs: both, optional: true},
	}
}

// wireKind is the kind on the wire.
func (f function) wireKind() workerv1.TaskKind {
	if f.kind == 0 {
		return kindFunction
	}
	return f.kind
}

// lookUp returns the standard function of that name.
func lookUp(name string) (function, bool) {
	all := standardFunctions()
	if i := slices.IndexFunc(all, func(f function) bool { return f.name == name }); i >= 0 {
		return all[i], true
	}
	return function{}, false
}

// has reports whether the worker that says hello has a capability.
func has(hello *workerv1.HelloResponse, capability string) bool {
	switch capability {
	case capRecorder:
		return hello.GetRecorderOpen()
	case capLanes:
		return hello.GetLanes() > 1
	}
	return slices.Contains(hello.GetCapabilities(), capability)
}

// lacks says why a case can't be tried with the worker that says hello, and whether
// that is the worker's right.
func lacks(hello *workerv1.HelloResponse, c Case) (why string, allowed bool) {
	for _, capability := range c.needs {
		if has(hello, capability) {
			continue
		}
		switch capability {
		case capRecorder:
			return "the worker does not keep the flight recorder", true
		case capLanes:
			return "the worker has one lane", true
		}
		return fmt.Sprintf("the worker has not named the capability %q", capability), true
	}
	for _, name := range c.uses {
		f, ok := lookUp(name)
		if !ok {
			return fmt.Sprintf("the kit itself is wrong: %q is no standard function", name), false
		}
		i := slices.IndexFunc(hello.GetTasks(), func(d *workerv1.TaskDescription) bool { return d.GetName() == name })
		switch {
		case i >= 0:
		case f.optional:
			return fmt.Sprintf("the worker does not serve the function %q, which is optional", name), true
		default:
			return fmt.Sprintf("the worker does not serve the function %q, which docs/conformance.md requires", name), false
		}
	}
	return "", false
}
