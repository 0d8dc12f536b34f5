//go:build unix

package wire_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"google.golang.org/grpc"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/proc"
	"github.com/procpool/procpool/internal/wire"
)

// muteServer accepts a connection and never says a word.
func muteServer() int {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	fmt.Println("1|1|unix|" + path + "|grpc")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// foreignServer is a gRPC server that serves nothing of ours.
func foreignServer() int {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "foreign")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := grpc.NewServer()
	go func() { _ = s.Serve(l) }()
	fmt.Println("1|1|unix|" + path + "|grpc")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// dies ends the process as the kernel does when it is out of memory.
func dies() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// How a host that is to be killed is told what to do.
const (
	hostDirEnv  = "WIRE_TEST_DIR"
	hostDoesEnv = "WIRE_TEST_DOES"
)

// hostThatDies starts a worker, has it do what it was told, prints its process id
// and waits to be killed.
func hostThatDies() int {
	if err := os.Unsetenv(roleEnv); err != nil {
		return 1
	}
	program, err := os.Executable()
	if err != nil {
		return 1
	}
	o := wire.Options{Spawner: proc.NewSpawner(), Path: program, Env: os.Environ(), SocketDir: os.Getenv(hostDirEnv)}
	if os.Getenv(hostDoesEnv) == "starts" {
		o = withRole(o, "silent") // Start takes until the host is killed
	}
	w, err := wire.Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch os.Getenv(hostDoesEnv) {
	case "forever":
		h := &testHost{worker: w, open: make(map[uint64]*procpool.Call)}
		forever.Submit(context.Background(), h, 0)
		eventually(func() bool { started, _, _ := w.Progress(0); return started == 1 })
	case "stopped":
		if err := syscall.Kill(w.PID(), syscall.SIGSTOP); err != nil {
			return 1
		}
	}
	fmt.Println(w.PID())
	select {}
}
