//go:build unix && !linux

package wire

import "golang.org/x/sys/unix"

// dupOnto makes to a copy of the descriptor from, one that children inherit.
func dupOnto(from, to int) error { return unix.Dup2(from, to) }
