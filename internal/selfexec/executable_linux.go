package selfexec

import (
	"fmt"
	"os"
)

// executable is a link that the kernel resolves in the child before it runs:
// the program that is running, even if its file was replaced or removed since.
const executable = "/proc/self/exe"

// Executable returns the path of the running program, and the arguments of a
// worker: the program's name alone, since flags are the host's.
func Executable() (path string, args []string, err error) {
	if _, err := os.Readlink(executable); err != nil {
		return "", nil, fmt.Errorf("can't find the running program, is /proc mounted? %w", err)
	}
	return executable, programName(executable), nil
}
