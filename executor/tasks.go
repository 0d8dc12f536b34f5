package executor

import (
	"slices"
	"sync"

	"github.com/procpool/procpool"
)

// servedTasks is what the workers serve, as the first of them said.
type servedTasks struct {
	mu    sync.Mutex
	names []string // sorted; nil until known
	infos []procpool.TaskInfo
}

// learn takes over the first worker's tasks and returns their names; nil when
// they are known already.
func (s *servedTasks) learn(tasks []procpool.TaskInfo) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names != nil {
		return nil
	}
	s.names, s.infos = sortedNames(tasks), tasks
	return s.names
}

func (s *servedTasks) same(tasks []procpool.TaskInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Equal(s.names, sortedNames(tasks))
}

func (s *servedTasks) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := slices.BinarySearch(s.names, name)
	return found
}

func (s *servedTasks) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

// info returns what the workers say of a task.
func (s *servedTasks) info(name string) (procpool.TaskInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.infos, func(t procpool.TaskInfo) bool { return t.Name == name })
	if i < 0 {
		return procpool.TaskInfo{}, false
	}
	return s.infos[i], true
}

// methods returns the names of what can be called of actors, and of their openings.
func (s *servedTasks) methods() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.infos {
		if t.Kind == procpool.KindActor {
			names = append(append(names, t.Name), methodsOf(t)...)
		}
	}
	return names
}

// methodsOf returns what an actor's methods are called to people.
func methodsOf(t procpool.TaskInfo) []string {
	names := make([]string, len(t.Methods))
	for i, m := range t.Methods {
		names[i] = m.Name
	}
	return procpool.MethodNames(t.Name, names)
}

func sortedNames(tasks []procpool.TaskInfo) []string {
	names := make([]string, 0, len(tasks))
	for _, t := range tasks {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// unknownTask makes the error for a call of a task that the workers do not serve.
func (c *core) unknownTask(call *procpool.Call) error {
	remedy := ""
	if c.cfg.Command.path == "" {
		remedy = "pass it to workerproc.Init (in tests, to procpooltest.Main)"
	}
	return procpool.UnknownTaskError(call, c.served.list(), remedy)
}

// unknownMethod makes the error for a call of a method that the workers' actor does not
// have.
func (c *core) unknownMethod(call *procpool.Call) error {
	info, known := c.served.info(call.Actor().Actor())
	if !known {
		return c.unknownTask(call)
	}
	return procpool.UnknownTaskError(call, methodsOf(info), "")
}

// Tasks returns what the workers serve, in the order in which they say it, each with
// its types and its documentation. It does not block.
func (p *Pool) Tasks() []procpool.TaskInfo {
	s := &p.core.served
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := slices.Clone(s.infos)
	for i := range infos {
		infos[i].Codecs, infos[i].Methods = slices.Clone(infos[i].Codecs), slices.Clone(infos[i].Methods)
	}
	return infos
}
