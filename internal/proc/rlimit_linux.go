package proc

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// setLimits applies the limits on processor time and open files to a process that has just been started.
// Of the first nothing is lost: it counts from the start.
func setLimits(pid int, spec Spec) error {
	if spec.CPULimit > 0 {
		soft := cpuSeconds(spec.CPULimit)
		if err := setLimit(pid, unix.RLIMIT_CPU, unix.Rlimit{Cur: soft, Max: soft + 1}); err != nil {
			return fmt.Errorf("its processor time (RLIMIT_CPU) to %d s: %w", soft, err)
		}
	}
	return setOpenFiles(pid, spec.OpenFiles)
}

func setOpenFiles(pid int, limit uint64) error {
	if limit == 0 {
		return nil
	}
	if err := setLimit(pid, unix.RLIMIT_NOFILE, unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("its open files (RLIMIT_NOFILE) to %d: %w", limit, err)
	}
	return nil
}

// confirmLimits sets the limit on open files again once the program has begun. The Go runtime raises the
// soft one in its first moments: it reads both and writes both, and where it has the privilege to, that
// undoes a hard one that came in between.
func (c *Child) confirmLimits() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = setOpenFiles(c.pid, c.spec.OpenFiles) // as it was set before
	}
}

// cpuSeconds rounds a limit of processor time up to what the kernel can count.
func cpuSeconds(limit time.Duration) uint64 {
	return uint64((limit + time.Second - 1) / time.Second)
}

// setLimit sets a resource limit, both the soft and the hard one, of a process.
func setLimit(pid, resource int, limit unix.Rlimit) error {
	var old unix.Rlimit
	err := unix.Prlimit(pid, resource, &limit, &old)
	switch {
	case errors.Is(err, unix.ESRCH): // it has ended already, which Done tells
		return nil
	case errors.Is(err, unix.EPERM) && unix.Prlimit(pid, resource, nil, &old) == nil && old.Max < limit.Max:
		return fmt.Errorf("the host's own hard limit is %d; raise it, or ask for less: %w", old.Max, err)
	default:
		return err
	}
}

// usedUp reports whether a process, which may be dead but not reaped, has been sent SIGXCPU for want of
// processor time: with each the kernel raises the soft limit by a second. The times that a process is said
// to have used don't tell, for they are measured in another way.
func usedUp(pid int, limit time.Duration) bool {
	var now unix.Rlimit
	return limit > 0 && unix.Prlimit(pid, unix.RLIMIT_CPU, nil, &now) == nil && now.Cur > cpuSeconds(limit)
}

// setNice sets the niceness of the calling thread, which what it starts inherits.
func setNice(nice int) error {
	if nice == 0 {
		return nil
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
		return fmt.Errorf("cannot set the niceness %d: %w", nice, err)
	}
	return nil
}
