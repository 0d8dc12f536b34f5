package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// The benchmark runs its own binary again for everything that needs a second
// Go process. The part such a child plays is its first argument; it is not an
// environment variable, because the processes that a child starts would
// inherit that.
const (
	partSocketEcho     = "child:socket-echo"
	partDescriptorEcho = "child:descriptor-echo"
	partPinnedDrive    = "child:pinned-drive"
	partPluginHost     = "child:plugin-host"
	partPlugin         = "child:plugin"
	partPoolHost       = "child:pool-host"
	partStreams        = "child:streams"
	partPythonPoolHost = "child:python-pool-host"
)

// playPart runs the part that the arguments name. It returns false at once
// when they name none, which is the benchmark itself.
func playPart(args []string, stdout, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 {
		return 0, false
	}
	var err error
	ctx := context.Background()
	switch args[1] {
	case partSocketEcho:
		err = socketEcho(ctx, args[2:])
	case partDescriptorEcho:
		err = descriptorEcho(args[2:])
	case partPinnedDrive:
		err = pinnedDrive(ctx, args[2:], stdout)
	case partPluginHost:
		err = pluginHost(ctx, stdout)
	case partPlugin:
		servePlugin()
	case partStreams:
		err = serveStreams(args[2:])
	case partPoolHost:
		err = poolHost(ctx, poolConfig{workers: workers}, stdout)
	case partPythonPoolHost:
		err = poolHost(ctx, poolConfig{workers: workers, python: &python{interpreter: args[2], folder: args[3]}}, stdout)
	default:
		return 0, false
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", args[1], err) // the exit status tells too
		return 1, true
	}
	return 0, true
}

// child prepares this binary to run again in the given part. What it prints
// to stderr is passed on, so that its failures are seen.
func child(ctx context.Context, part string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program's own path is unknown: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{part}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}
