//go:build unix

package plainworker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// Options say what kind of worker it is.
type Options struct {
	// Fault is how the worker breaks the contract; empty, it does not.
	Fault Fault
	// Minimal has it do without what the document calls optional: one lane, no
	// recorder, no capability. It is to serve functions alone.
	Minimal bool
}

// Serve serves tasks to the host that started this process. It blocks until the worker
// is to leave; the program should end then. The error says why it can't be a worker.
func Serve(tasks []procpool.Task, o Options) error {
	fault := o.Fault
	if os.Getenv("PROCPOOL_PLUGIN_COOKIE") != "procpool-worker" {
		return errors.New("this program is a worker: a pool starts it")
	}
	if os.Getenv("PLUGIN_CLIENT_CERT") != "" {
		return errors.New("this worker can't do mutual TLS; switch AutoMTLS off")
	}
	s := &server{fault: fault, minimal: o.Minimal, tasks: tasks, page: os.Getenv("PROCPOOL_RECORDER"), gone: make(chan struct{}), load: newLoad()}
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if fault != KeepsEnv {
		scrub()
	}
	if err := s.watchStdin(); err != nil {
		return err
	}
	switch fault {
	case DiesOfInt:
	case IgnoresInt:
		signal.Ignore(os.Interrupt)
	default:
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "plain"))
	if err != nil {
		return err
	}
	rpc := grpc.NewServer(
		grpc.MaxRecvMsgSize(1<<31-1), grpc.MaxSendMsgSize(1<<31-1),
		grpc.StaticStreamWindowSize(16<<20), grpc.StaticConnWindowSize(32<<20),
	)
	workerv1.RegisterWorkerServiceServer(rpc, s)
	newline := "\n"
	if fault == NoNewline {
		newline = ""
	}
	if _, err := fmt.Fprintf(os.Stdout, "%s1|1|unix|%s|grpc\n", newline, listener.Addr()); err != nil {
		return err
	}
	go func() { _ = rpc.Serve(&oneGuest{Listener: listener, server: s}) }() // its end is the listener's
	<-s.gone
	return nil
}

// scrub removes the variables of the handshake.
func scrub() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if (strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "PROCPOOL_")) && name != "PROCPOOL_DEPTH" {
			_ = os.Unsetenv(name) // only names that can't be fail
		}
	}
}

// watchStdin takes standard input away from the tasks, and leaves when it ends.
func (s *server) watchStdin() error {
	stdin := os.Stdin
	if s.fault != KeepsStdin {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		stdin = os.NewFile(uintptr(fd), "stdin of the host")
		if err := unix.Close(0); err != nil {
			return err
		}
		// The lowest number that is free is given to what is opened next.
		if null, err := unix.Open(os.DevNull, unix.O_RDONLY, 0); err != nil || null != 0 {
			return fmt.Errorf("the null device has descriptor %d instead of 0: %w", null, err)
		}
	}
	go func() {
		if _, err := io.Copy(io.Discard, stdin); s.fault != StaysAlone || err != nil {
			s.leave()
		}
	}()
	return nil
}

// leave makes Serve return.
func (s *server) leave() { s.leaving.Do(func() { close(s.gone) }) }

// oneGuest is a listener that takes one connection and closes.
type oneGuest struct {
	net.Listener
	server *server
}

// Accept returns the connection, and then nothing more.
func (l *oneGuest) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.server.fault != TwoGuests {
		_ = l.Close() // which also removes the socket's file
	}
	l.server.kernel.conn(conn)
	return &watched{Conn: conn, server: l.server}, nil
}

// kill ends this process.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
