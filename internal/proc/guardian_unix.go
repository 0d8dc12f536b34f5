//go:build unix

package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardianScript is all that the guardian does. It is given process groups as arguments, is told of more
// with "+ID" and of those that are gone with "-ID", a line each, and kills what is left of them when its
// input ends. It keeps to what dash, bash and the shell of busybox have in common; their kill differs in
// whether it takes "--". To kill group 1 would be to kill all that there is.
const guardianScript = `# kills the processes of procpool's workers when their host has died
trap '' HUP INT QUIT TERM
groups=" $* "
while read -r line; do
	group=" ${line#?} "
	case $line in
	+*) groups="$groups${line#?} " ;;
	-*) case $groups in *"$group"*) groups="${groups%%"$group"*} ${groups#*"$group"}" ;; esac ;;
	esac
done
for group in $groups; do [ "$group" -gt 1 ] && kill -9 "-$group"; done
`

// guardianShell runs the script: the host's own program can't, for it need not know of us at its start.
const guardianShell = "/bin/sh"

// A guardian that ends before its time is replaced after guardianPause, and if it lived for less than
// guardianCalm, after twice the time it took before, up to guardianMaxPause.
const (
	guardianPause    = 5 * time.Millisecond
	guardianMaxPause = 30 * time.Second
	guardianCalm     = time.Minute
)

// guardian keeps one small process beside the host that outlives it, by a moment: when the host has died,
// whatever it died of, the process kills the groups of all children. It learns of the host's death from
// the end of a pipe whose other end only the host holds. So that end is never closed before the guardian
// is dead.
type guardian struct {
	shell string
	stop  chan struct{} // closed by close
	tried chan struct{} // closed when the first process was started, or could not be
	once  sync.Once     // closes tried

	mu      sync.Mutex
	groups  map[int]struct{}
	process *os.Process   // nil while there is none
	pipe    *os.File      // what the process reads; nil when it is not to be told any more
	err     error         // why there is no process
	ended   chan struct{} // closed when run has returned; nil before the first child
	closed  bool
}

func newGuardian(shell string) *guardian {
	return &guardian{shell: shell, stop: make(chan struct{}), tried: make(chan struct{}), groups: make(map[int]struct{})}
}

// hostGuardian is the guardian of this process, for all its spawners: one process is enough to watch one
// process. Like the process it is about, it can't be anything but global.
var hostGuardian struct {
	mu       sync.Mutex
	users    int
	guardian *guardian // nil without users
}

// acquireGuardian returns the guardian of this process for a spawner. It costs nothing before the first
// child.
func acquireGuardian() *guardian {
	h := &hostGuardian
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 {
		h.guardian = newGuardian(guardianShell)
	}
	h.users++
	return h.guardian
}

// releaseGuardian gives back what acquireGuardian returned. With the last one it ends the process and
// waits for its end.
func releaseGuardian() {
	h := &hostGuardian
	h.mu.Lock()
	h.users--
	var unused *guardian
	if h.users == 0 {
		unused, h.guardian = h.guardian, nil
	}
	h.mu.Unlock()
	if unused != nil {
		unused.close()
	}
}

// add puts a group under guard. The first one starts the process, beside the caller.
func (g *guardian) add(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[pgid] = struct{}{}
	g.tellLocked('+', pgid)
	if g.ended == nil {
		g.ended = make(chan struct{})
		go g.run()
	}
}

// remove takes a group out of guard. It belongs before the reap of the group's leader: after that the id
// may be somebody else's.
func (g *guardian) remove(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, pgid)
	g.tellLocked('-', pgid)
}

// tellLocked tells the process of a change, without ever waiting for it. One that has died or has not
// read for thousands of changes is replaced by one that begins with what is true then.
func (g *guardian) tellLocked(change byte, pgid int) {
	if g.pipe == nil || writeNow(g.pipe, fmt.Appendf(nil, "%c%d\n", change, pgid)) {
		return
	}
	g.pipe = nil
	if g.process != nil {
		_ = g.process.Kill() // run sees its end
	}
}

// guarded reports whether there is a process, and if not, why.
func (g *guardian) guarded() (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.process != nil && g.pipe != nil, g.err
}

// await returns when the first process was started, or could not be, or at the limit.
func (g *guardian) await(limit time.Duration) { waitFor(g.tried, limit) }

// run keeps a process running until close.
func (g *guardian) run() {
	defer close(g.ended)
	for pause := time.Duration(0); ; {
		began := time.Now()
		err := g.serve()
		g.mu.Lock()
		if !g.closed {
			g.err = err
		}
		g.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			return // there is no shell, and waiting brings none
		}
		pause = nextPause(pause, time.Since(began))
		select {
		case <-g.stop:
			return
		case <-time.After(pause):
		}
	}
}

// nextPause returns how long to wait for the next process, given the last pause and how long the process
// lived after it.
func nextPause(last, lived time.Duration) time.Duration {
	if last == 0 || lived >= guardianCalm {
		return guardianPause
	}
	return min(2*last, guardianMaxPause)
}

// serve starts one process and returns when it has ended and been reaped, with the reason.
func (g *guardian) serve() error {
	defer g.once.Do(func() { close(g.tried) })
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("no pipe for the guardian process: %w", err)
	}
	defer w.Close()
	defer r.Close() // kept until then, so that no write ever finds the pipe broken
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("no output for the guardian process: %w", err)
	}
	defer null.Close()

	process, err := os.StartProcess(g.shell, g.handOver(w), &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/bin:/bin"}, // for a shell whose kill is a program
		Files: []*os.File{r, null, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		g.forget()
		return fmt.Errorf("the guardian process can't be started: %w", err)
	}
	g.mu.Lock()
	g.process, g.err = process, nil
	if g.pipe == nil || g.closed {
		_ = process.Kill()
	}
	g.mu.Unlock()
	g.once.Do(func() { close(g.tried) })
	state, err := process.Wait()
	g.forget()
	if err != nil {
		return fmt.Errorf("the guardian process was reaped by somebody else: %w", err)
	}
	return fmt.Errorf("the guardian process ended: %v", state)
}

// handOver returns the command line of a process that knows the groups of this moment. What changes
// after it is written to w.
func (g *guardian) handOver(w *os.File) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	args := []string{"sh", "-c", guardianScript, "procpool-guardian"}
	for pgid := range g.groups {
		args = append(args, strconv.Itoa(pgid))
	}
	g.pipe = w
	return args
}

// forget records that there is no process.
func (g *guardian) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process, g.pipe = nil, nil
}

// close ends the process for good and returns when it has been reaped.
func (g *guardian) close() {
	g.mu.Lock()
	g.closed = true
	close(g.stop)
	if g.process != nil {
		_ = g.process.Kill() // rather than the end of its input, which one that is stopped does not see
	}
	ended := g.ended
	g.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// writeNow writes to a pipe without waiting and reports whether it took all of p, which must not be longer
// than PIPE_BUF: then it takes all or nothing.
func writeNow(f *os.File, p []byte) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = conn.Write(func(fd uintptr) bool {
		for {
			n, err = unix.Write(int(fd), p)
			if err != unix.EINTR { //nolint:errorlint // a bare errno
				return true // never wait
			}
		}
	})
	return err == nil && n == len(p)
}
