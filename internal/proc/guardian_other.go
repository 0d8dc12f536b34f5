//go:build !unix

package proc

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// guardian guards nothing: there are no process groups here.
type guardian struct{}

func acquireGuardian() *guardian { return new(guardian) }
func releaseGuardian()           {}

func (*guardian) add(int) {}

func (*guardian) await(time.Duration) {}

func (*guardian) guarded() (bool, error) {
	return false, fmt.Errorf("a guardian process needs process groups, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
