// Package sharedstate is the state that an executor keeps for its program and its
// tasks: mutexes, semaphores, counters and queues, and who holds what of them. It is
// pure: no processes, no transport. What package shared asks for comes as calls of
// procpool.KindShared, and everything that it does not do at once it does when another
// operation, the end of a call or a death makes it possible, never by looking again.
package sharedstate
