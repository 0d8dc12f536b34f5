package wire //nolint:testpackage // tests what is not exported

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestWorkerEnv(t *testing.T) {
	t.Parallel()
	callers := []string{"PATH=/bin", "PLUGIN_CLIENT_CERT=theirs", "PROCPOOL_PLUGIN_COOKIE=theirs", "PROCPOOL_RECORDER=theirs", "PROCPOOL_POLLING=theirs", "PROCPOOL_DEPTH=1"}
	got := workerEnv(callers, []string{"PLUGIN_MIN_PORT=1", "PLUGIN_UNIX_SOCKET_DIR=theirs"}, "/tmp/ours", "/proc/1/fd/9", false)
	want := []string{"PATH=/bin", "PROCPOOL_DEPTH=1", "PLUGIN_MIN_PORT=1", "PLUGIN_UNIX_SOCKET_DIR=/tmp/ours", "PROCPOOL_RECORDER=/proc/1/fd/9", "PROCPOOL_POLLING=off"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := workerEnv(callers, nil, "", "", true); !slices.Equal(got, want[:2]) {
		t.Errorf("got %q", got)
	}
}

func TestSocketParent(t *testing.T) {
	t.Parallel()
	long := "/tmp/" + strings.Repeat("x", 100)
	runtimeDir := t.TempDir()
	if len(runtimeDir) > maxSocketPath-socketName {
		runtimeDir = filepath.Dir(runtimeDir)
	}
	for _, test := range []struct{ wanted, temp, runtimeDir, want string }{
		{"/run/mine", "/tmp", "", "/run/mine"},
		{"", "/tmp", "/nowhere", "/tmp"},
		{"", long, runtimeDir, runtimeDir},
		{"", long, "/nowhere", "/tmp"},
		{"", long, "relative", "/tmp"},
	} {
		if got, err := socketParent(test.wanted, test.temp, test.runtimeDir); err != nil || got != test.want {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
	if _, err := socketParent(long, "/tmp", ""); err == nil {
		t.Error("a directory that is too long is accepted")
	}
}

func TestMemoryInUse(t *testing.T) {
	before := memoryInUse()
	held := make([]byte, 64<<20)
	after := memoryInUse()
	if before == 0 || after < uint64(len(held)) || after > 1<<40 {
		t.Errorf("%d bytes in use, with %d more %d", before, len(held), after)
	}
	runtime.KeepAlive(held)
}
