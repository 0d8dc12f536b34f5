package wire

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerOf returns the user and the process on the other end of a Unix socket: for
// the side that dialled, of the process that called listen.
func peerOf(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, fmt.Errorf("reading the peer of a socket: %w", err)
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return 0, 0, fmt.Errorf("reading the peer of a socket: %w", err)
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// checkPeer makes sure that the other end of conn runs as our user and, where
// member is given, in a process that member accepts.
func checkPeer(conn *net.UnixConn, member func(pid int) bool) error {
	uid, pid, err := peerOf(conn)
	if err != nil {
		return err
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("the other end of the socket belongs to user %d, not to %d", uid, os.Geteuid())
	}
	if member != nil && !member(pid) {
		return fmt.Errorf("the other end of the socket is process %d, which is neither the worker nor in its process group", pid)
	}
	return nil
}
