//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// descriptorPeer is the least two Go processes can do over a Unix socket: a
// socket pair of blocking descriptors and plain read and write system calls,
// without net.Conn, deadlines or the runtime's poller. Each side holds a
// thread while it waits, so nobody would build on it; it is the floor.
type descriptorPeer struct {
	descriptor int
	child      *exec.Cmd
	message    []byte
}

func openDescriptorPeer(ctx context.Context, size int) (exchanger, error) {
	// The lock keeps a process that something else starts in this moment from
	// inheriting both ends, which would keep the child from seeing the end.
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("no socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "the child's end")
	defer theirs.Close()
	cmd, err := child(ctx, partDescriptorEcho, strconv.Itoa(size))
	if err == nil {
		cmd.ExtraFiles = []*os.File{theirs}
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the blocking socket's child: %w", err), syscall.Close(pair[0]))
	}
	return &descriptorPeer{descriptor: pair[0], child: cmd, message: make([]byte, size)}, nil
}

func (p *descriptorPeer) exchange() error {
	if err := writeFull(p.descriptor, p.message); err != nil {
		return fmt.Errorf("the blocking socket failed: %w", err)
	}
	if err := readFull(p.descriptor, p.message); err != nil {
		return fmt.Errorf("the blocking socket failed: %w", err)
	}
	return nil
}

func (p *descriptorPeer) workerPIDs() []int { return []int{p.child.Process.Pid} }

// Close ends the child by hanging up.
func (p *descriptorPeer) Close() error {
	return errors.Join(syscall.Close(p.descriptor), p.child.Wait())
}

// descriptorEcho is the child's side, on the first descriptor it inherits.
func descriptorEcho(args []string) error {
	if len(args) != 1 {
		return errors.New("needs a message size")
	}
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the message size is not a number: %w", err)
	}
	const inherited = 3
	message := make([]byte, size)
	for {
		if err := readFull(inherited, message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("reading from the host: %w", err)
		}
		if err := writeFull(inherited, message); err != nil {
			return fmt.Errorf("writing to the host: %w", err)
		}
	}
}

func readFull(descriptor int, into []byte) error {
	for len(into) > 0 {
		n, err := syscall.Read(descriptor, into)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return io.EOF
		}
		into = into[n:]
	}
	return nil
}

func writeFull(descriptor int, from []byte) error {
	for len(from) > 0 {
		n, err := syscall.Write(descriptor, from)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		from = from[n:]
	}
	return nil
}
