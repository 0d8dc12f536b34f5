package proc_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/procpool/procpool/internal/proc"
)

// noGroup is an id beyond all that the kernel gives, for what must not hit anybody.
const noGroup = 1 << 30

// guardianOf returns the guardian process of a host, 0 if it has none. Alone of what a host starts here
// it leads a session.
func guardianOf(host int) int {
	for _, pid := range proc.ProcessTree(host)[1:] {
		if sid, err := unix.Getsid(pid); err == nil && sid == pid && alive(pid) {
			return pid
		}
	}
	return 0
}

// awaitGuardian waits for a guardian of a host other than the one that was there before.
func awaitGuardian(t *testing.T, host, before int) int {
	t.Helper()
	pid := 0
	eventually(t, "a guardian runs", func() bool {
		pid = guardianOf(host)
		return pid != 0 && pid != before && ignoresSIGTERM(pid)
	})
	return pid
}

// ignoresSIGTERM tells a guardian that has begun its work.
func ignoresSIGTERM(pid int) bool {
	status, err := os.ReadFile("/proc/" + itoa(pid) + "/status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	digits, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(digits, 16, 64)
	return err == nil && mask&(1<<(unix.SIGTERM-1)) != 0
}

// startHost starts a host whose child and grandchild are in a mode, waits until they are guarded, and
// returns it with the two processes.
func startHost(t *testing.T, mode, shell string) (host *proc.Child, family []int) {
	t.Helper()
	host, text := startReady(t, newSpawner(t), helper(t, "host", mode, shell))
	for _, field := range strings.Fields(text) {
		pid := number(t, field)
		killLater(t, pid)
		family = append(family, pid)
	}
	if len(family) != 2 || !alive(family[0]) || !alive(family[1]) {
		t.Fatalf("the host's child and grandchild are %v, and must be alive", family)
	}
	return host, family
}

func killHost(t *testing.T, host *proc.Child) {
	t.Helper()
	if err := host.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	await(t, host)
}

func awaitDeath(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, "process "+itoa(pid)+" is dead", func() bool { return !alive(pid) })
	}
}

// shells returns the shells of this system that can run a guardian.
func shells(t *testing.T) []string {
	t.Helper()
	found := []string{"/bin/sh"}
	for _, name := range []string{"dash", "bash", "busybox"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		} else {
			t.Logf("not tried for want of it: %s", name)
		}
	}
	return found
}

// DESIGN 6.6: a host that is killed takes with it its children and what they started, whatever those do,
// and its guardian too.
func TestHostIsKilledWithItsFamily(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode string
		stop bool
	}{
		"idle, holding the pipes": {mode: "grandchild"},
		"busy":                    {mode: "busyfamily"},
		"stopped":                 {mode: "grandchild", stop: true},
		"deaf":                    {mode: "deaffamily"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, family := startHost(t, c.mode, "/bin/sh")
			guardian := awaitGuardian(t, host.PID(), 0)
			if c.stop {
				for _, pid := range family {
					if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
						t.Fatal(err)
					}
				}
			}
			killHost(t, host)
			awaitDeath(t, append(family, guardian)...)
		})
	}
}

func TestEveryShellCanGuard(t *testing.T) {
	t.Parallel()
	for _, shell := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			host, family := startHost(t, "grandchild", shell)
			guardian := awaitGuardian(t, host.PID(), 0)
			for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM} {
				if err := unix.Kill(guardian, sig); err != nil { // what a terminal or a service manager sends to all
					t.Fatal(err)
				}
			}
			killHost(t, host)
			awaitDeath(t, append(family, guardian)...)
		})
	}
}

// Without a guardian a grandchild stays, so it is the guardian that the tests above see at work.
func TestHostIsKilledWithoutAGuardian(t *testing.T) {
	t.Parallel()
	host, family := startHost(t, "grandchild", "/no/such/shell")
	killHost(t, host)
	awaitDeath(t, family[0])
	if !alive(family[1]) {
		t.Error("the grandchild died of something else")
	}
}

