//go:build unix

package procpooltest

import (
	"os"
	"strconv"
)

// addDescriptors adds the open descriptors, where the system shows them as files.
func addDescriptors(s scene) {
	const dir = "/dev/fd"
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	names, err := f.Readdirnames(-1)
	own := strconv.Itoa(int(f.Fd()))
	_ = f.Close()
	if err != nil {
		return
	}
	for _, name := range names {
		if name == own {
			continue
		}
		target, err := os.Readlink(dir + "/" + name)
		if err != nil {
			if target, err = statTarget(dir + "/" + name); err != nil {
				continue // closed meanwhile
			}
		}
		what := "descriptor " + name + ": " + target
		s[what] = what
	}
}

// statTarget describes a descriptor where it is not shown as a link.
func statTarget(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return info.Mode().String(), nil
}
