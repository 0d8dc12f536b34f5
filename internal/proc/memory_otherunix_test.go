//go:build unix && !linux

package proc_test

import (
	"errors"
	"testing"
)

// What can't be honoured is refused, never silently left out.
func TestMemoryLimitIsRefused(t *testing.T) {
	t.Parallel()
	spec := helper(t, "exit", "0")
	spec.MemoryLimit = 1 << 30
	if _, err := newSpawner(t).Start(t.Context(), spec); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want an error that matches errors.ErrUnsupported", err)
	}
}
