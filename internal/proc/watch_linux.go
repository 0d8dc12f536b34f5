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
		tree := processTree(c.pid)
		used := treeMemory(tree)
		g.ownPeak.Store(max(g.ownPeak.Load(), peakMemory(c.pid)))
		if used > g.limit && (len(tree) == 1 || sharedMemory(tree) > g.limit) {
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

// treeMemory adds up the memory of processes that only they can give back: anonymous, shared memory
// and what of it is swapped out, but no mapped files. What several share is counted several times.
func treeMemory(tree []int) int64 {
	var sum uint64
	for _, pid := range tree {
		p, err := procfs.NewProc(pid)
		if err != nil {
			continue // it has ended
		}
		s, err := p.NewStatus()
		if err != nil {
			continue
		}
		if s.RssAnon+s.RssFile+s.RssShmem == 0 {
			s.RssAnon = s.VmRSS // a kernel that does not tell them apart
		}
		sum += s.RssAnon + s.RssShmem + s.VmSwap + s.HugetlbPages
	}
	return int64(sum)
}

// sharedMemory adds up the memory of processes with everything shared counted once. It makes the
// kernel walk all their pages, so it is asked only when the cheap sum is over the limit.
func sharedMemory(tree []int) int64 {
	var sum uint64
	for _, pid := range tree {
		p, err := procfs.NewProc(pid)
		if err != nil {
			continue // it has ended
		}
		if s, err := p.ProcSMapsRollup(); err == nil {
			sum += s.Pss + s.SwapPss
		} else {
			sum += uint64(treeMemory([]int{pid})) // not ours to read: the cheap sum must do
		}
	}
	return int64(sum)
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
