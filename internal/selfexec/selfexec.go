// Package selfexec knows how a program runs itself again as a worker: which file
// that is, whether the program is prepared for it, and how deep pools are nested.
package selfexec

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
)

// depthEnv counts the pools between a process and the program that a person
// started.
const depthEnv = "PROCPOOL_DEPTH"

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
// base is not modified.
func WorkerEnv(base []string) []string {
	env := make([]string, 0, len(base)+1)
	for _, entry := range base {
		if !ownVariable(entry) {
			env = append(env, entry)
		}
	}
	return append(env, depthEnv+"="+strconv.Itoa(Depth()+1))
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
