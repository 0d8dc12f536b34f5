//go:build unix

package executor_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/procpool/procpool/executor"
)

// monkey kills and stops the workers of a pool from outside, and remembers which.
type monkey struct {
	mark string // what the environment of the pool's workers holds

	mu      sync.Mutex
	ready   map[int]int  // the workers' process ids
	harmed  map[int]bool // workers that were attacked
	young   map[int]bool // process ids that were killed before their worker was known
	attacks map[string]int
	later   sync.WaitGroup // what goes on by itself
}

func newMonkey(mark string) *monkey {
	return &monkey{mark: mark, ready: make(map[int]int), harmed: make(map[int]bool), young: make(map[int]bool), attacks: make(map[string]int)}
}

// heard is the pool's OnEvent.
func (m *monkey) heard(e executor.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case executor.WorkerReady:
		m.ready[e.Worker] = e.PID
	case executor.WorkerExited, executor.WorkerRetired:
		delete(m.ready, e.Worker)
	}
}

// hasHarmed reports whether a worker was the aim of an attack.
func (m *monkey) hasHarmed(worker, pid int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.harmed[worker] || m.young[pid]
}

// killedYoung returns how many processes were killed before their worker was known.
func (m *monkey) killedYoung() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.young)
}

// String counts the attacks.
func (m *monkey) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.attacks)
}

func (m *monkey) count(attack string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attacks[attack]++
}

// run attacks until its context ends and leaves nobody stopped that was to go on.
func (m *monkey) run(ctx context.Context, rng *rand.Rand, pool *executor.Pool) {
	defer m.later.Wait()
	done := uint64(0)
	for pause(ctx, 5+rng.IntN(100)) {
		// On a busy machine a worker takes longer to start than to be killed. Some
		// calls are to end between two attacks, unless nothing moves any more.
		s := pool.Stats()
		for range 50 {
			if s.Succeeded+s.Failed >= done+20 || !pause(ctx, 10) {
				break
			}
			s = pool.Stats()
		}
		done = s.Succeeded + s.Failed
		// Who never lets a worker start gets a pool that gives up starting them,
		// and rightly so (rule 6.7).
		if s.Workers > 0 {
			m.attack(ctx, rng, pool)
		}
	}
}

// pause waits for so many milliseconds; it is false when the context ends first.
func pause(ctx context.Context, milliseconds int) bool {
	return nap(ctx, time.Duration(milliseconds)*time.Millisecond) == nil
}

func (m *monkey) attack(ctx context.Context, rng *rand.Rand, pool *executor.Pool) {
	switch n := rng.IntN(100); {
	case n < 3:
		m.killStarting()
	case n < 6:
		m.count("resized")
		_ = pool.Resize(1 + rng.IntN(4)) // any such number will do
	case n < 8:
		m.count("restarted")
		m.later.Go(func() { _ = pool.Restart(ctx) }) // which may end first
	case n < 60:
		m.signal(rng, syscall.SIGKILL)
	case n < 75:
		m.signal(rng, syscall.SIGTERM)
	default:
		worker, pid := m.signal(rng, syscall.SIGSTOP)
		// Some stay as they are until the pool finds them.
		if rest := rng.IntN(400); rest < 300 {
			m.later.Go(func() {
				pause(ctx, rest)
				m.send(worker, pid, syscall.SIGCONT)
			})
		}
	}
}

// signal sends a signal to one of the workers.
func (m *monkey) signal(rng *rand.Rand, s syscall.Signal) (worker, pid int) {
	m.mu.Lock()
	if workers := slices.Sorted(maps.Keys(m.ready)); len(workers) > 0 {
		worker = workers[rng.IntN(len(workers))]
		pid = m.ready[worker]
	}
	m.mu.Unlock()
	if pid == 0 || !m.send(worker, pid, s) {
		return 0, 0
	}
	return worker, pid
}

// send sends a signal to a worker that is still there.
func (m *monkey) send(worker, pid int, s syscall.Signal) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The number may belong to somebody else by now.
	if m.ready[worker] != pid || !isChild(pid) {
		return false
	}
	if s != syscall.SIGCONT {
		m.harmed[worker] = true
	}
	m.attacks[s.String()]++
	return syscall.Kill(pid, s) == nil
}

// killStarting kills workers that have not said hello yet.
func (m *monkey) killStarting() {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[int]bool)
	for _, pid := range m.ready {
		known[pid] = true
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || known[pid] || !isChild(pid) {
			continue
		}
		environ, err := os.ReadFile(file)
		if err == nil && bytes.Contains(environ, []byte(m.mark)) {
			// In this moment it may be ready and run a call.
			m.young[pid] = true
			m.attacks["killed while starting"]++
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// isChild reports whether a process is a living child of this one, as far as the
// system tells.
func isChild(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !exists("/proc/self")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	return len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(os.Getpid())
}
