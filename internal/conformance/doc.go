// Package conformance runs one table of cases against any worker command and says
// which of them it passes: docs/protocol.md as a test. The worker is to serve the
// standard functions of docs/conformance.md.
//
// Most cases use a pool, as any program does, and so say what a pool's user gets.
// What no pool does, such as unknown fields, a cancellation of what never comes or
// credit to the last byte, is done message by message through internal/wire/rawhost,
// which checks beside that the worker keeps the contract in all that it sends.
//
// A program that calls [Run] calls [Init] first thing in main.
package conformance
