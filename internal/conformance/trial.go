package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// trial is one run of a case, in a goroutine of its own. A case fails by one of its
// methods, which end the goroutine, so that a case reads as what it tries.
type trial struct {
	kit  *kit
	ctx  context.Context //nolint:containedctx // a trial is one call that has many helpers, as testing.T is
	uses []string

	failed, skipped string
	dir             string // made when it is first asked for
	cleanUps        []func()
}

// failf ends the case: it says what was done, what was expected and what came.
func (t *trial) failf(format string, args ...any) {
	t.noteFailure(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// noteFailure fails the case without ending it. The first failure is the one that is
// told.
func (t *trial) noteFailure(reason string) {
	if t.failed == "" {
		t.failed = reason
	}
}

// skipf ends the case, which needs something optional.
func (t *trial) skipf(format string, args ...any) {
	t.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (t *trial) outcome() (Outcome, string) {
	switch {
	case t.failed != "":
		return Fail, t.failed
	case t.skipped != "":
		return Skip, t.skipped
	}
	return Pass, ""
}

// onEnd has f called when the case ends, the last one first.
func (t *trial) onEnd(f func()) { t.cleanUps = append(t.cleanUps, f) }

func (t *trial) cleanUp() {
	for _, f := range slices.Backward(t.cleanUps) {
		f()
	}
	if t.dir != "" {
		if err := os.RemoveAll(t.dir); err != nil {
			t.noteFailure("the folder of the case can't be removed: " + err.Error())
		}
	}
}

// must ends the case if what it did not succeed for a reason that has nothing to do
// with the worker, or that err tells in full.
func (t *trial) must(err error) {
	if err != nil {
		t.failf("%v", err)
	}
}

// expect ends the case if got is not what was expected of what was done.
func expect[T comparable](t *trial, done string, got, want T) {
	if got != want {
		t.failf("%s: expected %#v, got %#v", done, want, got)
	}
}

// path returns the path of a file of the case.
func (t *trial) path(name string) string {
	if t.dir == "" {
		dir, err := os.MkdirTemp("", "procpool-c")
		t.must(err)
		t.dir = dir
	}
	return filepath.Join(t.dir, name)
}

// create makes an empty file, for which a function may wait.
func (t *trial) create(path string) {
	t.must(os.WriteFile(path, nil, 0o600))
}

// removeFile removes a file that there may not be.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// lines returns the lines that functions have noted in a file.
func (t *trial) lines(path string) []string {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	t.must(err)
	if len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// awaitStarted waits until a function has noted in a file that it has started.
func (t *trial) awaitStarted(path, when string) {
	if !t.eventually(func() bool { return slices.Contains(t.lines(path), "started") }) {
		t.failf("%s: expected that it notes \"started\", it has noted %q", when, t.lines(path))
	}
}

// lookEvery is how often the kit looks whether what it waits for has come.
const lookEvery = 2 * time.Millisecond

// eventually waits until a condition holds; false says that it did not in time.
func (t *trial) eventually(holds func() bool) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return holds()
		}
	}
	return true
}

// within returns a context that ends with the grace for what is to happen at once.
func (t *trial) within() (context.Context, context.CancelFunc) {
	grace := t.kit.cfg.Grace
	return context.WithTimeoutCause(t.ctx, grace, fmt.Errorf("the grace of %v is over", grace))
}

// soon is eventually with no longer than the grace.
func (t *trial) soon(holds func() bool) bool {
	ctx, cancel := t.within()
	defer cancel()
	short := *t
	short.ctx = ctx
	return short.eventually(holds)
}

// use makes sure that a case has named a function that it calls.
func (t *trial) use(name string) {
	if !slices.Contains(t.uses, name) {
		t.failf("the kit itself is wrong: the case calls %q and does not say so", name)
	}
}
