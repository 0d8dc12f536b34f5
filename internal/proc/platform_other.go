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

// limiter refuses every memory limit.
type limiter struct{}

// guard watches nothing: there is never a limit here.
type guard struct{}

func (*limiter) guard(spec Spec) (*guard, error) {
	if spec.MemoryLimit > 0 {
		return nil, fmt.Errorf("memory limits need Linux and this is %s; set none: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	return new(guard), nil
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
