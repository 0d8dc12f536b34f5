package executor_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// say sends a line and returns the answer.
func say(t *testing.T, talk *procpool.Conversation[string, string], line string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := talk.Send(ctx, line); err != nil {
		return "", err
	}
	answer, err := talk.Recv(ctx)
	if errors.Is(err, procpool.ErrNotDone) {
		t.Fatalf("no answer in %v", patience)
	}
	return answer, err
}

func closeTalk(t *testing.T, talk *procpool.Conversation[string, string]) {
	t.Helper()
	if err := talk.Close(); err != nil {
		t.Error(err)
	}
}

// A session takes and sends values in turn until its input ends; it has a process of
// its own, which goes with it.
func TestSession(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	worker, _ := pid.Call(t.Context(), pool, struct{}{})
	talk := shout.Open(t.Context(), pool, "> ")
	for _, line := range []string{"one", "two", "three"} {
		if answer, err := say(t, talk, line); err != nil || answer != "> "+map[string]string{"one": "ONE", "two": "TWO", "three": "THREE"}[line] {
			t.Errorf("%q, %v", answer, err)
		}
	}
	answer, err := say(t, talk, "pid")
	if err != nil || answer == "> "+strconv.Itoa(worker) || answer == "> "+strconv.Itoa(os.Getpid()) {
		t.Errorf("it runs in %q, and the pool's worker is %d: %v", answer, worker, err)
	}
	if s := pool.Stats(); s.Dedicated != 1 || s.Workers != 1 || s.Running != 1 {
		t.Errorf("%+v", s)
	}
	works(t, pool)
	talk.CloseSend()
	if last, err := talk.Recv(t.Context()); last != "4" || err != nil {
		t.Errorf("after its input: %q, %v", last, err)
	}
	if _, err := talk.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at its end: %v", err)
	}
	if err := talk.Send(t.Context(), "more"); !errors.Is(err, io.EOF) && err == nil {
		t.Errorf("sent behind the end: %v", err)
	}
	if err := talk.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "its process is gone", func() bool { s := pool.Stats(); return s.Dedicated == 0 && s.Succeeded == 22 })
}

// A session may share a worker, whose slot it holds.
func TestSharedSession(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, Concurrency: 2})
	worker, _ := pid.Call(t.Context(), pool, struct{}{})
	talk := shout.With(procpool.Shared()).Open(t.Context(), pool, "")
	defer talk.Close()
	if answer, err := say(t, talk, "pid"); err != nil || answer != strconv.Itoa(worker) {
		t.Errorf("it runs in %q and not in %d, %v", answer, worker, err)
	}
	if s := pool.Stats(); s.Dedicated != 0 || s.Running != 1 {
		t.Errorf("%+v", s)
	}
	works(t, pool)
	// It shares the worker's fate, which dies of another call.
	if _, err := die.Call(t.Context(), pool, "exit 3"); !errors.Is(err, procpool.ErrCrashed) {
		t.Error(err)
	}
	if _, err := talk.Recv(t.Context()); !errors.Is(err, procpool.ErrCrashed) {
		t.Errorf("its worker is dead: %v", err)
	}
	works(t, pool)
}

