package procpool

import (
	"fmt"
	"maps"
	"time"
)

// maxWindow bounds [Window], since the places of a window are made at once.
const maxWindow = 1 << 20

// An Option changes how calls are made. Options are given to [Define], [Remote] and
// their like for streams, sessions and actors, to With for a changed copy of a handle, and
// to Submit, Call, All, Open and Spawn for one call.
type Option interface{ apply(*spec) }

type optionFunc func(*spec)

func (f optionFunc) apply(s *spec) { f(s) }

// NoWait has a call refused with [ErrQueueFull] where Submit would block for
// room in the queue.
func NoWait() Option { return optionFunc(func(s *spec) { s.noWait = true }) }

// Timeout bounds how long one attempt of a call may run, from its start in the
// worker. Neither the wait in the queue nor earlier attempts count, nor the time in
// which it waits for the reader of its values, for a value, or for calls that it has
// made; a context's deadline counts everything. An attempt that runs longer fails with a
// [*TimeoutError] and its work is stopped, as after a cancellation; [RetryOn] can
// have the call run again then. It panics when d is not above zero.
func Timeout(d time.Duration) Option {
	if d <= 0 {
		panic(fmt.Sprintf("procpool: Timeout(%v): a call needs time to run", d))
	}
	return optionFunc(func(s *spec) { s.timeout = d })
}

// maxPriority bounds [Priority] on either side.
const maxPriority = 100

// Priority has a call run before those of lower priority that wait, whenever they
// came; the default is 0. It does not interrupt what runs. Calls of a low priority
// may wait for ever behind a steady flow of higher ones. It panics when p is not
// between -100 and 100.
func Priority(p int) Option {
	if p < -maxPriority || p > maxPriority {
		panic(fmt.Sprintf("procpool: Priority(%d): a priority is between %d and %d", p, -maxPriority, maxPriority))
	}
	return optionFunc(func(s *spec) { s.priority = p })
}

// WithCodec chooses the codec of argument and result, [CBOR] by default. Both
// sides must know it: give it where the task is defined, or choose one of
// [CBOR] and [JSON], which every Go task accepts.
func WithCodec(c Codec) Option {
	if c == nil {
		panic("procpool: WithCodec(nil): choose CBOR, JSON, Raw or a codec of your own")
	}
	return optionFunc(func(s *spec) { s.codec, s.codecName = c, c.Name() })
}

// Window bounds how far Map and MapUnordered run ahead of their reader: at most
// n inputs have been pulled whose results were not yet taken. Of a stream or a session
// it bounds how many values the task has sent that were not taken, beside a bound of
// 1 MiB and one value more. The default is 4096, the most a million (1 << 20). It
// panics when n is below 1. Other verbs ignore it.
func Window(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("procpool: Window(%d): a window holds at least one input", n))
	}
	n = min(n, maxWindow)
	return optionFunc(func(s *spec) { s.window = n })
}

// Errors names sentinel errors that keep their identity across the boundary:
// where the task returns an error that matches one of them, the *TaskError on
// the caller's side matches it too. Both sides must name it alike, which a
// handle made by [Define] does. Entries are added to those given before; where
// an error matches several, the name that sorts first wins. It panics when a name
// is empty or an error nil.
func Errors(sentinels map[string]error) Option {
	for name, err := range sentinels {
		if name == "" || err == nil {
			panic(fmt.Sprintf("procpool: Errors(%q: %v): a sentinel is an error with a name", name, err))
		}
	}
	sentinels = maps.Clone(sentinels)
	return optionFunc(func(s *spec) { s.addErrors(sentinels) })
}

// Metadata adds entries to the small map of strings that travels with a call,
// where the task reads it with [MetadataFrom]: a trace context, a tenant. Later
// entries replace earlier ones of the same name.
func Metadata(entries map[string]string) Option {
	entries = maps.Clone(entries)
	return optionFunc(func(s *spec) {
		merged := make(map[string]string, len(s.metadata)+len(entries))
		maps.Copy(merged, s.metadata)
		maps.Copy(merged, entries)
		s.metadata = merged
	})
}

// Shared has a session run in one of the pool's workers, as a call does, in place of
// a process of its own. It holds a slot there for as long as it lasts and shares the
// worker's fate: see Config.Concurrency of package executor. An actor is put together
// with others into one process, of up to 64: they run as many methods at once as a
// worker runs calls, each actor one, and end together when the process dies. It is for
// many that are light. Other verbs ignore it.
func Shared() Option { return optionFunc(func(s *spec) { s.shared = true }) }

// maxRestarts bounds [Restarts].
const maxRestarts = 1000

// Restarts has an actor whose process dies opened again in another one, from the
// argument that it was spawned with and so without what its methods have done to its
// state; at most n times in its life. It is 0 unless given: the death of its process
// ends the actor. An attempt to open it again that fails counts. Calls that had not
// started run in the new process; what becomes of the one that ran is for its own
// options to say (see [Retries]). It can't be had together with [Shared]. Other verbs
// than Spawn ignore it. It panics when n is negative or above 1000.
func Restarts(n int) Option {
	if n < 0 || n > maxRestarts {
		panic(fmt.Sprintf("procpool: Restarts(%d): between 0 and %d", n, maxRestarts))
	}
	return optionFunc(func(s *spec) { s.restarts = n })
}

// Doc says what a task does, for people who ask a worker what it serves: the
// command procpool tasks shows it. Callers may leave it out.
func Doc(text string) Option { return optionFunc(func(s *spec) { s.doc = text }) }
