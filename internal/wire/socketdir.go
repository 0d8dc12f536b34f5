package wire

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// socketDir is the private directory of one start: nobody but the host's user can
// enter it. The worker's socket lies in it until both sides are connected, then it
// is removed. The host holds a lock on it for as long as it is there, so that
// another host can tell whether this one still lives.
type socketDir struct {
	path string
	lock *os.File // nil where there are no locks
}

// dirPrefix begins the names of private directories; digits follow. It is meant to
// be nobody else's: what is called so is removed.
const dirPrefix = "procpool-s"

// newSocketDir makes a private directory in parent. The error names it.
func newSocketDir(parent string) (*socketDir, error) {
	path, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return nil, err
	}
	// Without the lock it can't be told from a dead host's, once it is old.
	// But a start does not last that long, and where there are no locks
	// nobody sweeps.
	lock, _ := lockDir(path)
	return &socketDir{path: path, lock: lock}, nil
}

// remove removes the directory and what is in it.
func (d *socketDir) remove() {
	_ = os.RemoveAll(d.path) // the next sweep tries again
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

const (
	// sweepAge is how long a directory is left alone whose owner may not have
	// come to locking it.
	sweepAge = time.Minute
	// sweepNames bounds how much of a crowded directory is looked through.
	sweepNames = 1 << 16
)

// sweepDirs removes from parent the private directories of hosts that were killed
// during a start. It leaves alone what belongs to another user, what is locked,
// and what is younger than sweepAge at the moment now.
func sweepDirs(parent string, now time.Time) {
	dir, err := os.Open(parent)
	if err != nil {
		return
	}
	defer dir.Close()
	for seen := 0; seen < sweepNames; {
		names, err := dir.Readdirnames(1024)
		if err != nil {
			return
		}
		seen += len(names)
		for _, name := range names {
			if isDirName(name) {
				sweepDir(filepath.Join(parent, name), now)
			}
		}
	}
}

// isDirName reports whether newSocketDir makes such names.
func isDirName(name string) bool {
	digits, ok := strings.CutPrefix(name, dirPrefix)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// sweepDir removes the directory if its host is dead.
func sweepDir(path string, now time.Time) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || !isOurs(info) || now.Sub(info.ModTime()) < sweepAge {
		return
	}
	lock, err := lockDir(path)
	if err != nil {
		return
	}
	d := socketDir{path: path, lock: lock}
	// While the lock was taken somebody else may have removed the directory,
	// and its name been given again.
	if locked, err := lock.Stat(); err != nil || !os.SameFile(info, locked) || !d.isThere(locked) {
		_ = lock.Close()
		return
	}
	d.remove()
}

func (d *socketDir) isThere(locked os.FileInfo) bool {
	info, err := os.Lstat(d.path)
	return err == nil && os.SameFile(info, locked)
}

// maxSocketPath is the longest path of a Unix socket, 108 bytes on Linux and 104
// on macOS, less the final zero.
const maxSocketPath = 103

// socketName is room for the longest name of a private directory, and the longest
// that an SDK gives the socket in it: "/plugin" and ten digits.
const socketName = len("/" + dirPrefix + "0123456789/plugin0123456789")

// socketParent chooses the directory for the private directories: wanted, or else
// the first of the usual ones in which a socket's path is not too long.
func socketParent(wanted, temp, runtimeDir string) (string, error) {
	if wanted != "" {
		if len(wanted)+socketName > maxSocketPath {
			return "", errors.New("the socket directory " + strconv.Quote(wanted) + " makes the path of a socket longer than the system allows; choose one of at most " +
				strconv.Itoa(maxSocketPath-socketName) + " bytes")
		}
		return wanted, nil
	}
	for _, dir := range []string{temp, runtimeDir, "/tmp"} {
		if !filepath.IsAbs(dir) || len(dir)+socketName > maxSocketPath {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, nil
		}
	}
	return temp, nil // let the system say what is wrong
}
