//go:build unix

package proc_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/procpool/procpool/internal/proc"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for _, code := range []int{0, 1, 2, 3, 127, 255} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			e := await(t, start(t, s, helper(t, "exit", strconv.Itoa(code))))
			if e.Code != code || e.Signal != 0 || e.Killed || e.OOM != proc.OOMNo {
				t.Errorf("got %+v, want code %d and nothing else", e, code)
			}
			if want := fmt.Sprintf("exit status %d", code); e.String() != want {
				t.Errorf("String() = %q, want %q", e, want)
			}
		})
	}
}

func TestExitSignals(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	for sig, text := range map[syscall.Signal]string{
		syscall.SIGKILL: "signal: killed",
		syscall.SIGTERM: "signal: terminated",
		syscall.SIGINT:  "signal: interrupt",
		syscall.SIGABRT: "signal: aborted",
		syscall.SIGSEGV: "signal: segmentation fault",
		syscall.SIGBUS:  "signal: bus error",
	} {
		t.Run(proc.SignalName(sig), func(t *testing.T) {
			e := await(t, start(t, s, helper(t, "signal", strconv.Itoa(int(sig)))))
			if e.Code != -1 || e.Signal != sig || e.Killed {
				t.Errorf("got %+v, want code -1 and signal %v, not killed by us", e, sig)
			}
			if e.String() != text {
				t.Errorf("String() = %q, want %q", e, text)
			}
		})
	}
}

func TestSignalNames(t *testing.T) {
	t.Parallel()
	if got := proc.SignalName(syscall.SIGSEGV); got != "SIGSEGV" {
		t.Errorf("SignalName(SIGSEGV) = %q", got)
	}
	if got := proc.SignalName(100); got != "signal 100" {
		t.Errorf("SignalName(100) = %q", got)
	}
}

func TestOOMText(t *testing.T) {
	t.Parallel()
	for oom, want := range map[proc.OOM]string{proc.OOMNo: "no", proc.OOMLikely: "likely", proc.OOMYes: "yes"} {
		if oom.String() != want {
			t.Errorf("OOM(%d) = %q, want %q", oom, oom, want)
		}
	}
}

// What a process printed before it failed decides whether memory was the cause (DESIGN 6.14).
func TestOOMFromWhatItPrinted(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	dump := ""
	for i := range 2000 {
		dump += fmt.Sprintf("goroutine %d [running]:\nmain.main()\n", i)
	}
	for name, c := range map[string]struct {
		code, stderr string
		want         proc.OOM
	}{
		"Go runtime":                       {"2", "fatal error: runtime: out of memory\n\n", proc.OOMYes},
		"Go runtime, other words":          {"2", "runtime: out of memory: cannot allocate 4194304-byte block (1 in use)\n", proc.OOMYes},
		"Go runtime, behind a long dump":   {"2", "fatal error: runtime: cannot allocate memory\n" + dump, proc.OOMYes},
		"Go runtime's words, other code":   {"1", "fatal error: runtime: out of memory\n", proc.OOMLikely},
		"Go runtime's words in a message":  {"2", "task said: fatal error: nothing\npanic: boom\n", proc.OOMNo},
		"Go runtime's own crash, no limit": {"2", "SIGSEGV: segmentation violation\nPC=0x1\n\ngoroutine 0 gp=0x1 [idle]:\nruntime.x()\n", proc.OOMNo},
		"Python":                           {"1", "Traceback (most recent call last):\nMemoryError\n", proc.OOMLikely},
		"C++, no line end":                 {"134", "terminate called after throwing an instance of 'std::bad_alloc'", proc.OOMLikely},
		"Node":                             {"134", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", proc.OOMLikely},
		"the same, but a clean exit":       {"0", "MemoryError\n", proc.OOMNo},
		"an ordinary failure":              {"1", "ValueError: no\n", proc.OOMNo},
	} {
		t.Run(name, func(t *testing.T) {
			child := start(t, s, helper(t, "print", c.code, "2"+c.stderr))
			if e := await(t, child); e.OOM != c.want {
				t.Errorf("OOM = %v after %+v and %q, want %v", e.OOM, e, child.Tail(0), c.want)
			}
		})
	}
}

// Under RLIMIT_DATA some deaths for want of memory say nothing about it.
func TestOOMWithLimitFromHowItDied(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("memory limits need Linux")
	}
	if raceEnabled() {
		t.Skip("the helper is built with the race detector, so it gets no RLIMIT_DATA")
	}
	s := newSpawner(t)
	const head = "SIGSEGV: segmentation violation\nPC=0x42cd1d m=3 sigcode=1 addr=0x0\n"
	for name, c := range map[string]struct {
		stderr string
		want   proc.OOM
	}{
		"in the runtime":      {head + "\ngoroutine 0 gp=0x1 m=3 mp=0x2 [idle]:\nruntime.(*spanQueue).tryDrain(0x1)\n", proc.OOMLikely},
		"in C code":           {head + "signal arrived during cgo execution\n\ngoroutine 7 gp=0x1 [syscall]:\nruntime.cgocall(0x1)\n", proc.OOMNo},
		"in C code, no frame": {head + "\ngoroutine 0 gp=0x1 m=3 mp=0x2 [idle]:\n\ngoroutine 1 gp=0x1:\nruntime.x()\n", proc.OOMNo},
	} {
		t.Run(name, func(t *testing.T) {
			spec := helper(t, "print", "2", "2"+c.stderr)
			spec.MemoryLimit = 1 << 30
			if e := await(t, start(t, s, spec)); e.OOM != c.want {
				t.Errorf("OOM = %v, want %v", e.OOM, c.want)
			}
		})
	}
	// A program that does not check what it gets crashes at its limit.
	spec := helper(t, "touchcrash", "480")
	spec.Env = append(spec.Env, "GOTRACEBACK=crash")
	spec.Env = slices.DeleteFunc(spec.Env, func(v string) bool { return v == "GOTRACEBACK=single" })
	spec.MemoryLimit = 512 << 20
	c := start(t, s, spec)
	if e := await(t, c); e.Signal != syscall.SIGABRT || e.OOM != proc.OOMLikely {
		t.Errorf("it ended with %+v, want SIGABRT and OOM likely: %s", e, c.Tail(0))
	}
}

func TestKilledByUsIsNoOOM(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	c, _ := startReady(t, s, helper(t, "sleep"))
	c.Kill()
	e := await(t, c)
	if !e.Killed || e.Signal != syscall.SIGKILL || e.OOM != proc.OOMNo {
		t.Errorf("got %+v, want it killed by us and no OOM", e)
	}
}

func TestRusage(t *testing.T) {
	t.Parallel()
	s := newSpawner(t)
	const mib = 400 // well above this test's own peak, which would hide less
	e := await(t, start(t, s, helper(t, "touch", strconv.Itoa(mib))))
	if e.Code != 0 || e.MaxRSS < mib<<20 || e.MaxRSS > (mib+300)<<20 {
		t.Errorf("MaxRSS = %d MiB after %v, want about %d", e.MaxRSS>>20, e, mib)
	}
	if e.User+e.System <= 0 {
		t.Errorf("no processor time was counted: %+v", e)
	}
}
