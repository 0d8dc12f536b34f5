package executor_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/procpool/procpool/executor"
)

type flood = struct {
	N, Size int
	Newline bool
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// #54, #98: what tasks print arrives line by line, tagged with worker and task.
func TestOutput(t *testing.T) {
	var out buffer
	pool := newPool(t, executor.Config{Workers: 1, Output: &out})
	if _, err := prints.Call(t.Context(), pool, flood{N: 3, Size: 5, Newline: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "six lines", func() bool { return strings.Count(out.String(), "\n") == 6 })
	for line := range strings.Lines(out.String()) {
		if line != "[worker 1 prints] xxxxx\n" && line != "[worker 1] xxxxx\n" {
			t.Errorf("%q", line)
		}
	}
}

// #99, rule 6.8: megabyte lines on both outputs, with and without an end, block
// neither the task nor the pool, even if nobody can write them out.
func TestFlood(t *testing.T) {
	for name, in := range map[string]flood{
		"short lines":          {N: 20000, Size: 80, Newline: true},
		"megabyte lines":       {N: 20, Size: 1 << 20, Newline: true},
		"no end of line":       {N: 20, Size: 1 << 20},
		"longer than a pipe's": {N: 100, Size: 70 << 10, Newline: true},
	} {
		t.Run(name, func(t *testing.T) {
			stuck := &stuckWriter{free: make(chan struct{})}
			pool := newPool(t, executor.Config{Output: stuck})
			t.Cleanup(func() { close(stuck.free) })
			before, err := prints.Call(t.Context(), pool, in)
			if err != nil {
				t.Fatal(err)
			}
			if after, err := pid.Call(t.Context(), pool, struct{}{}); after != before || err != nil {
				t.Errorf("%d, then %d, %v", before, after, err)
			}
			works(t, pool)
			eventually(t, "what is lost is counted", func() bool { return pool.Stats().OutputDropped > 0 })
		})
	}
}

// stuckWriter takes nothing until it is freed.
type stuckWriter struct{ free chan struct{} }

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.free
	return len(p), nil
}

// A task that reads its standard input reads its end: nobody eats the pipe by
// which a worker learns of its host's death.
func TestStdinIsEmpty(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	for range 3 {
		if n, err := stdin.Call(t.Context(), pool, 0); n != 0 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	works(t, pool)
}
