package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// How often the watcher looks: seldom far from the limit, often near it. A look costs about 100 us of
// processor time for a worker without children.
const (
	watchFirst = 10 * time.Millisecond
	watchCalm  = 100 * time.Millisecond
	watchNear  = 25 * time.Millisecond // above three quarters of the limit
)

// maxTree bounds the walk over a process tree that grows while it is walked.
const maxTree = 4096

// watch kills the child and its descendants when together they use more than the limit.
func (g *guard) watch(c *Child) {
	defer close(g.watching)
	timer := time.NewTimer(watchFirst)
	defer timer.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-timer.C:
		}
		used, over := g.look(c.pid)
		if over {
			c.killOver()
			return
		}
		if used > g.limit/4*3 {
			timer.Reset(watchNear)
		} else {
			timer.Reset(watchCalm)
		}
	}
}

// look measures the tree of pid, reports whether it is over the limit, and bounds how much more it may
// map until the next look.
func (g *guard) look(pid int) (used int64, over bool) {
	tree := measureAll(processTree(pid))
	for _, m := range tree {
		used += m.used
	}
	if len(tree) > 0 && tree[0].pid == pid {
		g.ownPeak.Store(max(g.ownPeak.Load(), tree[0].peak))
	}
	if used > g.limit && len(tree) > 1 {
		used = sharedOnce(tree)
	}
	if used > g.limit {
		return used, true
	}
	for _, m := range tree {
		if g.rlimit {
			_ = limitData(m.pid, uint64(m.mapped+g.limit-used)+dataSlack) // refused by what runs as somebody else
		}
	}
	return used, false
}

// processTree returns pid and its descendants. One whose parent has died is not found: it has a new one.
func processTree(pid int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree) && len(tree) < maxTree; i++ {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", tree[i]))
		if err != nil {
			continue // it has ended
		}
		for _, task := range tasks {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", tree[i], task.Name()))
			if err != nil {
				continue
			}
			for field := range bytes.FieldsSeq(text) {
				if child, err := strconv.Atoi(string(field)); err == nil {
					tree = append(tree, child)
				}
			}
		}
	}
	return tree
}

// memory is what one process has, in bytes.
type memory struct {
	pid    int
	used   int64 // what only it can give back: anonymous, shared memory, swapped out; no mapped files
	mapped int64 // what RLIMIT_DATA counts
	peak   int64 // the most that was ever resident
}

// measure reads the memory of a process; false means that it has ended.
func measure(pid int) (memory, bool) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return memory{}, false
	}
	s, err := p.NewStatus()
	if err != nil {
		return memory{}, false
	}
	if s.RssAnon+s.RssFile+s.RssShmem == 0 {
		s.RssAnon = s.VmRSS // a kernel that does not tell them apart
	}
	return memory{
		pid:    pid,
		used:   int64(s.RssAnon + s.RssShmem + s.VmSwap + s.HugetlbPages),
		mapped: int64(s.VmData),
		peak:   int64(s.VmHWM),
	}, true
}

// measureAll measures those of the processes that still run.
func measureAll(pids []int) []memory {
	all := make([]memory, 0, len(pids))
	for _, pid := range pids {
		if m, ok := measure(pid); ok {
			all = append(all, m)
		}
	}
	return all
}

// sharedOnce adds up the memory that processes use with everything shared counted once. It makes the
// kernel walk all their pages, so it is asked only when the cheap sum is over the limit.
func sharedOnce(tree []memory) int64 {
	var sum int64
	for _, m := range tree {
		used := m.used // if the pages are not ours to see, the cheap figure must do
		if p, err := procfs.NewProc(m.pid); err == nil {
			if s, err := p.ProcSMapsRollup(); err == nil {
				used = min(used, int64(s.Pss+s.SwapPss)) // Pss counts mapped files too
			}
		}
		sum += used
	}
	return sum
}

// killOver is Kill for the memory watcher: it ends what left the group too, which may be what uses it.
func (c *Child) killOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped || c.killed {
		return
	}
	c.over = true
	killStrays(c.pid)
	c.killAllLocked()
}

// killStrays kills the descendants of pid that left its process group. The caller sees to it that pid
// is not reaped meanwhile. A descriptor for a process is taken first and the tree walked again after
// that: an id found then is either the process the descriptor means or that one is dead, so nobody
// else can be hit.
func killStrays(pid int) {
	handles := make(map[int]int)
	for _, member := range processTree(pid)[1:] {
		if sameGroup(member, pid) {
			continue
		}
		if fd, err := unix.PidfdOpen(member, 0); err == nil {
			handles[member] = fd
		}
	}
	if len(handles) == 0 {
		return
	}
	for _, member := range processTree(pid)[1:] {
		if fd, ok := handles[member]; ok {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it may have ended
		}
	}
	for _, fd := range handles {
		_ = unix.Close(fd)
	}
}
