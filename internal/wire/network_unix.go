//go:build !windows

package wire

// unixSockets says that workers are talked to over Unix sockets.
const unixSockets = true
