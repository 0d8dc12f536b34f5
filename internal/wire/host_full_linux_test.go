package wire_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/procpool/procpool/internal/wire"
)

// A full file system under the socket directory is a start failure that names the
// directory and leaves nothing, wherever the start is when it meets the end: at
// the private directory, at go-plugin's, or in the worker at the socket.
func TestStartOnFullDisk(t *testing.T) {
	for inodes := 1; ; inodes++ { // the file system's own root is the first
		o := options(t)
		mountFull(t, o.SocketDir, inodes)
		if startsIn(t, o, inodes) {
			if inodes < 4 {
				t.Errorf("a worker starts where there is room for %d files", inodes)
			}
			return
		}
		if inodes == 10 {
			t.Fatal("no room is enough")
		}
	}
}

// mountFull makes dir a file system that has room for that many files, until the
// test ends.
func mountFull(t *testing.T, dir string, inodes int) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=64k,nr_inodes=%d", inodes)); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENODEV) {
			t.Skipf("a file system can't be mounted here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
		}
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// startsIn reports whether a worker starts; if not, the error is checked.
func startsIn(t *testing.T, o wire.Options, inodes int) bool {
	t.Helper()
	w, err := wire.Start(t.Context(), o)
	if err == nil {
		w.Kill(nil)
		<-w.Done()
		return true
	}
	t.Logf("room for %d files: %v", inodes, err)
	wantText(t, err.Error(), o.SocketDir, "no space left on device")
	return false
}
