package selfexec

import "os"

// programName is the argument list of a worker. A process may have been started
// with no arguments at all, not even its name.
func programName(path string) []string {
	if len(os.Args) == 0 {
		return []string{path}
	}
	return os.Args[:1:1]
}
