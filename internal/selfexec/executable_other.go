//go:build !linux

package selfexec

import (
	"fmt"
	"os"
)

// Executable returns the path of the running program, and the arguments of a
// worker: the program's name alone, since flags are the host's.
func Executable() (path string, args []string, err error) {
	path, err = os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("can't find the running program: %w", err)
	}
	return path, programName(path), nil
}
