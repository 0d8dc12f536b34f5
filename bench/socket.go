package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// exchanger sends a message to another process and waits until the same
// number of bytes has come back.
type exchanger interface {
	exchange() error
	// workerPIDs are the processes at the other end.
	workerPIDs() []int
	Close() error
}

// socketPeer is a raw Unix socket to a child of this binary that sends back
// whatever arrives: net.Conn on both sides, nothing else. A Read that finds
// nothing parks the goroutine, as every Go program's does.
type socketPeer struct {
	conn    net.Conn
	child   *exec.Cmd
	folder  string
	message []byte
}

// openSocketPeer starts the child and connects. The message has the given
// size in both directions.
func openSocketPeer(ctx context.Context, size int) (*socketPeer, error) {
	return openSocketPeerWith(ctx, size, (*exec.Cmd).Start)
}

// openSocketPeerWith leaves the starting of the child to start.
func openSocketPeerWith(ctx context.Context, size int, start func(*exec.Cmd) error) (*socketPeer, error) {
	folder, err := os.MkdirTemp("", "procpool-bench-")
	if err != nil {
		return nil, fmt.Errorf("no folder for the socket: %w", err)
	}
	peer := &socketPeer{folder: folder, message: make([]byte, size)}
	if err := peer.connect(ctx, start); err != nil {
		return nil, errors.Join(err, peer.Close())
	}
	return peer, nil
}

func (p *socketPeer) connect(ctx context.Context, start func(*exec.Cmd) error) error {
	path := filepath.Join(p.folder, "echo")
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("listening for the raw socket's child: %w", err)
	}
	defer listener.Close()
	cmd, err := child(ctx, partSocketEcho, path, strconv.Itoa(len(p.message)))
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		return fmt.Errorf("starting the raw socket's child: %w", err)
	}
	p.child = cmd
	if unix, ok := listener.(*net.UnixListener); ok {
		// A child that failed never connects.
		if err := unix.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return fmt.Errorf("bounding the wait for the raw socket's child: %w", err)
		}
	}
	p.conn, err = listener.Accept()
	if err != nil {
		return fmt.Errorf("the raw socket's child did not connect: %w", err)
	}
	return nil
}

func (p *socketPeer) exchange() error {
	if _, err := p.conn.Write(p.message); err != nil {
		return fmt.Errorf("the raw socket failed: %w", err)
	}
	if _, err := io.ReadFull(p.conn, p.message); err != nil {
		return fmt.Errorf("the raw socket failed: %w", err)
	}
	return nil
}

func (p *socketPeer) workerPIDs() []int { return []int{p.child.Process.Pid} }

// Close ends the child by hanging up, and removes the socket.
func (p *socketPeer) Close() error {
	var errs []error
	if p.conn != nil {
		errs = append(errs, p.conn.Close())
	}
	if p.child != nil {
		if p.conn == nil {
			errs = append(errs, p.child.Process.Kill())
		}
		errs = append(errs, p.child.Wait())
	}
	errs = append(errs, os.RemoveAll(p.folder))
	return errors.Join(errs...)
}

// socketEcho is the child's side: it sends back every message until the host
// hangs up.
func socketEcho(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("needs a socket's path and a message size")
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("the message size is not a number: %w", err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", args[0])
	if err != nil {
		return fmt.Errorf("connecting to the host: %w", err)
	}
	defer conn.Close()
	message := make([]byte, size)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("reading from the host: %w", err)
		}
		if _, err := conn.Write(message); err != nil {
			return fmt.Errorf("writing to the host: %w", err)
		}
	}
}
