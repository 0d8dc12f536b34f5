package wire //nolint:testpackage // tests what is not exported

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestClaimHandshake(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                  "",
		"hello":                             "",
		"1|2|3":                             "",
		"1|1|unix|/tmp/x|grpc":              "1|1|unix|/tmp/x|grpc",
		"1|1|unix|/tmp/x|grpc\r":            "1|1|unix|/tmp/x|grpc",
		"  1|1|tcp|127.0.0.1:1234|grpc \t":  "1|1|tcp|127.0.0.1:1234|grpc",
		"loading... 1|1|unix|/tmp/x|grpc":   "1|1|unix|/tmp/x|grpc",
		"1|1|unix|/a|grpc1|1|unix|/b|grpc":  "1|1|unix|/b|grpc",
		"2|77|unix|/tmp/x|grpc|certificate": "2|77|unix|/tmp/x|grpc|certificate",
	} {
		if got := claimHandshake([]byte(line)); string(got) != want {
			t.Errorf("in %q the handshake is %q, not %q", line, got, want)
		}
	}
}

func FuzzClaimHandshake(f *testing.F) {
	f.Add([]byte("loading 1|1|unix|/tmp/x|grpc"))
	f.Fuzz(func(t *testing.T, line []byte) {
		got := claimHandshake(line)
		if got == nil {
			return
		}
		if !strings.Contains(string(line), string(got)) || !handshakeLine.Match(got) || handshakeLine.FindIndex(got)[0] != 0 {
			t.Errorf("in %q the handshake is %q", line, got)
		}
	})
}

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
