package wire

import (
	"fmt"
	"slices"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// methodKey names a method of a worker's task.
type methodKey struct {
	function uint32
	name     string
}

// methodsFromWire returns the methods that a worker says an actor has. Their types may be
// left out.
func methodsFromWire(t *workerv1.TaskDescription) (methods []procpool.MethodInfo) {
	for i, name := range t.GetMethods() {
		m := procpool.MethodInfo{Name: name}
		if types := t.GetMethodTypes(); i < len(types) {
			m.In, m.Out, m.Codecs, m.Doc = types[i].GetInput(), types[i].GetOutput(), slices.Clone(types[i].GetCodecs()), types[i].GetDoc()
		}
		methods = append(methods, m)
	}
	return methods
}

// methodsOf returns the numbers of all methods.
func methodsOf(tasks []procpool.TaskInfo) (map[methodKey]uint32, error) {
	var all map[methodKey]uint32
	for i, t := range tasks {
		for j, m := range t.Methods {
			key := methodKey{uint32(i), m.Name}
			if _, twice := all[key]; twice || m.Name == "" {
				return nil, fmt.Errorf("its task %q has the method %q twice, or one without a name; names are unique", t.Name, m.Name)
			}
			if all == nil {
				all = make(map[methodKey]uint32)
			}
			all[key] = uint32(j) + 1
		}
	}
	return all, nil
}

// methodOf returns what a call of an actor does, as the worker has it; for a method that
// it does not have, a number that makes the worker say so.
func (w *Worker) methodOf(function uint32, c *procpool.Call) uint32 {
	switch c.Step() {
	case procpool.StepOpen:
		return methodOpen
	case procpool.StepClose:
		return methodClose
	}
	if n := w.methods[methodKey{function, c.Method()}]; n > 0 {
		return n
	}
	return methodNone
}
