package wire

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// What Task.method says besides the number of a method, which counts from 1.
const (
	methodOpen  = 0
	methodClose = math.MaxUint32
	methodNone  = math.MaxUint32 - 1 // one that no actor has
)

// actors are the actors that live in a worker, and the methods of all that could.
type actors struct {
	methods int              // how many there are of all tasks
	begin   []int            // for each task, how many there are of those before it
	names   map[int][]string // of an actor's methods, by its task

	mu  sync.Mutex
	all map[uint64]*residentActor // by number
}

// residentActor is one of them. The host sees to it that one call runs at a time; the lock
// makes what one lane has done to the state known to the next.
type residentActor struct {
	function uint32

	mu       sync.Mutex
	resident procpool.Resident
}

// serve takes note of a task, one after the other.
func (a *actors) serve(info procpool.TaskInfo) {
	function := len(a.begin)
	a.begin = append(a.begin, a.methods)
	if len(info.Methods) == 0 {
		return
	}
	a.methods += len(info.Methods)
	if a.names == nil {
		a.names = make(map[int][]string)
	}
	for _, m := range info.Methods {
		a.names[function] = append(a.names[function], m.Name)
	}
	a.names[function] = procpool.MethodNames(info.Name, a.names[function])
}

// add takes an actor in. It reports false when there is one of that number.
func (a *actors) add(number uint64, actor *residentActor) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[number] != nil {
		return false
	}
	if a.all == nil {
		a.all = make(map[uint64]*residentActor)
	}
	a.all[number] = actor
	return true
}

// get returns the actor of that number, nil for none.
func (a *actors) get(number uint64) *residentActor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[number]
}

func (a *actors) drop(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, number)
}

// hasMethod reports whether the call is of a method that its task has.
func (s *server) hasMethod(t *task) bool {
	return t.method != methodOpen && t.actor != 0 && int64(t.method) <= int64(len(s.infos[t.function].Methods))
}

// habitOf returns where in lane.habits it is told what is known of such calls.
func (s *server) habitOf(t *task) int {
	if t.actor == 0 || !s.hasMethod(t) {
		return int(t.function)
	}
	return len(s.tasks) + s.actors.begin[t.function] + int(t.method) - 1
}

// nameOf returns what a call is called to people.
func (s *server) nameOf(t *task) string {
	if t.actor == 0 || !s.hasMethod(t) {
		return s.infos[t.function].Name
	}
	return s.actors.names[int(t.function)][t.method-1]
}

// checkKind tells what is wrong with what a task says of itself.
func checkKind(t procpool.Task, info procpool.TaskInfo) error {
	switch info.Kind {
	case procpool.KindStream, procpool.KindSession:
		if _, ok := t.(procpool.StreamTask); !ok {
			return fmt.Errorf("task %q says that it is a %v and is no procpool.StreamTask", info.Name, info.Kind)
		}
	case procpool.KindActor:
		if _, ok := t.(procpool.ActorTask); !ok {
			return fmt.Errorf("task %q says that it is an %v and is no procpool.ActorTask", info.Name, info.Kind)
		}
	}
	return nil
}

// describe tells the host of a task.
func describe(info procpool.TaskInfo) *workerv1.TaskDescription {
	d := &workerv1.TaskDescription{
		Name: info.Name, Input: info.In, Output: info.Out, Codecs: info.Codecs, Kind: kindOnWire(info.Kind), Receives: info.Receives, Doc: info.Doc,
	}
	for _, m := range info.Methods {
		d.Methods = append(d.Methods, m.Name)
		d.MethodTypes = append(d.MethodTypes, &workerv1.MethodDescription{Input: m.In, Output: m.Out, Codecs: m.Codecs, Doc: m.Doc})
	}
	return d
}

// runActor runs one step of an actor, which leaves a method's result in buf. It does not
// return when the function unwinds.
func (l *lane) runActor(ctx context.Context, t *task, codec string) error {
	s := l.server
	info := &s.infos[t.function]
	task, ok := s.tasks[t.function].(procpool.ActorTask)
	if !ok || t.actor == 0 || t.stream != 0 || len(t.sizes) > 0 {
		called := procpool.KindActor
		if t.actor == 0 {
			called = procpool.KindFunction
		}
		return procpool.KindError(info.Name, called, info.Kind)
	}
	l.running = true
	err := l.stepActor(ctx, task, t, codec)
	l.running = false
	return err
}

func (l *lane) stepActor(ctx context.Context, task procpool.ActorTask, t *task, codec string) error {
	all := &l.server.actors
	actor := all.get(t.actor)
	name := l.server.nameOf(t)
	switch {
	case t.method == methodOpen && actor != nil:
		return inUse(name)
	case t.method == methodOpen:
		return all.open(ctx, task, t, codec)
	case actor == nil && t.method == methodClose:
		return nil
	case actor == nil || actor.function != t.function:
		return fmt.Errorf("%w %q: no such actor lives in this worker", procpool.ErrUnknownTask, name)
	case t.method == methodClose:
		all.drop(t.actor)
		actor.mu.Lock()
		defer actor.mu.Unlock()
		return actor.resident.Close()
	case !l.server.hasMethod(t):
		return fmt.Errorf("%w: the actor %q has no method number %d in this worker", procpool.ErrUnknownTask, name, t.method)
	}
	actor.mu.Lock()
	defer actor.mu.Unlock()
	buf, err := actor.resident.RunMethod(ctx, int(t.method)-1, codec, t.payload, l.buf)
	if err == nil {
		l.buf = buf
	}
	return err
}

// open makes an actor.
func (a *actors) open(ctx context.Context, task procpool.ActorTask, t *task, codec string) error {
	resident, err := task.OpenActor(ctx, codec, t.payload)
	if err != nil {
		return err
	}
	if a.add(t.actor, &residentActor{function: t.function, resident: resident}) {
		return nil
	}
	_ = resident.Close() // there is an error to tell already
	return inUse(task.Name())
}

func inUse(name string) error {
	return fmt.Errorf("%w %q: an actor of that number lives in this worker already", procpool.ErrUnknownTask, name)
}
