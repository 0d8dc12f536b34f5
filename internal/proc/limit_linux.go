package proc

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// RLIMIT_DATA counts what is mapped for writing, and programs map more than they use: for 9 MiB used a Go
// program that links C has mapped 111, a stack of 8 MiB for each thread among them (Linux 6.18). So it is
// no limit of memory by itself. It stops what would grow past the limit before the watcher looks again:
// at every look it is set to what is mapped, plus what is left of the limit, plus dataSlack.
const (
	dataSlack      = 64 << 20
	dataSlackFirst = 256 << 20 // before the first look, for what a runtime maps when it begins
)

// limiter makes the guards of a spawner's children. The zero value is ready.
type limiter struct {
	once   sync.Once
	groups groupMaker

	mu        sync.Mutex
	sanitized map[string]bool // by path of the program
}

// guard holds one child to its memory limit and remembers what tells an OOM from another death. It
// exists without a limit too.
type guard struct {
	limit  int64
	group  *cgroup // nil: RLIMIT_DATA and the watcher hold the limit
	rlimit bool    // RLIMIT_DATA can be used with this program
	maker  *groupMaker

	hostPeak int64 // the host's peak memory at the start, which hides smaller ones
	oomKills int64 // the kernel's count of kills for memory at the start

	ownPeak  atomic.Int64  // the child's peak as the watcher saw it
	stop     chan struct{} // ends the watcher
	watching chan struct{} // closed when the watcher has ended; nil when there is none
}

// guard prepares a guard for a child to be started from spec.
func (l *limiter) guard(spec Spec) (*guard, error) {
	g := &guard{stop: make(chan struct{})}
	if spec.MemoryLimit <= 0 {
		return g, nil
	}
	g.limit, g.maker = spec.MemoryLimit, &l.groups
	g.rlimit = !l.isSanitized(spec)
	l.once.Do(l.groups.find)
	g.group, _ = l.groups.make(g.limit) // without one the fallback holds the limit
	return g, nil
}

// isSanitized reports whether the program is Go code built with a sanitizer. Those map terabytes of
// shadow memory when they begin, and RLIMIT_DATA would end them right there.
func (l *limiter) isSanitized(spec Spec) bool {
	path := spec.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(spec.Dir, path)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.sanitized[path]
	if ok {
		return known
	}
	if info, err := buildinfo.ReadFile(path); err == nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "-race", "-msan", "-asan":
				known = known || s.Value == "true"
			}
		}
	}
	if l.sanitized == nil {
		l.sanitized = make(map[string]bool)
	}
	l.sanitized[path] = known
	return known
}

// attach makes the child begin its life in the control group, if there is one.
func (g *guard) attach(attr *syscall.SysProcAttr) {
	if g.group != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.group.dir.Fd())
	}
}

// launch starts the process, in the control group if there is one. A kernel or a sandbox may refuse to
// start processes in one: what then starts without shows that it was not the program's fault, and no
// further group is made.
func (g *guard) launch(start func() (*os.Process, error)) (*os.Process, error) {
	p, err := start()
	if err == nil || g.group == nil {
		return p, err
	}
	g.group.remove()
	g.group = nil
	p, retryErr := start()
	if retryErr == nil {
		g.maker.giveUp(fmt.Errorf("no process can be started in a control group: %w", err))
	}
	return p, retryErr
}

// engage applies the limits to the running child.
func (g *guard) engage(c *Child) error {
	if err := setLimits(c.pid, c.spec); err != nil {
		return err
	}
	if g.limit <= 0 || g.group != nil {
		return nil
	}
	if g.rlimit {
		if err := limitData(c.pid, uint64(g.limit)+dataSlackFirst); err != nil {
			return fmt.Errorf("its memory (RLIMIT_DATA): %w", err)
		}
	}
	g.watching = make(chan struct{})
	go g.watch(c)
	return nil
}

// limitData sets the soft RLIMIT_DATA of a process to limit, or to its hard one if that is lower. The
// hard one stays: to raise it again would take a privilege.
func limitData(pid int, limit uint64) error {
	var old unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &old)
	if err == nil && old.Cur != min(old.Max, limit) {
		err = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: min(old.Max, limit), Max: old.Max}, nil)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: it has ended already, which Done tells
		return err
	}
	return nil
}

// begin records what the end will be compared with. It is no part of the start, which it would delay.
func (g *guard) begin() {
	if host, ok := measure(os.Getpid()); ok {
		g.hostPeak = host.peak
	}
	g.oomKills = kernelOOMKills()
}

// killAll kills what is in the control group.
func (g *guard) killAll() {
	if g.group != nil {
		g.group.kill()
	}
}

// limitHit reports whether the kernel killed in the control group for want of memory.
func (g *guard) limitHit() bool { return g.group != nil && g.group.oomKills() > 0 }

// refusesAt returns the limit if the kernel refuses what goes beyond it instead of killing, else 0.
func (g *guard) refusesAt() int64 {
	if g.limit > 0 && g.group == nil && g.rlimit {
		return g.limit
	}
	return 0
}

// kernelKilled reports whether the kernel killed anything for want of memory since begin.
func (g *guard) kernelKilled() bool { return kernelOOMKills() > g.oomKills }

// peak returns the child's own peak memory, 0 when it is unknown, given what its rusage says: the
// kernel counts the peak of the forking process in, so only what exceeds that is the child's. The
// kernel's counters are approximate (per processor), so it must exceed it clearly.
func (g *guard) peak(maxRSS int64) int64 {
	if maxRSS <= g.hostPeak+max(g.hostPeak/8, 8<<20) {
		maxRSS = 0
	}
	return max(maxRSS, g.ownPeak.Load())
}

// release ends the watcher and removes the control group.
func (g *guard) release() {
	close(g.stop)
	if g.watching != nil {
		<-g.watching
	}
	if g.group != nil {
		g.group.kill()
		g.group.remove()
	}
}

// kernelOOMKills returns how many processes the kernel has killed for want of memory since it booted.
func kernelOOMKills() int64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	return counter(text, "oom_kill")
}

// counter returns the value of a line "name value" of text, 0 when there is none.
func counter(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if key, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte{' '}); ok && string(key) == name {
			n, _ := strconv.ParseInt(string(value), 10, 64) // what is no number counts as nothing
			return n
		}
	}
	return 0
}
