//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
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
		"1|1|unix|":                         "1|1|unix|",
	} {
		if got := claimHandshake([]byte(line), true); string(got) != want {
			t.Errorf("in %q the handshake is %q, not %q", line, got, want)
		}
	}
	if got := claimHandshake([]byte("x 1|1|unix|/tmp/x|grpc|certificate|true"), false); string(got) != "1|1|unix|/tmp/x|grpc" {
		t.Errorf("a certificate that nobody asked for is in %q", got)
	}
}

// lineRunner is the childRunner of a child that has printed one line.
type lineRunner struct {
	childRunner
	line string
	end  chan struct{}
}

func (r *lineRunner) Start(context.Context) error { return nil }

func (r *lineRunner) Wait(context.Context) error {
	<-r.end
	return nil
}

func (r *lineRunner) Stdout() io.ReadCloser { return io.NopCloser(strings.NewReader(r.line)) }

// shake has go-plugin read the line of a worker, and returns where it would connect
// to.
func shake(line []byte, mtls bool) (net.Addr, error) {
	text := claimHandshake(line, mtls)
	if text == nil {
		return nil, io.EOF
	}
	r := &lineRunner{line: string(text) + "\n", end: make(chan struct{})}
	defer close(r.end)
	config := pluginConfig("", time.Minute, mtls, nil, nil)
	config.RunnerFunc = func(_ hclog.Logger, _ *exec.Cmd, dir string) (runner.Runner, error) {
		return r, os.Remove(dir)
	}
	return plugin.NewClient(config).Start()
}

// certificate returns one that a worker could print.
func certificate(tb testing.TB) string {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	return base64.RawStdEncoding.EncodeToString(der)
}

// A worker that prints a certificate uncalled for does no harm, and the host does
// not connect to where a worker has no business to be.
func TestHandshakeOfTheHostile(t *testing.T) {
	t.Parallel()
	addr, err := shake([]byte("1|1|unix|/tmp/x|grpc|"+certificate(t)), false)
	if err != nil || addr.String() != "/tmp/x" {
		t.Errorf("with a certificate: %v, %v", addr, err)
	}
	for _, line := range []string{
		"1|1|tcp|192.0.2.1:80|grpc", "1|1|tcp|example.invalid:80|grpc", "1|1|tcp|127.0.0.1:80|grpc", "1|1|tcp|:80|grpc",
		"1|1|unix|/tmp/x", "1|1|unix|/tmp/x|netrpc", "1|1|unix|", "1|2|unix|/tmp/x|grpc",
	} {
		if addr, err := shake([]byte(line), false); err == nil {
			t.Errorf("%q: the host would connect to %v", line, addr)
		}
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "127.1.2.3:80": true, "192.0.2.1:80": false, "localhost:80": false, ":80": false, "": false,
	} {
		if isLoopback(addr) != want {
			t.Errorf("%q counts as loopback: %v", addr, !want)
		}
	}
}

// FuzzHandshake has go-plugin read whatever a worker prints.
func FuzzHandshake(f *testing.F) {
	for _, mtls := range []bool{false, true} {
		f.Add([]byte("loading 1|1|unix|/tmp/x|grpc"), mtls)
		f.Add([]byte("1|1|unix|/tmp/x|grpc|"+certificate(f)+"|true"), mtls)
		f.Add([]byte("1|1|tcp|127.0.0.1:1|grpc"), mtls)
	}
	f.Fuzz(func(t *testing.T, line []byte, mtls bool) {
		if got := claimHandshake(line, mtls); got != nil &&
			(!strings.Contains(string(line), string(got)) || !handshakeLine.Match(got) || handshakeLine.FindIndex(got)[0] != 0) {
			t.Errorf("in %q the handshake is %q", line, got)
		}
		addr, err := shake(line, mtls)
		if err == nil && addr.Network() != "unix" {
			t.Errorf("%q has the host connect to %v", line, addr)
		}
	})
}
