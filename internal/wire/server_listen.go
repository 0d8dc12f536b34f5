package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// listen binds where go-plugin looks: a Unix socket in the host's private
// directory, on Windows a port of the loopback interface.
func listen(dir string) (net.Listener, error) {
	if runtime.GOOS == "windows" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("listening for the host: %w", err)
		}
		return l, nil
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "procpool"); err != nil {
			return nil, fmt.Errorf("listening for the host: %w", err)
		}
	}
	l, err := net.Listen("unix", filepath.Join(dir, "worker"))
	if err != nil {
		return nil, fmt.Errorf("listening for the host: %w", err)
	}
	return l, nil
}

// hostListener accepts one connection, the host's, and then closes the listener
// and with it the socket's file. Its Accept goes on blocking until Close, as
// gRPC wants it.
type hostListener struct {
	net.Listener
	wrap func(*net.UnixConn) net.Conn

	once   sync.Once
	closed chan struct{}

	mu       sync.Mutex
	accepted bool
}

func newHostListener(l net.Listener, wrap func(*net.UnixConn) net.Conn) *hostListener {
	return &hostListener{Listener: l, wrap: wrap, closed: make(chan struct{})}
}

// Accept returns the host's connection, and at the second call blocks until
// Close.
func (l *hostListener) Accept() (net.Conn, error) {
	for !l.taken() {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		unixConn, ok := conn.(*net.UnixConn)
		if !ok {
			return l.take(conn), nil
		}
		if err := checkPeer(unixConn, nil); err != nil {
			_ = conn.Close() // a stranger who got past the directory's permissions
			continue
		}
		return l.take(l.wrap(unixConn)), nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *hostListener) taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

func (l *hostListener) take(conn net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = true
	_ = l.Listener.Close() // nobody else is to come
	return conn
}

// Close makes Accept return.
func (l *hostListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// scrubEnv removes from the environment what the host's handshake put there, so
// that a task's own children and pools don't take it for theirs.
func scrubEnv() {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != envDepth && (strings.HasPrefix(name, envPrefixPlugin) || strings.HasPrefix(name, envPrefixOurs)) {
			_ = os.Unsetenv(name) // fails for names that Environ can't have returned
		}
	}
}
