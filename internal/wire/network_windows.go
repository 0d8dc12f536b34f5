package wire

// unixSockets says that workers are talked to over Unix sockets. On Windows that
// is the loopback interface, which all users share, so mutual TLS is always on.
const unixSockets = false
