package procpooltest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type process struct {
	pid, parent int
	state       string
	started     string
}

// addProcesses adds the processes that descend from this one, and those that have
// marker in their environment.
func addProcesses(s scene, marker string) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return
	}
	all := make(map[int]process, len(dirs))
	for _, dir := range dirs {
		if p, ok := readProcess(dir); ok {
			all[p.pid] = p
		}
	}
	self := os.Getpid()
	for pid, p := range all {
		if pid == self || !descends(all, pid, self) && !marked(pid, marker) {
			continue
		}
		s["process "+strconv.Itoa(pid)+" of "+p.started] = fmt.Sprintf("process %d (state %s, parent %d): %s", pid, p.state, p.parent, commandLine(pid))
	}
}

// readProcess reads dir/stat: "pid (name) state ppid ...", where the name may hold
// anything. It fails for a process that is gone by now.
func readProcess(dir string) (process, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return process{}, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return process{}, false
	}
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, false
	}
	return process{pid: pid, parent: parent, state: fields[0], started: fields[19]}, true
}

func descends(all map[int]process, pid, ancestor int) bool {
	for range len(all) {
		p, ok := all[pid]
		if !ok {
			return false
		}
		if p.parent == ancestor {
			return true
		}
		pid = p.parent
	}
	return false
}

func marked(pid int, marker string) bool {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false // another user's
	}
	want := []byte(markEnv + "=" + marker)
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(entry, want) {
			return true
		}
	}
	return false
}

func commandLine(pid int) string {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(line) == 0 {
		return "(no command line)"
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
}
