package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// longGrace is a grace that no test waits for.
const longGrace = 10 * time.Minute

// #1, #51: a running call whose context is cancelled resolves at once; a task that
// heeds its context keeps its worker. Rule 6.4.
func TestCancelRunningCall(t *testing.T) {
	for _, by := range []string{"future", "context"} {
		t.Run(by, func(t *testing.T) {
			pool := newPool(t, executor.Config{Workers: 1, CancelGrace: longGrace})
			before, _ := pid.Call(t.Context(), pool, struct{}{})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			path := filepath.Join(t.TempDir(), "gate")
			f := gate.Submit(ctx, pool, path)
			eventually(t, "the call runs", func() bool { return exists(path + ".started") })
			if f.State() != procpool.Started {
				t.Errorf("state %v", f.State())
			}
			why := errors.New("changed my mind")
			if by == "future" {
				if !f.Cancel() || f.Cancel() {
					t.Error("Cancel does not tell who resolved the future")
				}
			} else {
				cancel(why)
			}
			_, err := result(t, f)
			if !errors.Is(err, context.Canceled) || by == "context" && !errors.Is(err, why) {
				t.Errorf("%v", err)
			}
			if after, err := pid.Call(t.Context(), pool, struct{}{}); after != before || err != nil {
				t.Errorf("the worker was replaced: %d, then %d, %v", before, after, err)
			}
			eventually(t, "the run time is known once the work has stopped", func() bool { return f.Info().Run > 0 })
		})
	}
}

// T091, T093, #13, #36, #81: a task that ignores its context is killed after the
// grace, its worker replaced, its neighbours are unharmed. Rule 6.4.
func TestDeadlineKillsTheDeaf(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: 50 * time.Millisecond})
	dir := t.TempDir()
	neighbour := gate.Submit(t.Context(), pool, filepath.Join(dir, "neighbour"))
	eventually(t, "the neighbour runs", func() bool { return exists(filepath.Join(dir, "neighbour.started")) })
	for i := 0; ; i++ { // on a busy machine a deadline may pass before the call starts
		path := filepath.Join(dir, "deaf"+strconv.Itoa(i))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := result(t, deaf.Submit(ctx, pool, path))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if exists(path + ".started") {
			break
		}
	}
	eventually(t, "the worker was killed", func() bool { return pool.Stats().Killed >= 1 })
	works(t, pool)
	open(t, filepath.Join(dir, "neighbour"))
	if _, err := result(t, neighbour); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
	if s := pool.Stats(); s.Crashes != 0 {
		t.Errorf("a kill of ours counts as a crash: %+v", s)
	}
}

// #2, T099, #105: a call that has not started never runs, queued or sent ahead,
// and what is before and behind it does. Rule 6.4.
func TestCancelBeforeStart(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: longGrace})
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	for range 200 { // the task is known to be quick, so that calls are sent ahead
		if _, err := ledger.Call(t.Context(), pool, [2]string{filepath.Join(dir, "warm"), "x"}); err != nil {
			t.Fatal(err)
		}
	}
	block := gate.Submit(t.Context(), pool, filepath.Join(dir, "gate"))
	var cancelled, kept []*procpool.Future[int]
	for i := range 100 {
		f := ledger.Submit(t.Context(), pool, [2]string{path, strconv.Itoa(i)})
		if i%3 == 0 {
			cancelled = append(cancelled, f)
		} else {
			kept = append(kept, f)
		}
	}
	for _, f := range cancelled {
		if !f.Cancel() {
			t.Error("a call that waits can't be cancelled")
		}
	}
	open(t, filepath.Join(dir, "gate"))
	if _, err := result(t, block); err != nil {
		t.Error(err)
	}
	for _, f := range kept {
		if _, err := result(t, f); err != nil {
			t.Error(err)
		}
	}
	for _, f := range cancelled {
		if _, err := result(t, f); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := countLines(b); lines != len(kept) {
		t.Errorf("%d calls ran, want %d", lines, len(kept))
	}
	works(t, pool)
}

func countLines(b []byte) (n int) {
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

// Whoever wins, a call whose Cancel came before its start never runs, and one that
// ran is never said to have been cancelled before. The ledger shows it, for many
// interleavings.
func TestCancelRace(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: longGrace})
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	ran := 0
	for i := range 600 {
		var fs [4]*procpool.Future[int]
		for j := range fs {
			fs[j] = ledger.Submit(t.Context(), pool, [2]string{path, strconv.Itoa(i*10 + j)})
		}
		fs[i%4].Cancel()
		for j, f := range fs {
			switch _, err := result(t, f); {
			case err == nil:
				ran++
			case j != i%4 || !errors.Is(err, context.Canceled):
				t.Fatalf("round %d call %d: %v", i, j, err)
			}
		}
	}
	eventually(t, "nothing runs any more", func() bool { return pool.Stats().Running == 0 })
	b, _ := os.ReadFile(path)
	if lines := countLines(b); lines < ran || lines > 2400 {
		t.Errorf("%d lines, %d results", lines, ran)
	}
}

// #7: with a context that has ended nothing is sent, and the cause is kept.
func TestContextEndedBefore(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	why := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	before := pool.Stats().Submitted
	if _, err := square.Call(ctx, pool, 1); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Error(err)
	}
	if after := pool.Stats().Submitted; after != before {
		t.Error("the call was taken")
	}
}

// The context's end inside a Map is yielded once and ends it; running work stops.
func TestMapContextEnds(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: longGrace})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	paths := func(yield func(string) bool) {
		for i := 0; ; i++ {
			p := filepath.Join(t.TempDir(), "gate")
			if i < 2 {
				open(t, p)
			}
			if !yield(p) {
				return
			}
			if i == 3 {
				cancel()
			}
		}
	}
	var good, bad int
	for _, err := range gate.Map(ctx, pool, paths) {
		if err == nil {
			good++
			continue
		}
		bad++
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if good > 2 || bad != 1 {
		t.Errorf("%d results, %d errors", good, bad)
	}
	eventually(t, "the work has stopped", func() bool { return pool.Stats().Running == 0 })
	works(t, pool)
}

// A task sees the deadline and the metadata of its call.
func TestTaskContext(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	got, err := look.With(procpool.Metadata(map[string]string{"tenant": "blue"})).Call(ctx, pool, 0)
	if err != nil || got.Tenant != "blue" || got.Left < 50*time.Minute || got.Left > time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := look.Call(context.Background(), pool, 0); err != nil || got.Tenant != "" || got.Left != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A task that heeds its deadline never beats its caller to it: the caller's error
// is always the deadline's. Rule 6.4.
func TestDeadlineIsTheHosts(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: longGrace})
	dir := t.TempDir()
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
		_, err := gate.Call(ctx, pool, filepath.Join(dir, strconv.Itoa(i)))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	works(t, pool)
}
