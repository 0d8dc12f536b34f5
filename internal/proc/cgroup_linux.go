package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// removeTime bounds how long a group's removal waits for the death of what was killed in it, which takes
// a loaded machine seconds. Nobody but Spawner.Close waits for it.
const removeTime = 10 * time.Second

// groupPrefix begins the name of every control group made here; the host's process id follows.
const groupPrefix = "procpool-"

// groupMaker makes control groups (version 2) where the host may: below its own group, or beside it
// where that level was delegated to it. Below its own group is possible only where the memory
// controller is already on for groups below, because the kernel refuses to turn it on in a group that
// holds processes; moving the host is not ours to do. Beside it would leave limits set on the host's
// group behind, except where whoever manages the groups handed the level above over: systemd does that
// with Delegate= and DelegateSubgroup= and marks it with the attribute user.delegate.
type groupMaker struct {
	mu     sync.Mutex
	parent string // "" when there is none
	why    error  // then the reason
	seq    int
}

// find looks for a usable parent. Usable is what has just worked.
func (m *groupMaker) find() {
	parent, err := usableParent()
	m.mu.Lock()
	m.parent, m.why = parent, err
	m.mu.Unlock()
}

// giveUp makes every later make fail.
func (m *groupMaker) giveUp(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parent, m.why = "", why
}

// make makes a group with a memory limit. The error says why none can be had here.
func (m *groupMaker) make(limit int64) (*cgroup, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parent == "" {
		return nil, m.why
	}
	m.seq++
	return newCgroup(m.parent, fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), m.seq), limit)
}

// usableParent returns the directory in which limited groups can be made.
func usableParent() (string, error) {
	own, root, err := ownGroup()
	if err != nil {
		return "", err
	}
	candidates := []string{own}
	if above := filepath.Dir(own); own != root && isDelegated(above) {
		candidates = append(candidates, above)
	}
	var errs []error
	for _, dir := range candidates {
		if err := tryParent(dir); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", dir, err))
			continue
		}
		return dir, nil
	}
	return "", errors.Join(errs...)
}

// ownGroup returns the host's group and the root of the hierarchy as seen from here.
func ownGroup() (own, root string, err error) {
	self, err := procfs.Self()
	if err != nil {
		return "", "", err
	}
	mounts, err := self.MountInfo()
	if err != nil {
		return "", "", err
	}
	i := slices.IndexFunc(mounts, func(m *procfs.MountInfo) bool { return m.FSType == "cgroup2" })
	if i < 0 {
		return "", "", errors.New("no cgroup v2 hierarchy is mounted")
	}
	groups, err := self.Cgroups()
	if err != nil {
		return "", "", err
	}
	j := slices.IndexFunc(groups, func(g procfs.Cgroup) bool { return g.HierarchyID == 0 })
	if j < 0 {
		return "", "", errors.New("this process is in no cgroup v2 group")
	}
	rel, err := filepath.Rel(mounts[i].Root, groups[j].Path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", "", fmt.Errorf("the group %q is outside the mounted hierarchy", groups[j].Path)
	}
	root = mounts[i].MountPoint
	return filepath.Join(root, rel), root, nil
}

// isDelegated reports whether a group was handed over to whoever runs in it.
func isDelegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// tryParent turns the memory controller on for groups below dir if need be and makes one for a trial.
func tryParent(dir string) error {
	on, err := hasWord(filepath.Join(dir, "cgroup.subtree_control"), "memory")
	if err != nil {
		return err
	}
	if !on {
		available, err := hasWord(filepath.Join(dir, "cgroup.controllers"), "memory")
		if err != nil {
			return err
		}
		if !available {
			return errors.New("the memory controller is not available in it")
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			return fmt.Errorf("the memory controller is off for groups below: %w", err)
		}
	}
	sweep(dir)
	g, err := newCgroup(dir, fmt.Sprintf("%s%d-trial", groupPrefix, os.Getpid()), 1<<30)
	if err != nil {
		return err
	}
	defer g.remove()
	if _, err := os.Stat(filepath.Join(g.path, "cgroup.kill")); err != nil {
		return fmt.Errorf("the kernel is too old to kill a group at once: %w", err)
	}
	return nil
}

// hasWord reports whether a file of words holds word.
func hasWord(file, word string) (bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(bytes.Fields(text), func(f []byte) bool { return string(f) == word }), nil
}

// sweep removes the groups that hosts left behind when they were killed. Only an empty group can be
// removed, and only that of a host that is gone is tried.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), groupPrefix)
		host, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(host)
		if !ours || err != nil || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		_ = unix.Rmdir(filepath.Join(dir, e.Name())) // refused while it is in use
	}
}

// cgroup is one control group for one child and everything the child starts.
type cgroup struct {
	path string
	dir  *os.File
}

// newCgroup makes a group; with a limit of 0 none is set.
func newCgroup(parent, name string, limit int64) (*cgroup, error) {
	g := &cgroup{path: filepath.Join(parent, name)}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, err
	}
	err := g.setLimit(limit)
	if err == nil {
		g.dir, err = os.OpenFile(g.path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

// setLimit bounds the memory of the group, with swap, and makes the kernel kill all of it at once.
func (g *cgroup) setLimit(limit int64) error {
	if limit <= 0 {
		return nil
	}
	if err := g.write("memory.max", strconv.FormatInt(limit, 10)); err != nil {
		return err
	}
	if err := g.write("memory.oom.group", "1"); err != nil {
		return err
	}
	if err := g.write("memory.swap.max", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // it is missing only where there is no swap
	}
	return nil
}

func (g *cgroup) write(file, text string) error {
	f, err := os.OpenFile(filepath.Join(g.path, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// kill kills every process in the group, those that left the process group too.
func (g *cgroup) kill() { _ = g.write("cgroup.kill", "1") }

// oomKills returns how many processes of the group the kernel killed for want of memory.
func (g *cgroup) oomKills() int64 {
	text, err := os.ReadFile(filepath.Join(g.path, "memory.events"))
	if err != nil {
		return 0
	}
	return counter(text, "oom_kill")
}

// remove removes the group. The killed leave it a moment after their death, so a refusal is tried
// again.
func (g *cgroup) remove() {
	if g.dir != nil {
		_ = g.dir.Close()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(removeTime); time.Now().Before(deadline); <-tick.C {
		if err := unix.Rmdir(g.path); !errors.Is(err, unix.EBUSY) {
			return
		}
	}
}
