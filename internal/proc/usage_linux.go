package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ is 100 wherever Linux runs Go.
const clockTick = time.Second / 100

// Usage returns what the child and its descendants use at this moment. It reads some files of /proc,
// which takes about 100 us for a worker without children, and blocks for nothing else. After the reap it
// returns [os.ErrProcessDone]; elsewhere than on Linux an error that matches [errors.ErrUnsupported].
func (c *Child) Usage() (Usage, error) {
	var u Usage
	for i, pid := range processTree(c.pid) {
		s, ok := readStat(pid)
		if !ok {
			continue // it has ended
		}
		u.CPU += s.cpu
		if i == 0 {
			u.Stopped = s.state == 'T'
		}
		if m, ok := measure(pid); ok {
			u.Memory += m.used
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped { // maybe before the look: then it was at somebody else
		return Usage{}, os.ErrProcessDone
	}
	return u, nil
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	state byte
	cpu   time.Duration // used by it and by the children that it waited for
}

// readStat reads the state of a process; false means that it has ended.
func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false
	}
	// The second field is the name in parentheses, and may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, false
	}
	var ticks int64
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(string(field), 10, 64) // what is no number counts as nothing
		ticks += n
	}
	return stat{state: fields[0][0], cpu: time.Duration(ticks) * clockTick}, true
}
