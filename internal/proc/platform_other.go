//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// Only Linux ties children to the thread that made them, so elsewhere no thread is told apart.
func threadID() int        { return 0 }
func onMainThread() bool   { return false }
func threadEnded(int) bool { return true }

// setNice refuses: where niceness belongs to a process, the host's threads can't differ in it.
func setNice(nice int) error {
	if nice == 0 {
		return nil
	}
	return unsupported("a niceness for workers")
}

func (*Child) confirmLimits() {}

// Usage is known on Linux only.
func (*Child) Usage() (Usage, error) { return Usage{}, unsupported("the usage of a running process") }

func unsupported(what string) error {
	return fmt.Errorf("%s needs Linux and this is %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

// limiter refuses every limit.
type limiter struct{}

// guard watches nothing: there is never a limit here.
type guard struct{}

func (*limiter) guard(spec Spec) (*guard, error) {
	switch {
	case spec.MemoryLimit > 0:
		return nil, unsupported("a memory limit")
	case spec.CPULimit > 0:
		return nil, unsupported("a limit of processor time")
	case spec.OpenFiles > 0:
		return nil, unsupported("a limit of open files")
	default:
		return new(guard), nil
	}
}

func (*guard) launch(start func() (*os.Process, error)) (*os.Process, error) { return start() }

func (*guard) begin()                  {}
func (*guard) engage(*Child) error     { return nil }
func (*guard) killAll()                {}
func (*guard) refusesAt() int64        { return 0 }
func (*guard) limitHit() bool          { return false }
func (*guard) kernelKilled() bool      { return false }
func (*guard) peak(maxRSS int64) int64 { return maxRSS }
func (*guard) release()                {}
