//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/procpool/procpool/internal/proc"
)

// modes are what this binary can do as a child of a test.
func modes() map[string]func(args []string) {
	return map[string]func([]string){
		"exit":        func(args []string) { os.Exit(atoi(args[0])) },
		"signal":      dieBySignal,
		"sleep":       func([]string) { ready(""); block() },
		"ignoreterm":  func([]string) { signal.Ignore(syscall.SIGTERM); ready(""); block() },
		"stdin":       func([]string) { ready(""); _, _ = io.Copy(io.Discard, os.Stdin) },
		"print":       printAll,
		"flood":       flood,
		"grandchild":  func(args []string) { grandchild("sleep", args...); block() },
		"leave":       func(args []string) { grandchild("sleep", args...); os.Exit(7) },
		"busy":        func([]string) { ready(""); spin() },
		"busyfamily":  func([]string) { grandchild("busy"); spin() },
		"deaf":        func([]string) { signal.Ignore(); ready(""); block() },
		"deaffamily":  func([]string) { signal.Ignore(); grandchild("deaf"); block() },
		"openfiles":   openFiles,
		"nice":        niceness,
		"nicer":       nicer,
		"burn":        burn,
		"host":        host,
		"bighost":     bigHost,
		"nonblocking": func([]string) { os.Exit(nonBlocking()) },
		"where":       where,
		"touch":       func(args []string) { keep(touch(atoi(args[0]), unix.MAP_PRIVATE)) },
		"touchcrash":  func(args []string) { m := touch(atoi(args[0]), unix.MAP_PRIVATE); crash(); keep(m) },
		"mapunused":   mapUnused,
		"touchstay":   func(args []string) { m := touch(atoi(args[0]), unix.MAP_PRIVATE); ready(""); block(); keep(m) },
		"touchshared": func(args []string) { m := touch(atoi(args[0]), unix.MAP_SHARED); ready(""); block(); keep(m) },
		"family":      family,
		"sharing":     sharing,
		"mapfile":     mapFile,
		"escaped":     escaped,
	}
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fail(err)
	}
	return n
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "helper:", err)
	os.Exit(98)
}

func ready(text string) { fmt.Println("ready", text) }

// block waits as good as for ever: a test that fails to end its children must not leave them for good.
func block() { <-time.After(5 * time.Minute) }

// spin uses up a processor.
func spin() {
	for { //nolint:revive // that is what it is for
	}
}

func keep(m []byte) { runtime.KeepAlive(m) }

// crash dies of SIGABRT, if GOTRACEBACK says so, and leaves no core file.
func crash() {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err == nil {
		err = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	}
	if err != nil {
		fail(err)
	}
	block()
}

// dieBySignal ends this process with the default action of a signal, past the Go runtime's handlers.
func dieBySignal(args []string) {
	sig := syscall.Signal(atoi(args[0]))
	signal.Reset(sig)
	script := fmt.Sprintf("ulimit -c 0; kill -%d $$", int(sig))
	fail(syscall.Exec("/bin/sh", []string{"sh", "-c", script}, nil))
}

// printAll prints arguments as they are, those that begin with "2" to standard error, then exits with
// the code in the first.
func printAll(args []string) {
	for _, a := range args[1:] {
		if text, ok := strings.CutPrefix(a, "2"); ok {
			_, _ = os.Stderr.WriteString(text)
		} else {
			_, _ = os.Stdout.WriteString(a[1:])
		}
	}
	os.Exit(atoi(args[0]))
}

// flood writes megabytes without a line end to both streams at once.
func flood(args []string) {
	block := bytes.Repeat([]byte("x"), 1<<20)
	done := make(chan bool)
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		go func() {
			for range atoi(args[0]) {
				if _, err := f.Write(block); err != nil {
					fail(err)
				}
			}
			_, _ = f.WriteString("\nlast")
			done <- true
		}()
	}
	<-done
	<-done
}

// command returns this binary in another mode.
func command(mode string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		fail(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = []string{modeVar + "=" + mode, "GORACE=atexit_sleep_ms=0"}
	return cmd
}

// startReadyHere starts a child of this helper and waits until it says that it is ready.
func startReadyHere(cmd *exec.Cmd) {
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fail(err)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(out, one); err != nil {
		fail(err)
	}
}

// grandchild starts a process that holds this one's streams open and says its id; with "away" it leaves
// the process group first.
func grandchild(mode string, args ...string) {
	cmd := command(mode)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	held, err := syscall.Dup(1)
	if err != nil {
		fail(err)
	}
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(held), "stdout")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: len(args) > 0 && args[0] == "away"}
	startReadyHere(cmd)
	ready(strconv.Itoa(cmd.Process.Pid))
}

