package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/procpool/procpool/internal/proc"
)

// The handshake of go-plugin, which every SDK repeats.
const (
	cookieKey     = "PROCPOOL_PLUGIN_COOKIE"
	cookieValue   = "procpool-worker"
	pluginVersion = 1
	pluginName    = "worker"

	envPrefixPlugin = "PLUGIN_"
	envPrefixOurs   = "PROCPOOL_"
	// envDepth counts nested pools; it is the one variable of ours that a
	// worker's tasks may see.
	envDepth     = "PROCPOOL_DEPTH"
	envRecorder  = "PROCPOOL_RECORDER"
	envSocketDir = plugin.EnvUnixSocketDir
	envVersions  = "PLUGIN_PROTOCOL_VERSIONS"
	envCert      = "PLUGIN_CLIENT_CERT"
	// envPolling tells a worker whether it may poll, as its host does.
	envPolling = "PROCPOOL_POLLING"
	pollingOff = "off"
)

// handshakeLine finds a handshake in a line that a library may have begun with
// output of its own, without a newline.
var handshakeLine = regexp.MustCompile(`[0-9]+\|[0-9]+\|(?:unix|tcp)\|`)

// claimHandshake is the proc.Spec.Claim of a worker: the part of the line from
// the last handshake in it.
func claimHandshake(line []byte) []byte {
	all := handshakeLine.FindAllIndex(line, -1)
	if all == nil {
		return nil
	}
	return bytes.TrimRight(line[all[len(all)-1][0]:], " \r\t")
}

// clientPlugin tells go-plugin how to make a client of what a worker serves: the
// connection itself.
type clientPlugin struct{ plugin.NetRPCUnsupportedPlugin }

var errHostOnly = errors.New("procpool's workers do not serve through go-plugin")

// GRPCServer is never called: a worker runs a server of its own.
func (clientPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return errHostOnly }

// GRPCClient returns the connection.
func (clientPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// pluginConfig is the configuration of one client for one worker; go-plugin
// changes it, so it is not shared. spawn starts the process with go-plugin's
// variables. go-plugin makes a directory of its own in dir, which is of no use to
// us: the socket's path would only get longer.
func pluginConfig(dir string, startTimeout time.Duration, mtls bool, dial []grpc.DialOption,
	spawn func(env []string) (*proc.Child, error),
) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: pluginVersion, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue,
		},
		Plugins:          plugin.PluginSet{pluginName: clientPlugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		// The host's environment would be appended behind ours and win.
		SkipHostEnv: true,
		// Our own deadline comes first and says more.
		StartTimeout:     startTimeout + time.Minute,
		AutoMTLS:         mtls,
		GRPCDialOptions:  dial,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			return &childRunner{spawn: func() (*proc.Child, error) { return spawn(cmd.Env) }}, nil
		},
	}
}

// childRunner lends a child to go-plugin. go-plugin reads the handshake from it
// and waits for its end; output, signals and the exit status are internal/proc's.
type childRunner struct {
	spawn func() (*proc.Child, error)
	child *proc.Child // nil until Start has succeeded
}

// Start starts the child. The context is go-plugin's own deadline; ours is
// bound in spawn.
func (r *childRunner) Start(context.Context) error {
	child, err := r.spawn()
	if err != nil {
		return err
	}
	r.child = child
	return nil
}

// Wait waits for the end of the process and of its group.
func (r *childRunner) Wait(context.Context) error {
	<-r.child.Done()
	return nil
}

// Kill does nothing: go-plugin calls it as soon as a start has failed, and would
// hide how a process that is about to exit ends by itself. The launch kills.
func (r *childRunner) Kill(context.Context) error { return nil }

// Stdout yields the handshake line and EOF.
func (r *childRunner) Stdout() io.ReadCloser { return r.child.Claimed() }

// Stderr yields nothing: go-plugin would parse it as its own log format, and a
// line with a surprising type in it would panic in the host.
func (r *childRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name names the child in go-plugin's log, which nobody reads.
func (r *childRunner) Name() string { return "worker" }

// ID is the process id, empty while there is no process.
func (r *childRunner) ID() string {
	if r.child == nil {
		return ""
	}
	return strconv.Itoa(r.child.PID())
}

// Diagnose adds nothing: the caller has the output and the exit status.
func (r *childRunner) Diagnose(context.Context) string { return "" }

// PluginToHost translates nothing, both sides see the same files.
func (r *childRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin translates nothing.
func (r *childRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// workerEnv is the environment of a worker: the caller's without anything that
// another host left in it, and what go-plugin and we add. The socket goes into our
// directory.
func workerEnv(callers, plugins []string, socketDir, recorderPath string, polling bool) []string {
	env := make([]string, 0, len(callers)+len(plugins)+2)
	for _, kv := range callers {
		if !handshakeVariable(kv) {
			env = append(env, kv)
		}
	}
	for _, kv := range plugins {
		if strings.HasPrefix(kv, envSocketDir+"=") {
			kv = envSocketDir + "=" + socketDir
		}
		env = append(env, kv)
	}
	if recorderPath != "" {
		env = append(env, envRecorder+"="+recorderPath)
	}
	if !polling {
		env = append(env, envPolling+"="+pollingOff)
	}
	return env
}

// handshakeVariable reports whether a variable belongs to one host and one
// worker. A certificate of the outer pool, say, would make an inner worker
// answer with TLS.
func handshakeVariable(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return strings.HasPrefix(name, envPrefixPlugin) || slices.Contains([]string{cookieKey, envRecorder, envPolling}, name)
}
