// Package selfexec knows how a program runs itself again as a worker: how a
// worker recognizes that it is one, whether the program is prepared for it, and
// how deep pools are nested.
package selfexec

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// workerEnv is set in the environment of a worker that is this program
	// run again.
	workerEnv = "PROCPOOL_WORKER"
	// depthEnv counts the pools between a process and the program that a
	// person started.
	depthEnv = "PROCPOOL_DEPTH"
)

// MaxDepth is how deep pools may be nested: a worker at this depth starts no
// pool of its own. It turns a program that starts itself without end into an
// error.
const MaxDepth = 3

// initCalled is package-level because what it tells is a fact about the program,
// set on the first line of main and asked wherever a pool is made; nothing that
// the two could share exists. It only ever goes from false to true.
var initCalled atomic.Bool

// MarkInit records that the program called workerproc.Init, and reports whether
// this was the first time.
func MarkInit() bool { return initCalled.CompareAndSwap(false, true) }

// InitCalled reports whether the program called workerproc.Init. A program that
// did not must not be run again as a worker: it would do its own work once more,
// and start workers that do so too.
func InitCalled() bool { return initCalled.Load() }

// IsWorker reports whether this process was started as a worker by the same
// program. It asks the environment, from which the worker's side takes the
// answer before it runs a task.
func IsWorker() bool { return os.Getenv(workerEnv) != "" }

// Depth returns how many pools are between this process and the program that a
// person started: 0 there, 1 in its workers. A value that makes no sense counts
// as MaxDepth, because the guard must fail on the safe side.
func Depth() int {
	value, ok := os.LookupEnv(depthEnv)
	if !ok {
		return 0
	}
	depth, err := strconv.Atoi(value)
	if err != nil || depth < 0 {
		return MaxDepth
	}
	return depth
}

// WorkerEnv returns base as the environment of a worker: without the variables
// that belong to this process's own place in a pool, with the depth counted up.
// worker says that the worker is this program run again. base is not modified.
func WorkerEnv(base []string, worker bool) []string {
	env := make([]string, 0, len(base)+2)
	for _, entry := range base {
		if !ownVariable(entry) {
			env = append(env, entry)
		}
	}
	env = append(env, depthEnv+"="+strconv.Itoa(Depth()+1))
	if worker {
		env = append(env, workerEnv+"=1")
	}
	return env
}

// ownVariable reports whether an entry NAME=value belongs to go-plugin or to
// procpool. What they tell a worker must not reach the workers of that worker:
// an outer PLUGIN_CLIENT_CERT alone makes an inner start fail.
func ownVariable(entry string) bool {
	for _, prefix := range []string{"PLUGIN_", "PROCPOOL_"} {
		if len(entry) < len(prefix) {
			continue
		}
		head := entry[:len(prefix)]
		// Windows does not tell the case of names apart.
		if head == prefix || runtime.GOOS == "windows" && strings.EqualFold(head, prefix) {
			return true
		}
	}
	return false
}