// host is a host in a process of its own, with a child in the mode of its first argument. The second is
// the shell that runs its guardian. It says the id of the child and what the child said.
func host(args []string) {
	exe, err := os.Executable()
	if err != nil {
		fail(err)
	}
	s := proc.NewSpawner()
	if len(args) > 1 {
		s.GuardWith(args[1])
	}
	c, err := s.Start(context.Background(), proc.Spec{
		Path: exe, Env: []string{modeVar + "=" + args[0], "GORACE=atexit_sleep_ms=0"},
		Claim: func(line []byte) []byte { return line },
	})
	if err != nil {
		fail(err)
	}
	text, err := io.ReadAll(c.Claimed())
	if err != nil {
		fail(err)
	}
	ready(strconv.Itoa(c.PID()) + strings.TrimPrefix(strings.TrimSpace(string(text)), "ready"))
	block()
}

// bigHost is a host that has used much memory; it says what its small child is said to have used.
func bigHost(args []string) {
	m := touch(atoi(args[0]), unix.MAP_PRIVATE)
	s := proc.NewSpawner()
	c, err := s.Start(context.Background(), proc.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", ":"}})
	if err != nil {
		fail(err)
	}
	<-c.Done()
	c.Close()
	s.Close()
	keep(m)
	ready(strconv.FormatInt(c.Exit().MaxRSS, 10))
}

// nonBlocking returns how many of the standard streams are in non-blocking mode.
func nonBlocking() int {
	n := 0
	for fd := range 3 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			fail(err)
		}
		if flags&unix.O_NONBLOCK != 0 {
			n++
		}
	}
	return n
}

// where says what surrounds this process.
func where([]string) {
	dir, err := os.Getwd()
	if err != nil {
		fail(err)
	}
	fmt.Println(dir)
	fmt.Println(strings.Join(os.Args, " "))
	fmt.Println(strings.Join(os.Environ(), " "))
}

// touch maps memory, outside the Go heap, and uses it.
func touch(mib, flags int) []byte {
	m, err := unix.Mmap(-1, 0, mib<<20, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_ANON)
	if err != nil {
		fail(err)
	}
	for i := 0; i < len(m); i += os.Getpagesize() {
		m[i] = 1
	}
	return m
}

// mapUnused maps so many MiB and uses none of them; when it is refused it waits a little.
func mapUnused(args []string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for left := atoi(args[0]); left > 0; {
		switch _, err := unix.Mmap(-1, 0, 30<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); {
		case err == nil:
			left -= 30
		case time.Now().After(deadline):
			fail(err)
		default:
			<-tick.C
		}
	}
}

// family starts a number of children that use so many MiB each, one after the other, in a way that
// RLIMIT_DATA does not see.
func family(args []string) {
	for range atoi(args[0]) {
		startReadyHere(command("touchshared", args[1]))
	}
	ready("")
	block()
}

// sharing is family with one piece of memory for all of them, so many MiB in sum.
func sharing(args []string) {
	f, err := os.CreateTemp(args[2], "shared")
	if err != nil {
		fail(err)
	}
	if err := os.Remove(f.Name()); err != nil { // it lives as long as somebody has it open
		fail(err)
	}
	if err := f.Truncate(int64(atoi(args[1])) << 20); err != nil {
		fail(err)
	}
	for range atoi(args[0]) {
		cmd := command("mapfile")
		cmd.ExtraFiles = []*os.File{f}
		startReadyHere(cmd)
	}
	ready("")
	block()
}

// mapFile maps descriptor 3 and uses all of it.
func mapFile([]string) {
	info, err := os.NewFile(3, "shared").Stat()
	if err != nil {
		fail(err)
	}
	m, err := unix.Mmap(3, 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	for i := 0; i < len(m); i += os.Getpagesize() {
		m[i] = 1
	}
	ready("")
	block()
	keep(m)
}

// escaped starts a child in a session of its own that uses so many MiB.
func escaped(args []string) {
	cmd := command("touchshared", args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	ready(strconv.Itoa(cmd.Process.Pid))
	block()
}
