// Package plainworker is the worker's side of the contract once more, as a stranger
// would write it from docs/protocol.md: the generated code, a goroutine for each lane,
// a message for each outcome, and nothing that is fast. It shares no line with package
// wire, so what the two agree in is in the document.
//
// It can be told to break the contract in one way, for tests of those who are to
// notice: hosts and the conformance kit.
package plainworker
