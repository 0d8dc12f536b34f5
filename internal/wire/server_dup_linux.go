package wire

import "golang.org/x/sys/unix"

// dupOnto makes to a copy of the descriptor from, one that children inherit. Not
// every Linux architecture has dup2.
func dupOnto(from, to int) error { return unix.Dup3(from, to, 0) }
