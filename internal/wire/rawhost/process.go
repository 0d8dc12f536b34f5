package rawhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/procpool/procpool/internal/proc"
)

// Options says which worker to start and what to offer it.
type Options struct {
	// Spawner starts the process.
	Spawner *proc.Spawner
	// Command is the program and its arguments.
	Command []string
	// Env is its environment as KEY=VALUE, to which the variables of the handshake are
	// added; those of another host's are removed. Dir is its working directory, this
	// process's when empty.
	Env []string
	Dir string
	// Output gets every line that the worker prints but the handshake. It must not
	// block and not keep the line.
	Output func(stream proc.Stream, line []byte)

	// Lanes is how many lanes are asked for, one when 0.
	Lanes int
	// MaxPayload is the largest argument, result or value, 256 MiB when 0.
	MaxPayload uint64
	// NoRecorder keeps the flight recorder from being offered. PageVersion is the
	// version of its layout that the page claims to have, the right one when 0.
	NoRecorder  bool
	PageVersion uint32
	// Capabilities are offered beside those of the recorder.
	Capabilities []string
}

// A Host is the host's side of one worker. Its methods may be called from any
// goroutine; those that wait end with their context.
type Host struct {
	o     Options
	dir   string
	child *proc.Child
	page  *page // nil without a recorder

	said      chan struct{} // closed when the handshake was printed
	handshake Handshake     // valid then

	link // the connection, once there is one

	closing sync.Once
}

// Handshake is the line with which a worker says where it listens.
type Handshake struct {
	// Before is what stood in the same line before it.
	Before string
	// Line is the line from the handshake's first field to its end.
	Line string
	// Fields are its fields.
	Fields []string
}

// Path returns the path of the socket, empty if the handshake has none.
func (h Handshake) Path() string {
	if len(h.Fields) < 4 {
		return ""
	}
	return h.Fields[3]
}

// handshakeStart is how a handshake begins, wherever in its line.
var handshakeStart = regexp.MustCompile(`[0-9]+\|[0-9]+\|(?:unix|tcp)\|`)

// Start starts a worker and returns when it has printed its handshake. It does not
// connect. The error tells what the worker printed and how it ended; nothing of it is
// left then.
func Start(ctx context.Context, o Options) (*Host, error) {
	if o.Lanes == 0 {
		o.Lanes = 1
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 256 << 20
	}
	h := &Host{o: o, said: make(chan struct{})}
	if err := h.spawn(ctx); err != nil {
		h.Close()
		return nil, err
	}
	select {
	case <-h.said:
		return h, nil
	case <-h.child.Done():
		err := fmt.Errorf("the worker ended before its handshake: %s", h.End())
		h.Close()
		return nil, err
	case <-ctx.Done():
		err := fmt.Errorf("no handshake came: %w; %s", context.Cause(ctx), h.printed())
		h.Close()
		return nil, err
	}
}

// spawn starts the process.
func (h *Host) spawn(ctx context.Context) (err error) {
	if h.dir, err = socketDir(); err != nil {
		return fmt.Errorf("the socket's directory can't be made: %w", err)
	}
	env := []string{
		"PROCPOOL_PLUGIN_COOKIE=procpool-worker", "PLUGIN_UNIX_SOCKET_DIR=" + h.dir, "PROCPOOL_DEPTH=1",
		"PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_MIN_PORT=0", "PLUGIN_MAX_PORT=0", "PROCPOOL_POLLING=off",
	}
	if !h.o.NoRecorder {
		version := h.o.PageVersion
		if version == 0 {
			version = pageVersion
		}
		if h.page, err = newPage(h.dir, h.o.Lanes, version); err != nil {
			return fmt.Errorf("the recorder's page can't be made: %w", err)
		}
		env = append(env, "PROCPOOL_RECORDER="+h.page.path())
	}
	var once sync.Once
	h.child, err = h.o.Spawner.Start(ctx, proc.Spec{
		Path: h.o.Command[0], Args: h.o.Command, Dir: h.o.Dir, Env: append(CleanEnv(h.o.Env), env...), Output: h.o.Output,
		Claim: func(line []byte) []byte {
			found := handshakeStart.FindIndex(line)
			if found == nil {
				return nil
			}
			text := string(bytes.TrimRight(line[found[0]:], "\r"))
			once.Do(func() {
				h.handshake = Handshake{Before: string(line[:found[0]]), Line: text, Fields: strings.Split(text, "|")}
				close(h.said)
			})
			return line[found[0]:]
		},
	})
	return err
}

