package proc

import "context"

// Counter, UsableParent and the other names here open internals to the tests outside the package.
var (
	Counter      = counter
	UsableParent = usableParent
	OwnGroup     = ownGroup
	Sweep        = sweep
	ProcessTree  = processTree
)

// GroupPrefix begins the names of control groups.
const GroupPrefix = groupPrefix

// StartInGroup starts a child in a control group below parent that has no limit, for hosts where groups
// can be made but have no memory controller.
func (s *Spawner) StartInGroup(ctx context.Context, spec Spec, parent string) (*Child, error) {
	if !s.entered() {
		return nil, ErrClosed
	}
	group, err := newCgroup(parent, groupPrefix+"x-1", 0)
	if err != nil {
		s.left()
		return nil, err
	}
	g := &guard{limit: spec.MemoryLimit, maker: &s.limits.groups, group: group, stop: make(chan struct{})}
	return s.start(ctx, spec.withDefaults(), g)
}

// GaveUpGroups returns why the spawner makes no more control groups, nil if it does.
func (s *Spawner) GaveUpGroups() error {
	s.limits.groups.mu.Lock()
	defer s.limits.groups.mu.Unlock()
	return s.limits.groups.why
}

// GroupOf returns the directory of the child's control group, "" when it has none.
func GroupOf(c *Child) string {
	if c.guard.group == nil {
		return ""
	}
	return c.guard.group.path
}

// MemoryOf returns the memory that processes use, added up and with what they share counted once.
func MemoryOf(pids []int) (sum, once int64) {
	all := measureAll(pids)
	for _, m := range all {
		sum += m.used
	}
	return sum, sharedOnce(all)
}
