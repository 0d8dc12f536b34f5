//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// abandoned makes a private directory with a socket's file in it, as a host leaves
// it behind that is killed, and which that long ago.
func abandoned(tb testing.TB, parent string, age time.Duration) string {
	tb.Helper()
	d, err := newSocketDir(parent)
	if err != nil {
		tb.Fatal(err)
	}
	if d.lock == nil {
		tb.Skip("directories can't be locked here, so none is swept")
	}
	if err := os.WriteFile(filepath.Join(d.path, "worker"), nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := d.lock.Close(); err != nil {
		tb.Fatal(err)
	}
	setAge(tb, d.path, age)
	return d.path
}

func setAge(tb testing.TB, path string, age time.Duration) {
	tb.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		tb.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	var dirs []string
	for range 5 {
		dirs = append(dirs, abandoned(t, parent, 2*sweepAge))
	}
	sweepDirs(parent, time.Now())
	for _, dir := range dirs {
		if exists(dir) {
			t.Errorf("%s is still there", dir)
		}
	}
}

func TestSweepLeavesTheRest(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	live, err := newSocketDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	setAge(t, live.path, time.Hour)
	left := map[string]string{
		"a directory of a live host": live.path,
		"a fresh directory":          abandoned(t, parent, sweepAge/2),
		"one from the future":        abandoned(t, parent, -time.Hour),
	}
	for what, name := range map[string]string{
		"a directory of another name": "procpool-s12a", "one without a number": "procpool-s", "one of somebody else": "procpool-bench-12",
	} {
		left[what] = filepath.Join(parent, name)
		if err := os.Mkdir(left[what], 0o700); err != nil {
			t.Fatal(err)
		}
		setAge(t, left[what], time.Hour)
	}
	left["a file"] = filepath.Join(parent, dirPrefix+"1")
	if err := os.WriteFile(left["a file"], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	setAge(t, left["a file"], time.Hour)
	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	setAge(t, outside, time.Hour)
	left["a link"], left["what it leads to"] = filepath.Join(parent, dirPrefix+"2"), outside
	if err := os.Symlink(outside, left["a link"]); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		stranger := abandoned(t, parent, time.Hour)
		if err := os.Chown(stranger, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		left["a directory of another user"] = stranger
	}
	sweepDirs(parent, time.Now())
	for what, path := range left {
		if !exists(path) {
			t.Errorf("%s is gone", what)
		}
	}
	live.remove()
	if exists(live.path) {
		t.Error("the live host's own directory is still there when it has removed it")
	}
	sweepDirs(filepath.Join(parent, "nowhere"), time.Now()) // does nothing
}

func TestSocketDirIsPrivate(t *testing.T) {
	t.Parallel()
	d, err := newSocketDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.remove()
	info, err := os.Stat(d.path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
	if !isDirName(filepath.Base(d.path)) {
		t.Errorf("%s has a name that is never swept", d.path)
	}
	if longest := len(d.path) + len("/plugin0123456789"); longest > len(filepath.Dir(d.path))+socketName {
		t.Errorf("a socket in %s is longer than was reckoned with", d.path)
	}
	if again, err := lockDir(d.path); err == nil {
		_ = again.Close()
		t.Error("the lock can be taken twice")
	}
	missing := filepath.Join(d.path, "missing")
	if _, err := newSocketDir(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a directory that is missing: %v", err)
	}
}

// BenchmarkSocketDir is what a start pays for its directory.
func BenchmarkSocketDir(b *testing.B) {
	parent := b.TempDir()
	for b.Loop() {
		d, err := newSocketDir(parent)
		if err != nil {
			b.Fatal(err)
		}
		d.remove()
	}
}

// BenchmarkSweep looks through a directory of a thousand names, of which none is
// ours.
func BenchmarkSweep(b *testing.B) {
	parent := b.TempDir()
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(parent, fmt.Sprintf("something-%d", i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		sweepDirs(parent, time.Now())
	}
}