// CleanEnv returns the environment without what belongs to another host's worker.
func CleanEnv(env []string) []string {
	var clean []string
	for _, variable := range env {
		if !strings.HasPrefix(variable, "PLUGIN_") && !strings.HasPrefix(variable, "PROCPOOL_") {
			clean = append(clean, variable)
		}
	}
	return clean
}

// socketDir makes a private directory whose name leaves room for a socket's.
func socketDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 && runtime.GOOS != "windows" {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "procpool-r")
}

// Handshake returns what the worker printed to say where it listens.
func (h *Host) Handshake() Handshake { return h.handshake }

// SocketDir is the directory in which the worker was told to put its socket.
func (h *Host) SocketDir() string { return h.dir }

// PID is the id of the process that was started.
func (h *Host) PID() int { return h.child.PID() }

// InGroup reports whether a process is the worker or in its process group.
func (h *Host) InGroup(pid int) bool { return h.child.InGroup(pid) }

// CloseStdin ends the worker's standard input, which asks it to leave.
func (h *Host) CloseStdin() { h.child.CloseStdin() }

// Gone returns a channel that is closed when the process has ended and its group was
// killed.
func (h *Host) Gone() <-chan struct{} { return h.child.Done() }

// AwaitEnd waits until the process has ended and returns how.
func (h *Host) AwaitEnd(ctx context.Context) (proc.Exit, error) {
	select {
	case <-h.child.Done():
		return h.child.Exit(), nil
	case <-ctx.Done():
		return proc.Exit{}, errors.New("the worker goes on")
	}
}

// tailWait bounds the wait for the last of what a dead process has printed.
const tailWait = time.Second

// End tells in words how the process has ended, or that it has not.
func (h *Host) End() string {
	select {
	case <-h.child.Done():
		return h.child.Exit().String() + "; " + h.printed()
	default:
		return "it lives; " + h.printed()
	}
}

// printed tells what the worker has printed, for errors.
func (h *Host) printed() string {
	if h.child == nil {
		return "it was not started"
	}
	var parts []string
	for _, p := range []struct {
		stream string
		text   []byte
	}{{"error", h.child.Tail(tailWait)}, {"output", h.child.Early()}} {
		const most = 2000
		if text := bytes.TrimSpace(p.text); len(text) > 0 {
			parts = append(parts, fmt.Sprintf("on standard %s it printed: %s", p.stream, text[max(0, len(text)-most):]))
		}
	}
	if len(parts) == 0 {
		return "it printed nothing"
	}
	return strings.Join(parts, "; ")
}

// RemoveDir removes the directory with the socket's file, as hosts do once they are
// connected.
func (h *Host) RemoveDir() { _ = os.RemoveAll(h.dir) } // Close tries again

// Close kills the worker and what it has started, and returns when nothing of it is
// left. It may be called more than once.
func (h *Host) Close() {
	h.closing.Do(func() {
		if h.child != nil {
			h.child.Kill()
			<-h.child.Done()
		}
		h.hangUp()
		if h.child != nil {
			h.child.Close()
		}
		if h.page != nil {
			h.page.close()
		}
		if h.dir != "" {
			_ = os.RemoveAll(h.dir)
		}
	})
}

// socketFile returns the socket's path, or an error if it is not in the directory that
// the worker was given.
func (h *Host) socketFile() (string, error) {
	path := h.handshake.Path()
	if filepath.Dir(path) != h.dir {
		return "", fmt.Errorf("the socket %q is not in the directory %q, which PLUGIN_UNIX_SOCKET_DIR names", path, h.dir)
	}
	return path, nil
}
