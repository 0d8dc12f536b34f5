package main

import (
	"os"
	"time"
)

// cpuMeter adds up the CPU time of this process and of others while they work
// for it.
type cpuMeter struct {
	pids  []int
	start time.Duration
	err   error
}

// startCPU begins to measure this process and the given ones.
func startCPU(workers []int) *cpuMeter {
	m := &cpuMeter{pids: append([]int{os.Getpid()}, workers...)}
	m.start, m.err = m.total()
	return m
}

// startCPUOfChildren begins to measure this process and all it has started,
// whatever each is there for: what an idle one uses is nothing.
func startCPUOfChildren() *cpuMeter {
	pids, err := childPIDs()
	if err != nil {
		return &cpuMeter{err: err}
	}
	return startCPU(pids)
}

func (m *cpuMeter) total() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range m.pids {
		spent, err := processCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += spent
	}
	return sum, nil
}

// perCall puts the CPU time used since the start, divided by the number of
// calls and in microseconds, into the figures. Where it can't be measured the
// figure stays out, and the row says so.
func (m *cpuMeter) perCall(into figures, name string, calls int) {
	if m.err != nil {
		return
	}
	end, err := m.total()
	if err != nil {
		return
	}
	into[name] = microseconds(end-m.start) / float64(calls)
}
