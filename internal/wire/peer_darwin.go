package wire

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer makes sure that the other end of conn runs as our user and, where
// member is given, in a process that member accepts.
func checkPeer(conn *net.UnixConn, member func(pid int) bool) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("reading the peer of a socket: %w", err)
	}
	var (
		cred *unix.Xucred
		pid  int
	)
	controlErr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err != nil {
			return
		}
		pid, err = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return fmt.Errorf("reading the peer of a socket: %w", err)
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("the other end of the socket belongs to user %d, not to %d", cred.Uid, os.Geteuid())
	}
	if member != nil && !member(pid) {
		return fmt.Errorf("the other end of the socket is process %d, which is neither the worker nor in its process group", pid)
	}
	return nil
}
