package proc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/procpool/procpool/internal/proc"
)

// The whole of it: a limited child in a control group of its own. It needs a host where such groups can
// be made and says why this is none.
func TestMemoryLimitByControlGroup(t *testing.T) {
	t.Parallel()
	if _, err := proc.UsableParent(); err != nil {
		t.Skipf("limits by control group (cgroup v2) cannot be tried here: %v", err)
	}
	spec := helper(t, "family", "4", "100")
	spec.MemoryLimit = 300 << 20
	c := start(t, newSpawner(t), spec)
	group := proc.GroupOf(c)
	if group == "" {
		t.Fatal("the child is in no control group of its own")
	}
	if e := await(t, c); e.OOM != proc.OOMYes {
		t.Errorf("it ended with %+v, want OOM yes", e)
	}
	eventually(t, "the group is removed", func() bool { return gone(group) })
}

// The group without its limit needs only a writable hierarchy: the child begins its life in it, the
// kill reaches a grandchild in another session, and the directory is removed.
func TestControlGroup(t *testing.T) {
	t.Parallel()
	own, _, err := proc.OwnGroup()
	if err != nil {
		t.Skipf("there is no cgroup v2 hierarchy: %v", err)
	}
	trial, err := os.MkdirTemp(own, "procpool-test-") //nolint:usetesting // it must be made in the hierarchy
	if err != nil {
		t.Skipf("no cgroup v2 group can be made: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(trial) })
	s := newSpawner(t)
	c, text := startReadyWith(t, helper(t, "leave", "away"), func(ctx context.Context, spec proc.Spec) (*proc.Child, error) {
		return s.StartInGroup(ctx, spec, trial)
	})
	pid := number(t, text)
	killLater(t, pid)
	group := proc.GroupOf(c)
	if group == "" {
		t.Fatal("the child is in no control group of its own")
	}
	if e := await(t, c); e.Code != 7 {
		t.Errorf("it ended with %+v, want exit status 7", e)
	}
	eventually(t, "the grandchild in another session is dead", func() bool { return !alive(pid) })
	s.Close()
	if !gone(group) {
		t.Errorf("%s is left", group)
	}
}

// Where groups can be made but no process started in one, a limited child starts without. A program that
// starts neither way is no reason to make no more groups.
func TestControlGroupFallsBack(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	parent := t.TempDir() // no control group at all, so the kernel refuses the start in it
	inGroup := func(ctx context.Context, spec proc.Spec) (*proc.Child, error) {
		return s.StartInGroup(ctx, spec, parent)
	}
	if _, err := inGroup(t.Context(), proc.Spec{Path: "/no/such/program"}); !errors.Is(err, proc.ErrNotFound) {
		t.Errorf("a missing program gives %v, want ErrNotFound", err)
	}
	if err := s.GaveUpGroups(); err != nil {
		t.Errorf("a missing program made it give up: %v", err)
	}
	spec := helper(t, "sleep")
	spec.MemoryLimit = 1 << 30
	c, _ := startReadyWith(t, spec, inGroup)
	if group := proc.GroupOf(c); group != "" {
		t.Errorf("the child says it is in %s", group)
	}
	if s.GaveUpGroups() == nil {
		t.Error("it goes on making groups that no process can be started in")
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// Without a usable hierarchy the reason is told, and not a silent "no".
func TestUsableParentSaysWhyNot(t *testing.T) {
	t.Parallel()
	parent, err := proc.UsableParent()
	if (parent == "") != (err != nil) {
		t.Errorf("got %q and %v", parent, err)
	}
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		t.Error("the reason is empty")
	}
}

// Groups of hosts that are gone are removed, those of living ones stay.
func TestSweep(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c := start(t, s, helper(t, "exit", "0"))
	await(t, c)
	dir := t.TempDir()
	mkdir := func(pid string) string {
		path := filepath.Join(dir, proc.GroupPrefix+pid+"-1")
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stale, living, odd := mkdir(itoa(c.PID())), mkdir(itoa(os.Getpid())), mkdir("x")
	proc.Sweep(dir)
	if !gone(stale) || gone(living) || gone(odd) {
		t.Errorf("gone: stale %v, living %v, odd %v", gone(stale), gone(living), gone(odd))
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
