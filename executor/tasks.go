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

// Tasks returns what the workers serve, in the order in which they say it, each with
// its types and its documentation. It does not block.
func (p *Pool) Tasks() []procpool.TaskInfo {
	s := &p.core.served
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := slices.Clone(s.infos)
	for i := range infos {
		infos[i].Codecs = slices.Clone(infos[i].Codecs)
	}
	return infos
}
