package procpooltest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// notebook is the state of an actor that keeps what it is told.
type notebook struct {
	lines  []string
	friend *procpool.Ref
	opened chan<- *notebook
	closed bool
}

func (b *notebook) Close() error {
	b.closed = true
	if len(b.lines) > 0 && b.lines[0] == "unclosable" {
		return errUnclosable
	}
	return nil
}

var errUnclosable = errors.New("it can't be closed")

// library makes an actor for tests. Each notebook that it opens comes on the channel.
type library struct {
	*procpool.Actor[string, *notebook]
	write, waits, writeTo *procpool.Method[string, int]
	opened                chan *notebook
}

func newLibrary() *library {
	lib := &library{opened: make(chan *notebook, 10)}
	lib.Actor = procpool.DefineActor("notebook", func(ctx context.Context, first string) (*notebook, error) {
		b := &notebook{opened: lib.opened}
		lib.opened <- b
		switch first {
		case "":
			return b, nil
		case "wait":
			<-ctx.Done()
			return b, nil // too late
		case "child":
			child, err := lib.Spawn(ctx, procpool.ExecutorFrom(ctx), "")
			b.friend = child
			return b, err
		case "self": // of itself, by a Ref that it can't have yet
			return b, nil
		case "fail":
			return nil, errUnclosable
		case "panic":
			panic("in the opening")
		}
		b.lines = []string{first}
		return b, nil
	}, procpool.Errors(map[string]error{"unclosable": errUnclosable}))
	lib.write = procpool.DefineMethod(lib.Actor, "write", func(b *notebook, _ context.Context, line string) (int, error) {
		if line == "panic" {
			panic(line)
		}
		b.lines = append(b.lines, line)
		return len(b.lines), nil
	})
	lib.waits = procpool.DefineMethod(lib.Actor, "wait", func(_ *notebook, ctx context.Context, _ string) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	lib.writeTo = procpool.DefineMethod(lib.Actor, "write_to", func(b *notebook, ctx context.Context, ref string) (int, error) {
		if ref != "" {
			friend := new(procpool.Ref)
			if err := friend.UnmarshalText([]byte(ref)); err != nil {
				return 0, err
			}
			b.friend = friend
		}
		return lib.writeTo.Call(ctx, b.friend, "")
	})
	return lib
}

func mustSpawn(t *testing.T, lib *library, ex procpool.Executor, first string) *procpool.Ref {
	t.Helper()
	ref, err := lib.Spawn(t.Context(), ex, first)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// The calls of an actor run one at a time in their order, beside the executor's places.
func TestInlineActor(t *testing.T) {
	t.Parallel()
	lib := newLibrary()
	ex := procpooltest.Inline(lib)
	a, b := mustSpawn(t, lib, ex, "first"), mustSpawn(t, lib, ex, "")
	var futures []*procpool.Future[int]
	for range 1000 {
		futures = append(futures, lib.write.Submit(t.Context(), a, "x"))
	}
	for i, f := range futures {
		if n, err := f.Result(t.Context()); n != i+2 || err != nil {
			t.Fatalf("call %d: %d, %v", i, n, err)
		}
	}
	if n, err := lib.write.Call(t.Context(), b, "y"); n != 1 || err != nil {
		t.Errorf("the other: %d, %v", n, err)
	}
	_, err := lib.write.Call(t.Context(), a, "panic")
	if panicked, ok := errors.AsType[*procpool.PanicError](err); !ok || panicked.Task != "notebook.write" {
		t.Error(err)
	}
	if n, err := lib.write.Call(t.Context(), a, "z"); n != 1002 || err != nil {
		t.Errorf("after a panic: %d, %v", n, err)
	}
	for _, ref := range []*procpool.Ref{a, b, a} {
		if err := ref.Close(); err != nil {
			t.Error(err)
		}
	}
	if b := <-lib.opened; !b.closed {
		t.Error("its state was not closed")
	}
	<-a.Done()
	if !errors.Is(a.Err(), procpool.ErrActorEnded) {
		t.Error(a.Err())
	}
}

func TestInlineActorIsNotOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib := newLibrary()
		ex := procpooltest.Inline(lib)
		if _, err := lib.Spawn(t.Context(), ex, "fail"); !errors.Is(err, errUnclosable) {
			t.Error(err)
		}
		<-lib.opened
		if _, err := lib.Spawn(t.Context(), ex, "panic"); err == nil {
			t.Error("a panic opens")
		}
		<-lib.opened
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := lib.Spawn(ctx, ex, "wait"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if b := <-lib.opened; !b.closed {
			t.Error("a state that came too late was not closed")
		}
	})
}

