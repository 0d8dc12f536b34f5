package proc

import (
	"bytes"
	"sync/atomic"
	"syscall"
)

// goCrash recognises the Go runtime's last words as they pass, because the goroutine dump that follows
// may push them out of the tail. One goroutine calls see, any may read the findings.
type goCrash struct {
	outOfMemory atomic.Bool // it said that an allocation failed
	inRuntime   atomic.Bool // it died of a bad address in its own code, on its own stack

	next func(line []byte) // what to make of the following lines, nil for nothing
}

func (g *goCrash) see(line []byte) {
	switch {
	case goOutOfMemory(line):
		g.outOfMemory.Store(true)
	case bytes.HasPrefix(line, []byte("SIGSEGV: segmentation violation")):
		g.next = g.seeGoroutine
	case g.next != nil:
		g.next(line)
	}
}

// seeGoroutine waits for the goroutine that crashed: 0 is the runtime's own.
func (g *goCrash) seeGoroutine(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte("goroutine 0 ")):
		g.next = func(frame []byte) {
			g.inRuntime.Store(bytes.HasPrefix(frame, []byte("runtime.")))
			g.next = nil
		}
	case bytes.HasPrefix(line, []byte("goroutine ")):
		g.next = nil
	}
}

// goOutOfMemory reports whether line is the Go runtime's own word for a failed allocation.
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
	limitHit  bool  // the memory limit's own mechanism ended the process
	refused   int64 // the kernel refused memory to the process when it had about so much, 0 for never
	goText    bool  // standard error held the Go runtime's out-of-memory message
	inRuntime bool  // the Go runtime died of a bad address in its own code
	hint      bool  // the tail of standard error looks like a failed allocation
	kernel    bool  // the kernel killed some process for want of memory while this one ran
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
	case ev.refused > 0 && ev.inRuntime:
		return OOMLikely // some of its allocations are not checked (seen with Go 1.26)
	case ev.refused > 0 && e.MaxRSS >= ev.refused/8*7 && isCrash(e.Signal):
		return OOMLikely // as a C program does that does not check malloc
	default:
		return OOMNo
	}
}

// isCrash reports whether programs die of sig by their own fault.
func isCrash(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGILL:
		return true
	default:
		return false
	}
}
