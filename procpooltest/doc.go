// Package procpooltest helps to test programs that use procpool.
//
// [Inline] is an executor without processes, for tests of code that takes a
// procpool.Executor: it is quick, shows up in coverage and stops at breakpoints.
// What crosses it is encoded and decoded as on the way to a worker, so a value
// that can't cross, or state that a task expects to share with its caller, is
// found here too.
//
// [Main] lets tests and Examples start real worker processes: the test binary run
// again. [NoOrphans] fails a test that leaves a process, a goroutine or a
// descriptor behind.
package procpooltest
