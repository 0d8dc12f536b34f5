// Package rawhost is a host of one worker that speaks the contract message by
// message: it sends what it is told to, also what no pool would send, and shows all
// that comes. It is written from docs/protocol.md and the generated code alone, so
// that it agrees with package wire only where the document does.
//
// It keeps a ledger of what it has sent, against which all that the worker sends is
// checked: what no host may be sent is found in whatever is tried.
package rawhost
