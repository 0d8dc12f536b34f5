package conformance

import (
	"bytes"
	"fmt"
	"os"
)

// alive reports whether a process of that number runs. One that nobody has reaped does
// not.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	end := bytes.LastIndexByte(data, ')')
	return end < 0 || len(data) < end+3 || !bytes.ContainsAny(data[end+2:end+3], "ZX")
}
