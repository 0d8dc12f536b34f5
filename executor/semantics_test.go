//go:build unix

package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// These tests hold rules of docs/semantics.md in real processes where no other
// test does.

// Rule 6.1: every future is resolved exactly once, whatever dies: calls that crash,
// panic and are cancelled, workers that are killed from outside, and in the end the
// pool itself. No call runs twice.
func TestOneOutcomeWhateverDies(t *testing.T) {
	const calls = 600
	path := filepath.Join(t.TempDir(), "ledger")
	pool := newPool(t, executor.Config{QueueSize: 2 * calls, CancelGrace: 50 * time.Millisecond})
	var (
		told    [calls]atomic.Int32
		futures [calls]*procpool.Future[int]
	)
	for i := range futures {
		ctx := t.Context()
		f := &futures[i]
		switch i % 30 {
		case 7:
			*f = die.Submit(ctx, pool, "exit 3")
		case 11:
			*f = panics.Submit(ctx, pool, "text")
		case 15: // somebody kills whichever worker runs this
			*f = pid.Submit(ctx, pool, struct{}{})
			killed := *f
			killed.OnDone(func() {
				if p, err := killed.Result(context.Background()); err == nil {
					_ = sendSignal(p, syscall.SIGKILL)
				}
			})
		case 19:
			short, cancel := context.WithTimeout(ctx, time.Duration(i)*10*time.Microsecond)
			defer cancel()
			*f = ledger.Submit(short, pool, [2]string{path, strconv.Itoa(i)})
		default:
			*f = ledger.Submit(ctx, pool, [2]string{path, strconv.Itoa(i)})
			if i%30 == 23 {
				f := *f
				go f.Cancel()
			}
		}
		(*f).OnDone(func() { told[i].Add(1) })
	}
	for _, f := range futures[:calls/2] {
		_, _ = result(t, f)
	}
	pool.Close()
	for i, f := range futures {
		_, err := result(t, f)
		again, errAgain := f.Result(t.Context())
		if f.Cancel() || !errors.Is(errAgain, err) {
			t.Errorf("call %d has the outcome %v, and then %d, %v", i, err, again, errAgain)
		}
		eventually(t, "the callback is called", func() bool { return told[i].Load() > 0 })
	}
	for i := range told {
		if n := told[i].Load(); n != 1 {
			t.Errorf("call %d was resolved %d times", i, n)
		}
	}
	if s := pool.Stats(); s.Submitted != calls || s.Submitted != s.Succeeded+s.Failed+s.Cancelled+s.Refused {
		t.Errorf("the counts don't add up: %+v", s)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runs := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		if runs[line]++; runs[line] == 2 {
			t.Errorf("call %s ran twice", strings.TrimSpace(line))
		}
	}
}

