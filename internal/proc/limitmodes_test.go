//go:build unix

package proc_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/procpool/procpool/internal/proc"
)

// openFiles waits for the end of its input, which comes after the start, and says how many descriptors
// this process can have then, by trying, and what its limits are. With an argument it first undoes the
// limit, as the Go runtime may by accident, and claims its line.
func openFiles(args []string) {
	if len(args) > 0 {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}) // takes a privilege
		ready("")
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	highest := -1
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			fail(err)
		}
		highest = max(highest, fd)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		fail(err)
	}
	fmt.Println("ready", highest+1, limit.Cur, limit.Max)
	block()
}

// threadNiceness returns the niceness of each thread of this process, in order.
func threadNiceness() []string {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fail(err)
	}
	var all []string
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		all = append(all, strings.Fields(rest)[16])
	}
	slices.Sort(all)
	return all
}

// niceness makes the runtime start threads and says how nice they are, each value once. With an argument
// it makes a spawner for children of that niceness first, and says every value.
func niceness(args []string) {
	if len(args) > 0 {
		if _, err := proc.NewSpawnerWith(proc.SpawnerConfig{Nice: atoi(args[0])}); err != nil {
			fail(err)
		}
	}
	var started, done sync.WaitGroup
	done.Add(1)
	for range 4 {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			done.Wait()
		}()
	}
	started.Wait()
	all := threadNiceness()
	if len(args) == 0 {
		all = slices.Compact(all)
	}
	ready(strings.Join(all, " "))
	block()
}

// nicer gives up all privileges and says what comes of asking for this niceness.
func nicer(args []string) {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			fail(err)
		}
	}
	s, err := proc.NewSpawnerWith(proc.SpawnerConfig{Nice: atoi(args[0])})
	if err == nil {
		s.Close()
	}
	ready(fmt.Sprint(err))
	block()
}

// burn uses up so many milliseconds of processor time, in a child too if there is a second argument, and
// then waits.
func burn(args []string) {
	if len(args) > 1 {
		cmd := command("burn", args[0])
		startReadyHere(cmd)
		if args[1] == "kill" {
			if err := cmd.Process.Kill(); err != nil {
				fail(err)
			}
			_ = cmd.Wait() // it was killed
		}
	}
	want := time.Duration(atoi(args[0])) * time.Millisecond
	for used := time.Duration(0); used < want; {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
			fail(err)
		}
		used = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	ready(strconv.Itoa(os.Getpid()))
	block()
}
