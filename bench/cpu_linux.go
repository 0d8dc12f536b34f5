package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU is the CPU time that all threads of a process have used so far,
// in nanoseconds where /proc/<pid>/stat has ticks of 10 ms.
func processCPU(pid int) (time.Duration, error) {
	// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel's headers.
	const schedClock = 2
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &spent); err != nil {
		return 0, fmt.Errorf("the CPU time of process %d can't be read: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}

// childPIDs lists the processes that this one has started and that still run.
func childPIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing the workers: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		// The command's name may hold anything, so count from its closing
		// parenthesis: state, then the parent.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(os.Getpid()) && string(fields[0]) != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
