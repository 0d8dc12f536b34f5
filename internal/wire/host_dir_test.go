//go:build unix

package wire_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/wire"
)

// privateDirs lists what lies in the socket directory, and has the private
// directories look as if they had been made long ago.
func privateDirs(t *testing.T, parent string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(parent, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if !strings.HasPrefix(filepath.Base(path), "procpool-s") {
			t.Errorf("there is %s", path)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// While a host starts a worker its private directory is nobody else's to remove,
// however long that takes. When it is killed meanwhile the next host removes it.
func TestHostDiesDuringStart(t *testing.T) {
	startsProcesses(t)
	checkLeaks(t)
	parent := shortDir(t)
	host, _ := startHost(t, parent, "starts")
	if !eventually(func() bool { return len(childrenOf(host.Process.Pid)) > 0 }) {
		t.Error("the host starts no worker")
	}
	sweep := func() *wire.Worker {
		o := options(t)
		o.SocketDir, o.Sweep = parent, true
		w, err := wire.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	made := privateDirs(t, parent)
	if len(made) != 1 {
		t.Errorf("a start has made %v", made)
	}
	first := sweep()
	if left := privateDirs(t, parent); len(left) != len(made) {
		t.Errorf("of a living host's directories %v there are %v", made, left)
	}
	endHost(t, host)
	second := sweep()
	if left := privateDirs(t, parent); len(left) != 0 {
		t.Errorf("a dead host's directories are still there: %v", left)
	}
	for _, w := range []*wire.Worker{first, second} {
		w.Kill(nil)
		<-w.Done()
	}
}

// Without a need for it no start looks around.
func TestStartSweepsOnlyWhenAsked(t *testing.T) {
	o := options(t)
	old := filepath.Join(o.SocketDir, "procpool-s1")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	privateDirs(t, o.SocketDir)
	for _, sweep := range []bool{false, true} {
		o.Sweep = sweep
		w, err := wire.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		w.Kill(nil)
		<-w.Done()
		if left := privateDirs(t, o.SocketDir); len(left) == 0 != sweep {
			t.Errorf("with Sweep %v there are %v", sweep, left)
		}
	}
}

// A socket directory in which nothing can be made is a start failure that names it.
func TestStartWithoutSocketDir(t *testing.T) {
	o := options(t)
	o.SocketDir = filepath.Join(o.SocketDir, "missing")
	se := startError(t.Context(), t, o)
	wantText(t, se.Error(), "it was not started", o.SocketDir, "no such file")
	o = options(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o.SocketDir = file
	wantText(t, startError(t.Context(), t, o).Error(), file, "not a directory")
}