// A worker that is killed from outside is a crash of the call that it ran, with
// its cause; a SIGINT, which a terminal sends to all, is not for workers.
func TestSignalsFromOutside(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	dir := t.TempDir()
	for sig, want := range map[syscall.Signal]struct {
		name string
		code int
	}{
		syscall.SIGKILL: {"SIGKILL", -1},
		syscall.SIGTERM: {"SIGTERM", -1},
		syscall.SIGQUIT: {"", 2}, // the Go runtime prints its stacks and exits
	} {
		path := filepath.Join(dir, strconv.Itoa(int(sig)))
		f := gate.Submit(t.Context(), pool, path)
		eventually(t, "the call runs", func() bool { return exists(path + ".started") })
		p := f.Info().PID
		if err := syscall.Kill(p, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		behind := square.Submit(t.Context(), pool, 3)
		if err := syscall.Kill(p, sig); err != nil {
			t.Fatal(err)
		}
		_, err := result(t, f)
		var ce *procpool.CrashError
		if !errors.As(err, &ce) || ce.PID != p || ce.Signal != want.name || ce.ExitCode != want.code || ce.Finished || ce.Suspects != 1 {
			t.Errorf("%v: %+v", sig, err)
		}
		if v, err := result(t, behind); v != 9 || err != nil || behind.Info().Attempts != 1 {
			t.Errorf("%v: the call behind it: %d, %v, %+v", sig, v, err, behind.Info())
		}
	}
	works(t, pool)
}

// Rule 6.2: what was sent ahead to a worker is taken back without a word from it,
// even if the worker is stopped; it then runs elsewhere, once, as its first attempt.
func TestStoppedWorkerLosesWhatWasSentAhead(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	quick := filepath.Join(dir, "quick")
	open(t, quick)
	reached := false
	for round := 0; round < 50 && !reached; round++ {
		for range 50 { // so that gate is taken for a quick task, behind which others are sent
			if _, err := gate.Call(t.Context(), pool, quick); err != nil {
				t.Fatal(err)
			}
			if _, err := ledger.Call(t.Context(), pool, [2]string{quick, "x"}); err != nil {
				t.Fatal(err)
			}
		}
		before := pool.Stats().Requeued
		name := strconv.Itoa(round)
		first, second := filepath.Join(dir, name+".first"), filepath.Join(dir, name+".second")
		holdsUp := deaf.Submit(t.Context(), pool, first)
		eventually(t, "the first call runs", func() bool { return exists(first + ".started") })
		blocked := gate.Submit(t.Context(), pool, second)
		var ahead []*procpool.Future[int]
		for i := range 3 {
			ahead = append(ahead, ledger.Submit(t.Context(), pool, [2]string{path, name + " " + strconv.Itoa(i)}))
		}
		open(t, first) // now the other four are sent in one go, if they are expected to be quick
		if _, err := result(t, holdsUp); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the second call runs", func() bool { return exists(second + ".started") })
		stopped := blocked.Info().PID
		if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "what was sent ahead is in the queue again", func() bool { return pool.Stats().Queued == len(ahead) })
		reached = pool.Stats().Requeued > before
		if err := syscall.Kill(stopped, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := result(t, blocked); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("the call of the stopped worker: %v", err)
		}
		for _, f := range ahead {
			p, err := result(t, f)
			if info := f.Info(); err != nil || p == stopped || info.PID != p || info.Attempts != 1 {
				t.Errorf("a call that was sent ahead: process %d, %v, %+v", p, err, info)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if lines := countLines(b); lines != len(ahead)*(round+1) {
			t.Errorf("round %d: %d lines in the ledger", round, lines)
		}
	}
	if !reached {
		t.Error("nothing was ever sent ahead; the test does not reach what it is for")
	}
}

// Rules 6.4 and 6.8: a worker that is stopped holds up nothing but its own call, and
// only as long as its caller is patient; then it is killed and replaced. Close does
// not wait for one either.
func TestStoppedWorkerIsReplaced(t *testing.T) {
	pool := newPool(t, executor.Config{CancelGrace: 20 * time.Millisecond})
	dir := t.TempDir()
	stop := func(ctx context.Context, name string) *procpool.Future[int] {
		path := filepath.Join(dir, name)
		f := gate.Submit(ctx, pool, path)
		eventually(t, "the call runs", func() bool { return exists(path + ".started") })
		if err := syscall.Kill(f.Info().PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		return f
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := stop(ctx, "first")
	works(t, pool)
	cancel()
	if _, err := result(t, f); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	eventually(t, "the stopped worker was killed and replaced", func() bool {
		s := pool.Stats()
		return s.Killed == 1 && s.Workers == 2
	})
	works(t, pool)
	f = stop(t.Context(), "second")
	pool.Close()
	if _, err := result(t, f); !errors.Is(err, procpool.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// Rules 6.1 and 6.4: a cancelled call that goes on keeps its worker busy until it
// returns, and what it returns then is dropped.
func TestCancelledCallHoldsItsWorker(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: longGrace})
	path := filepath.Join(t.TempDir(), "gate")
	f := deaf.Submit(t.Context(), pool, path)
	eventually(t, "the call runs", func() bool { return exists(path + ".started") })
	if !f.Cancel() {
		t.Error("a running call can't be cancelled")
	}
	worker := f.Info().PID
	next := pid.Submit(t.Context(), pool, struct{}{})
	if s := pool.Stats(); s.Running != 1 || s.Queued != 1 || f.Info().Run != 0 {
		t.Errorf("%+v, and the cancelled call's run time is %v", s, f.Info().Run)
	}
	open(t, path)
	if p, err := result(t, next); p != worker || err != nil {
		t.Errorf("the next call ran in process %d, not in %d, %v", p, worker, err)
	}
	if _, err := result(t, f); !errors.Is(err, context.Canceled) || f.Info().Run <= 0 {
		t.Errorf("the cancelled call has the outcome %v and ran for %v", err, f.Info().Run)
	}
	if s := pool.Stats(); s.Killed != 0 || s.Cancelled != 1 || s.Succeeded != 1 {
		t.Errorf("%+v", s)
	}
}

// Rule 6.6: what a worker has started ends with it, in whatever way the worker ends.
func TestWorkersChildrenEndWithIt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(t *testing.T, pool *executor.Pool, worker int, dir string){
		"exits": func(t *testing.T, pool *executor.Pool, _ int, _ string) {
			_, err := die.Call(t.Context(), pool, "exit 0")
			mustContain(t, err, "exit status 0")
		},
		"crashes": func(t *testing.T, pool *executor.Pool, _ int, _ string) {
			_, err := die.Call(t.Context(), pool, "throw")
			mustContain(t, err, "exit status 2")
		},
		"is killed while idle": func(t *testing.T, _ *executor.Pool, worker int, _ string) {
			if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
		"is killed for a cancelled call": func(t *testing.T, pool *executor.Pool, _ int, dir string) {
			path := filepath.Join(dir, "gate")
			f := deaf.Submit(t.Context(), pool, path)
			eventually(t, "the call runs", func() bool { return exists(path + ".started") })
			f.Cancel()
		},
		"is asked to leave": func(t *testing.T, pool *executor.Pool, _ int, _ string) {
			if err := pool.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"is closed": func(_ *testing.T, pool *executor.Pool, _ int, _ string) { pool.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pool := newPool(t, executor.Config{
				Workers: 1, CancelGrace: 20 * time.Millisecond,
				Command: executor.Program("sh", "-c", `sleep 1000 & echo $! > "$1/$$"; exec "$0"`, self, dir),
			})
			worker, err := pid.Call(t.Context(), pool, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(worker)))
			if err != nil {
				t.Fatal(err)
			}
			child, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			if !lives(child) {
				t.Fatal("the worker's child does not run, so this test shows nothing")
			}
			end(t, pool, worker, dir)
			eventually(t, "the worker's child has ended", func() bool { return !lives(child) })
		})
	}
}

// lives reports whether a process runs; a zombie does not.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !exists("/proc/self") // elsewhere zombies can't be told
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// Rule 6.7: when workers no longer start, calls wait at first and are then refused
// with the reason; when the cause is gone the pool works again by itself.
func TestWorkersNoLongerStart(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	pool := newPool(t, executor.Config{Workers: 2, Command: executor.Program("sh", "-c",
		`[ ! -e "$1" ] || { echo the disk is on fire >&2; exit 4; }; exec "$0"`, self, broken)})
	works(t, pool)
	open(t, broken)
	var futures []*procpool.Future[int]
	for range 2 { // the workers' last calls
		futures = append(futures, die.Submit(t.Context(), pool, "kill"))
	}
	for _, f := range futures {
		if _, err := result(t, f); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("%v", err)
		}
	}
	_, err = result(t, square.Submit(t.Context(), pool, 1)) // waits, and is refused in the end
	var se *procpool.StartError
	if !errors.As(err, &se) || se.ExitCode != 4 || !strings.Contains(se.Output, "the disk is on fire") {
		t.Errorf("%v", err)
	}
	if s := pool.Stats(); s.StartFailures < 5 {
		t.Errorf("refused after %d attempts", s.StartFailures)
	}
	if f := square.Submit(t.Context(), pool, 1); f.State() != procpool.Done {
		t.Error("a later call waits, although it is known that no worker starts")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pool is at full size again", func() bool { return pool.Stats().Workers == 2 })
	works(t, pool)
}

// Rule 6.10: an argument that can't be encoded is never submitted.
func TestBadArgumentIsNotSubmitted(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	f := procpool.Remote[chan int, int]("square").Submit(t.Context(), pool, make(chan int))
	if f.State() != procpool.Done {
		t.Error("the future is not resolved when Submit returns")
	}
	var ce *procpool.CodecError
	if _, err := result(t, f); !errors.As(err, &ce) {
		t.Errorf("%v", err)
	}
	if s := pool.Stats(); s.Submitted != 0 {
		t.Errorf("%+v", s)
	}
}