// A guardian that was killed is replaced by one that knows all that live.
func TestGuardianIsKilled(t *testing.T) {
	t.Parallel()
	host, family := startHost(t, "grandchild", "/bin/sh")
	guardian := 0
	for range 3 {
		guardian = awaitGuardian(t, host.PID(), guardian)
		if err := unix.Kill(guardian, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitDeath(t, guardian)
	}
	guardian = awaitGuardian(t, host.PID(), guardian)
	if !alive(family[0]) || !alive(family[1]) {
		t.Fatal("the guardian took its charges with it")
	}
	killHost(t, host)
	awaitDeath(t, append(family, guardian)...)
}

// A guardian that does not read delays nothing. When its pipe is full it is replaced. Not in parallel, as
// the tests below: the guardian belongs to the whole program.
func TestGuardianIsStopped(t *testing.T) {
	s := newSpawner(t)
	c, _ := startReady(t, s, helper(t, "sleep"))
	guardian := awaitGuardian(t, os.Getpid(), 0)
	if err := unix.Kill(guardian, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		other, _ := startReady(t, s, helper(t, "sleep"))
		other.Kill()
		await(t, other)
	}
	if got := guardianOf(os.Getpid()); got != guardian {
		t.Fatalf("the guardian is %d and no longer %d: three children have not filled its pipe", got, guardian)
	}
	for range 1 << 12 { // 24 bytes each, and a pipe holds 64 KiB
		s.Guard(noGroup)
	}
	awaitDeath(t, guardian)
	awaitGuardian(t, os.Getpid(), guardian)
	if !alive(c.PID()) {
		t.Error("its end took a child with it")
	}
}

// The guardian comes with the first child of any spawner and is gone when the last spawner has closed.
func TestGuardianGoesWithTheLastSpawner(t *testing.T) {
	first, second := proc.NewSpawner(), proc.NewSpawner()
	if guarded, err := first.Guarded(); guarded || err != nil || len(proc.ProcessTree(os.Getpid())) > 1 {
		t.Errorf("before the first child: guarded %t, %v, processes %v", guarded, err, proc.ProcessTree(os.Getpid()))
	}
	run := func(s *proc.Spawner) {
		c, _ := startReady(t, s, helper(t, "sleep"))
		c.Kill()
		await(t, c)
		c.Close()
	}
	run(first)
	guardian := awaitGuardian(t, os.Getpid(), 0)
	run(second)
	first.Close()
	for _, s := range []*proc.Spawner{first, second} {
		if guarded, err := s.Guarded(); !guarded || err != nil {
			t.Errorf("with one spawner left: guarded %t, %v", guarded, err)
		}
	}
	if tree := proc.ProcessTree(os.Getpid()); !slices.Equal(tree[1:], []int{guardian}) {
		t.Errorf("with one spawner left there are the processes %v, want the guardian %d alone", tree[1:], guardian)
	}
	if err := unix.Kill(guardian, unix.SIGSTOP); err != nil { // even so
		t.Fatal(err)
	}
	second.Close()
	if tree := proc.ProcessTree(os.Getpid()); len(tree) > 1 {
		t.Errorf("with no spawner left there are the processes %v", tree[1:])
	}
	if guarded, _ := second.Guarded(); guarded {
		t.Error("a closed spawner says that it is guarded")
	}
}

// Spawners come and go, with a child or without, and the guardian with them.
func TestGuardianUnderQuickChange(t *testing.T) {
	for i := range 30 {
		s := proc.NewSpawner()
		if i%3 > 0 {
			c, err := s.Start(t.Context(), helper(t, "sleep"))
			if err != nil {
				t.Fatal(err)
			}
			c.Kill()
			<-c.Done()
			c.Close()
		}
		s.Close()
		if tree := proc.ProcessTree(os.Getpid()); len(tree) > 1 {
			t.Fatalf("processes are left: %v", tree[1:])
		}
	}
}

// Where no guardian can be had, children start all the same and the spawner says why there is none.
func TestNoGuardian(t *testing.T) {
	t.Parallel()
	for shell, isReason := range map[string]func(error) bool{
		"/no/such/shell": func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		"/dev/null":      func(err error) bool { return errors.Is(err, fs.ErrPermission) },
		"/bin/false":     func(err error) bool { return strings.Contains(err.Error(), "ended: exit status 1") },
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			s := newSpawner(t)
			t.Cleanup(s.GuardWith(shell))
			c, _ := startReady(t, s, helper(t, "stdin"))
			eventually(t, "the spawner says why it is not guarded", func() bool {
				guarded, err := s.Guarded()
				return !guarded && err != nil && isReason(err)
			})
			c.CloseStdin()
			if e := await(t, c); e.Code != 0 {
				t.Errorf("the child ended with %v", e)
			}
		})
	}
}

// A guardian that always dies does not make a storm of processes.
func TestGuardianPauses(t *testing.T) {
	t.Parallel()
	var pause, sum time.Duration
	for range 10 {
		pause = proc.NextPause(pause, time.Second)
		sum += pause
	}
	if sum < 5*time.Second {
		t.Errorf("ten guardians died within %v", sum)
	}
	for range 100 {
		pause = proc.NextPause(pause, time.Second)
	}
	if pause > time.Minute {
		t.Errorf("a guardian is missed for %v", pause)
	}
	if again := proc.NextPause(pause, time.Hour); again > 10*time.Millisecond {
		t.Errorf("one that lived for an hour is missed for %v", again)
	}
}
