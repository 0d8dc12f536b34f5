package procpooltest

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	// leaveWithin is how long what a test started has to go away once the test
	// and its other cleanups are over.
	leaveWithin = 30 * time.Second
	lookEvery   = 5 * time.Millisecond

	// markEnv marks the descendants of a test, which are recognized by it even
	// where the process that started them is gone.
	markEnv = "PROCPOOLTEST_STARTED_BY"
)

// NoOrphans fails the test if it leaves something behind: a process it started,
// directly or through its workers, running or a zombie; a goroutine of procpool or
// of what it builds on; or a descriptor. It looks when the test is over and every
// cleanup that was registered later has run, waits generously until nothing is
// left, and otherwise says what is. Call it on the test's first lines.
//
// It compares the program with how it was, so the test can't share the program
// with others: a test that called NoOrphans can't call t.Parallel. Processes are
// found on Linux only, descriptors on Unix only.
func NoOrphans(t testing.TB) {
	t.Helper()
	noOrphans(t, leaveWithin)
}

func noOrphans(t testing.TB, within time.Duration) {
	t.Helper()
	// It also makes a later t.Parallel panic, and panics after one.
	marker := fmt.Sprintf("%d.%d", os.Getpid(), time.Now().UnixNano())
	t.Setenv(markEnv, marker)
	wakePoller()
	before := look(marker)
	t.Cleanup(func() {
		left := waitGone(marker, before, within)
		if len(left) > 0 {
			t.Errorf("procpooltest.NoOrphans: %v after the test this is left of it:\n%s", within, strings.Join(left, "\n"))
		}
	})
}

// scene is what there is in a program at some moment, each thing by what tells it
// apart from others with a description.
type scene map[string]string

func look(marker string) scene {
	s := make(scene)
	addProcesses(s, marker)
	addGoroutines(s)
	addDescriptors(s)
	return s
}

func waitGone(marker string, before scene, within time.Duration) (left []string) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for deadline := time.Now().Add(within); ; <-ticker.C {
		left = left[:0]
		for key, what := range look(marker) {
			if _, ok := before[key]; !ok {
				left = append(left, what)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// wakePoller has the runtime make the descriptors of its network poller, which it
// keeps for ever once something needed them.
func wakePoller() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	_ = r.Close()
	_ = w.Close()
}

// ours matches the stacks of goroutines that belong to procpool and to what it is
// built on.
var ours = regexp.MustCompile(`(?m)^(created by )?(github\.com/procpool/procpool|github\.com/hashicorp/go-plugin|google\.golang\.org/grpc)\b`)

func addGoroutines(s scene) {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := bytes.Split(buf, []byte("\n\n"))
	for _, stack := range stacks[1:] { // the first is the one that looks
		header, _, _ := bytes.Cut(stack, []byte(" ["))
		if ours.Match(stack) {
			s[string(header)] = string(stack)
		}
	}
}
