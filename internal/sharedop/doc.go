// Package sharedop is what package shared, wherever it runs, and the host that keeps
// the state say to each other: the names of the operations, their arguments, and what
// they give. Each is the encoding of one map in CBOR; docs/protocol.md describes the
// same for other languages.
package sharedop