// The ways in which a session ends that does not end by itself.
func TestSessionEnds(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, CancelGrace: 50 * time.Millisecond})
	t.Run("crash", func(t *testing.T) {
		talk := shout.Open(t.Context(), pool, "")
		defer talk.Close()
		if _, err := say(t, talk, "one"); err != nil {
			t.Fatal(err)
		}
		_, err := say(t, talk, "die")
		crash, ok := errors.AsType[*procpool.CrashError](err)
		if !ok || crash.Task != "shout" || crash.Signal != "SIGKILL" {
			t.Errorf("%v", err)
		}
		if err := talk.Send(t.Context(), "more"); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("sent behind the crash: %v", err)
		}
		if err := talk.Close(); !errors.Is(err, procpool.ErrCrashed) {
			t.Errorf("Close: %v", err)
		}
	})
	t.Run("error", func(t *testing.T) {
		talk := shout.Open(t.Context(), pool, "")
		defer talk.Close()
		if _, err := say(t, talk, "fail"); !errors.Is(err, errNoSuchThing) {
			t.Errorf("%v", err)
		}
	})
	t.Run("Close", func(t *testing.T) {
		gate := filepath.Join(t.TempDir(), "gate")
		talk := mute.Open(t.Context(), pool, gate)
		eventually(t, "it runs", func() bool { return exists(gate + ".started") })
		if err := talk.Close(); err != nil || talk.Close() != nil {
			t.Error(err)
		}
		if _, err := talk.Recv(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("after Close: %v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		gate := filepath.Join(t.TempDir(), "gate")
		talk := mute.Open(ctx, pool, gate)
		defer talk.Close()
		if _, err := talk.Recv(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, procpool.ErrNotDone) {
			t.Error(err)
		}
	})
	eventually(t, "their processes are gone", func() bool { return pool.Stats().Dedicated == 0 })
	works(t, pool)
}

// A session whose task takes nothing holds back who sends, and nobody else; the waits
// of Send and Recv are bounded by their own contexts.
func TestSessionHoldsBackItsSender(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	gate := filepath.Join(t.TempDir(), "gate")
	talk := mute.Open(t.Context(), pool, gate)
	defer talk.Close()
	sent := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := talk.Send(ctx, sent)
		cancel()
		if errors.Is(err, procpool.ErrNotDone) && exists(gate+".started") {
			break
		}
		if err == nil {
			sent++
		}
		if sent > 1<<20 {
			t.Fatal("a task that takes nothing is sent without bound")
		}
	}
	if sent == 0 {
		t.Error("nothing could be sent")
	}
	works(t, pool)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := talk.Recv(ctx); !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	open(t, gate)
	if v, err := talk.Recv(t.Context()); v != 1 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	if _, err := talk.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// MaxDedicated bounds how many processes there are: further sessions wait, or are
// refused with NoWait.
func TestMaxDedicated(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 2})
	a, b := shout.Open(t.Context(), pool, ""), shout.Open(t.Context(), pool, "")
	defer closeTalk(t, a)
	defer closeTalk(t, b)
	for _, talk := range []*procpool.Conversation[string, string]{a, b} {
		if _, err := say(t, talk, "x"); err != nil {
			t.Fatal(err)
		}
	}
	full := shout.Open(t.Context(), pool, "", procpool.NoWait())
	_, err := full.Recv(t.Context())
	if !errors.Is(err, procpool.ErrQueueFull) || full.Close() == nil {
		t.Errorf("the third: %v", err)
	}
	mustContain(t, err, "MaxDedicated", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := shout.Open(ctx, pool, "").Recv(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that does not wait for long: %v", err)
	}
	opened := make(chan *procpool.Conversation[string, string])
	go func() { opened <- shout.Open(t.Context(), pool, "") }()
	select {
	case <-opened:
		t.Fatal("there are three")
	case <-time.After(20 * time.Millisecond):
	}
	a.CloseSend()
	third := <-opened
	defer closeTalk(t, third)
	if answer, err := say(t, third, "y"); answer != "Y" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

// Many sessions at once, whatever they do, leave nothing behind.
func TestManySessions(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 4})
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			talk := shout.Open(t.Context(), pool, "")
			defer talk.Close()
			for range 20 {
				if answer, err := say(t, talk, "abc"); answer != "ABC" || err != nil {
					t.Errorf("%q, %v", answer, err)
					return
				}
			}
			if i%3 == 0 {
				if _, err := say(t, talk, "die"); !errors.Is(err, procpool.ErrCrashed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "their processes are gone", func() bool { return pool.Stats().Dedicated == 0 })
	if s := pool.Stats(); s.Crashes != 4 || s.Failed != 4 || s.Submitted != 12 {
		t.Errorf("%+v", s)
	}
}

// Shutdown waits for sessions that run, and refuses those that wait for a process.
func TestSessionAtShutdown(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1, MaxDedicated: 1})
	talk := shout.Open(t.Context(), pool, "")
	if _, err := say(t, talk, "x"); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := shout.Open(context.WithoutCancel(t.Context()), pool, "").Recv(t.Context())
		waits <- err
	}()
	done := make(chan error, 1)
	go func() { done <- pool.Shutdown(context.WithoutCancel(t.Context())) }()
	if err := <-waits; !errors.Is(err, procpool.ErrClosed) {
		t.Errorf("one that waited: %v", err)
	}
	if answer, err := say(t, talk, "still"); answer != "STILL" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	talk.CloseSend()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A session may make calls of its pool while that shuts down.
func TestSessionCallsAtShutdown(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	talk := asks.Open(t.Context(), pool, struct{}{})
	ask := func(n int) {
		t.Helper()
		if err := talk.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if got, err := talk.Recv(t.Context()); got != n*n || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	}
	ask(3)
	done := make(chan error, 1)
	go func() { done <- pool.Shutdown(context.WithoutCancel(t.Context())) }()
	eventually(t, "the pool takes no more calls", func() bool {
		_, err := square.Call(t.Context(), pool, 1)
		return errors.Is(err, procpool.ErrClosed)
	})
	for n := range 5 {
		ask(n)
	}
	talk.CloseSend()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := talk.Recv(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// asks has a call of its pool answer what it is asked.
var asks = procpool.DefineSession("asks", func(ctx context.Context, _ struct{}, recv iter.Seq[int], send func(int) error) error {
	for n := range recv {
		v, err := procpool.Remote[int, int]("square").Call(ctx, procpool.ExecutorFrom(ctx), n)
		if err != nil {
			return err
		}
		if err := send(v); err != nil {
			return err
		}
	}
	return nil
})

// Close ends sessions.
func TestSessionOfClosedPool(t *testing.T) {
	pool := newPool(t, executor.Config{Workers: 1})
	talk := shout.Open(t.Context(), pool, "")
	if _, err := say(t, talk, "x"); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if _, err := talk.Recv(t.Context()); !errors.Is(err, procpool.ErrClosed) {
		t.Error(err)
	}
}

// A session whose process can't be started says why.
func TestSessionDoesNotStart(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	pool := newPool(t, executor.Config{Workers: 1, Initializer: initOnce.Bind(gate)})
	talk := shout.Open(t.Context(), pool, "")
	defer talk.Close()
	_, err := talk.Recv(t.Context())
	se, ok := errors.AsType[*procpool.StartError](err)
	if !ok {
		t.Fatal(err)
	}
	mustContain(t, se, "init_once", "there can be only one")
	works(t, pool)
	eventually(t, "nothing is tried any more", func() bool { s := pool.Stats(); return s.Dedicated == 0 && s.Starting == 0 })
}

// initOnce fails but for the first that comes.
var initOnce = procpool.Define("init_once", func(_ context.Context, path string) (struct{}, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return struct{}{}, errors.New("there can be only one")
	}
	return struct{}{}, f.Close()
})
