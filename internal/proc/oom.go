package proc

import (
	"bytes"
	"syscall"
)

// goOutOfMemory reports whether line is the Go runtime's own word for a failed allocation. It is
// recognised as it passes, because the goroutine dump that follows may push it out of the tail.
func goOutOfMemory(line []byte) bool {
	if bytes.HasPrefix(line, []byte("runtime: out of memory")) {
		return true
	}
	text, ok := bytes.CutPrefix(line, []byte("fatal error: "))
	return ok && (bytes.Contains(text, []byte("out of memory")) || bytes.Contains(text, []byte("cannot allocate memory")))
}

// hintsOutOfMemory reports whether the end of standard error looks like a failed allocation.
func hintsOutOfMemory(tail []byte) bool {
	for _, hint := range []string{
		"MemoryError",                // Python
		"std::bad_alloc",             // C++
		"heap out of memory",         // V8
		"java.lang.OutOfMemoryError", // the JVM
		"memory allocation of ",      // Rust: "memory allocation of N bytes failed"
		"annot allocate memory",      // the text of ENOMEM in C libraries, capital or not
		"emory exhausted",            // GNU programs
		"ut of memory",               // Perl and others
		"pthread_create failed",      // cgo: no room for a thread's stack
	} {
		if bytes.Contains(tail, []byte(hint)) {
			return true
		}
	}
	return false
}

// evidence is what is known about a death besides its status.
type evidence struct {
	limitHit bool // the memory limit's own mechanism ended the process
	goText   bool // standard error held the Go runtime's out-of-memory message
	hint     bool // the tail of standard error looks like a failed allocation
	kernel   bool // the kernel killed some process for want of memory while this one ran
}

// judge weighs the evidence for an exit.
func judge(e Exit, ev evidence) OOM {
	switch {
	case ev.limitHit && e.Signal == syscall.SIGKILL:
		return OOMYes
	case e.Killed, e.Code == 0:
		return OOMNo
	case ev.goText && (e.Code == 2 || e.Signal == syscall.SIGABRT):
		return OOMYes // 2 is how the Go runtime leaves, SIGABRT with GOTRACEBACK=crash
	case ev.goText, ev.hint:
		return OOMLikely
	case ev.kernel && e.Signal == syscall.SIGKILL:
		return OOMLikely
	default:
		return OOMNo
	}
}