// Close gives up the call that runs and those that wait.
func TestInlineActorClosedWhileItRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib := newLibrary()
		ref := mustSpawn(t, lib, procpooltest.Inline(lib), "unclosable")
		runs, waits := lib.waits.Submit(t.Context(), ref, ""), lib.write.Submit(t.Context(), ref, "")
		synctest.Wait()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := ref.Close(); !errors.Is(err, errUnclosable) {
					t.Errorf("Close: %v", err)
				}
			})
		}
		closers.Wait()
		for _, f := range []*procpool.Future[int]{runs, waits, lib.write.Submit(t.Context(), ref, "")} {
			if _, err := f.Result(t.Context()); !errors.Is(err, procpool.ErrActorEnded) {
				t.Error(err)
			}
		}
		if b := <-lib.opened; !b.closed || len(b.lines) != 1 {
			t.Errorf("%+v", b)
		}
	})
}

// An actor can't call itself, directly or through others.
func TestInlineActorIsNotReentrant(t *testing.T) {
	t.Parallel()
	lib := newLibrary()
	ex := procpooltest.Inline(lib)
	a, b := mustSpawn(t, lib, ex, ""), mustSpawn(t, lib, ex, "")
	defer a.Close()
	defer b.Close()
	if _, err := lib.writeTo.Call(t.Context(), a, a.String()); err == nil || !isReentrant(err) {
		t.Errorf("itself: %v", err)
	}
	// a calls b, and b calls a.
	state := <-lib.opened
	_ = state
	bState := <-lib.opened
	bState.friend = a // before its first call
	if _, err := lib.writeTo.Call(t.Context(), a, b.String()); err == nil || !isReentrant(err) {
		t.Errorf("in a circle: %v", err)
	}
}

// isReentrant looks for the error's text, which is what is left of it in that of a
// method that returns it.
func isReentrant(err error) bool {
	failed, ok := errors.AsType[*procpool.TaskError](err)
	return ok && strings.Contains(failed.Message, procpool.ErrReentrant.Error())
}

// What an actor spawns ends with it, what a task spawns with the task.
func TestInlineActorEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib := newLibrary()
		keep := make(chan *procpool.Ref, 1)
		task := procpool.Define("spawns", func(ctx context.Context, _ int) (int, error) {
			ref, err := lib.Spawn(ctx, procpool.ExecutorFrom(ctx), "task's")
			if err != nil {
				return 0, err
			}
			keep <- ref
			return lib.write.Call(ctx, ref, "more")
		})
		ex := procpooltest.Inline(lib, task)
		parent := mustSpawn(t, lib, ex, "child")
		p := <-lib.opened
		child := <-lib.opened
		if n, err := lib.write.Call(t.Context(), p.friend.On(ex), "x"); n != 1 || err != nil {
			t.Errorf("the child: %d, %v", n, err)
		}
		if err := parent.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !child.closed {
			t.Error("the child of an actor outlives it")
		}
		if n, err := task.Call(t.Context(), ex, 0); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		synctest.Wait()
		ref := <-keep
		if b := <-lib.opened; !b.closed || ref.Err() == nil {
			t.Error("an actor outlives the task that has spawned it")
		}
		if _, err := lib.write.Call(t.Context(), ref.On(ex), "x"); !errors.Is(err, procpool.ErrActorEnded) {
			t.Error(err)
		}
	})
}
