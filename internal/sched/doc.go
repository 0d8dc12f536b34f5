// Package sched decides which worker runs which call, and when: the queue and
// its bounds, dispatch, look-ahead and its withdrawal, cancellation, what a
// crash costs, and when to start workers again. It is pure policy: workers are a
// [Link], processes are started by a function it is given, and nothing here
// knows of either. Its tests run in virtual time.
//
// The words for how far a call has come, and the rules with their numbers, are
// those of docs/semantics.md.
package sched
