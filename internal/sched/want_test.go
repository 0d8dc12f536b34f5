package sched_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
)

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantResult checks that the call succeeded.
func wantResult(t *testing.T, f *procpool.Future[[]byte], text string) {
	t.Helper()
	synctest.Wait()
	if s := f.State(); s != procpool.Done {
		t.Errorf("the call of %q is %v, want it done", text, s)
		return
	}
	if got, err := f.Result(context.Background()); err != nil || string(got) != text {
		t.Errorf("result %q, %v; want %q", got, err, text)
	}
}

// wantError checks that the call failed with an error that matches.
func wantError(t *testing.T, f *procpool.Future[[]byte], target error) {
	t.Helper()
	synctest.Wait()
	if s := f.State(); s != procpool.Done {
		t.Errorf("the call is %v, want it done with: %v", s, target)
		return
	}
	if _, err := f.Result(context.Background()); !errors.Is(err, target) {
		t.Errorf("error %v, want one that matches %v", err, target)
	}
}

// wantOpen checks that the calls have no outcome yet.
func wantOpen(t *testing.T, fs ...*procpool.Future[[]byte]) {
	t.Helper()
	synctest.Wait()
	for i, f := range fs {
		if f.State() == procpool.Done {
			_, err := f.Result(context.Background())
			t.Errorf("call %d is done already (error %v)", i, err)
		}
	}
}

// crashOf returns the call's crash error.
func crashOf(t *testing.T, f *procpool.Future[[]byte]) *procpool.CrashError {
	t.Helper()
	wantError(t, f, procpool.ErrCrashed)
	_, err := f.Result(context.Background())
	var ce *procpool.CrashError
	if !errors.As(err, &ce) {
		t.Fatalf("error %v, want a CrashError", err)
	}
	return ce
}

// texts returns prefix0, prefix1, ...
func texts(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}

// mapped is a Map that runs in the background.
type mapped struct {
	mu     sync.Mutex
	out    []string
	errs   map[int]error
	ended  chan struct{}
	cancel context.CancelFunc
}

// mapOver starts a Map over the texts.
func (h *host) mapOver(all []string) *mapped { return mapThrough(h, all) }

// mapThrough is mapOver with an executor that may not be the host itself.
func mapThrough(ex procpool.Executor, all []string) *mapped { return mapOf(ex, work, all) }

// mapOf is mapThrough with a handle that has options.
func mapOf(ex procpool.Executor, task *procpool.Func[[]byte, []byte], all []string) *mapped {
	ctx, cancel := context.WithCancel(context.Background())
	m := &mapped{errs: make(map[int]error), ended: make(chan struct{}), cancel: cancel}
	in := func(yield func([]byte) bool) {
		for _, text := range all {
			if !yield([]byte(text)) {
				return
			}
		}
	}
	go func() {
		defer close(m.ended)
		defer cancel()
		i := 0
		for out, err := range task.Map(ctx, ex, in) {
			m.mu.Lock()
			m.out = append(m.out, string(out))
			if err != nil {
				m.errs[i] = err
			}
			m.mu.Unlock()
			i++
		}
	}()
	return m
}

// results returns what the Map has yielded so far.
func (m *mapped) results() (out []string, errs map[int]error) {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.out), m.errs
}
