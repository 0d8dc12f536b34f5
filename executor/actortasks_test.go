package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/procpool/procpool"
)

// bench is the state of the tests' actors: what is on a workbench.
type bench struct {
	open   benchOpening
	count  int
	friend *procpool.Ref
}

// benchOpening says how a bench is opened and what it does at its end.
type benchOpening struct {
	Start int
	// Ledger gets a line for the opening and one for the end.
	Ledger string
	// Gate holds the opening up until the file is there.
	Gate string
	// How is how the opening fails; again, how it fails in a second process.
	How string
	// Close is how Close goes.
	Close string
	// Friend has the opening spawn an actor of its own.
	Friend bool
}

// benches counts those that were opened in this process.
var benches atomic.Int64

func openBench(ctx context.Context, in benchOpening) (*bench, error) {
	b := &bench{open: in, count: in.Start}
	if err := b.note(fmt.Sprintf("opened in attempt %d", procpool.AttemptFrom(ctx))); err != nil {
		return nil, err
	}
	if in.Gate != "" {
		if err := sayStarted(in.Gate); err != nil {
			return nil, err
		}
		if err := untilFile(ctx, in.Gate); err != nil {
			return nil, err
		}
	}
	if in.Friend {
		friend, err := elsewhere.Spawn(ctx, procpool.ExecutorFrom(ctx), benchOpening{Ledger: in.Ledger, Start: 1000})
		if err != nil {
			return nil, err
		}
		b.friend = friend
	}
	switch in.How {
	case "":
	case "error":
		return nil, fmt.Errorf("no room: %w", errNoSuchThing)
	case "panic", "goexit":
		_, err := panicOf(in.How)
		return nil, err
	case "deaf":
		select {}
	case "second":
		if exists(in.Ledger + ".first") {
			_, err := dieOf(ctx, "exit 3")
			return nil, err
		}
		return b, os.WriteFile(in.Ledger+".first", nil, 0o600)
	case "second error":
		if exists(in.Ledger + ".first") {
			return nil, errors.New("not a second time")
		}
		return b, os.WriteFile(in.Ledger+".first", nil, 0o600)
	case "once":
		if procpool.AttemptFrom(ctx) == 1 {
			_, err := dieOf(ctx, "exit 3")
			return nil, err
		}
	default:
		_, err := dieOf(ctx, in.How)
		return nil, err
	}
	benches.Add(1)
	return b, nil
}

func (b *bench) note(line string) error {
	if b.open.Ledger == "" {
		return nil
	}
	return note(b.open.Ledger, line)
}

// Close says so in the ledger.
func (b *bench) Close() error {
	if err := b.note(fmt.Sprintf("closed at %d", b.count)); err != nil {
		return err
	}
	switch b.open.Close {
	case "error":
		return fmt.Errorf("it is stuck: %w", errNoSuchThing)
	case "hang":
		if b.open.Gate != "" {
			if err := sayStarted(b.open.Gate + ".close"); err != nil {
				return err
			}
		}
		select {}
	case "die":
		_, err := dieOf(context.Background(), "kill")
		return err
	}
	return nil
}

// sayStarted makes a file beside path that holds the process id.
func sayStarted(path string) error {
	whole := path + ".starting"
	if err := os.WriteFile(whole, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	return os.Rename(whole, path+".started")
}

func (b *bench) add(_ context.Context, n int) (int, error) {
	b.count += n
	return b.count, nil
}

func (b *bench) pid(context.Context, struct{}) (int, error) { return os.Getpid(), nil }

// wait says that it has started and waits for a file, or for its context.
func (b *bench) wait(ctx context.Context, path string) (int, error) {
	if err := sayStarted(path); err != nil {
		return 0, err
	}
	err := untilFile(ctx, path)
	b.count++
	return b.count, err
}

// deaf does so and ignores its context.
func (b *bench) deaf(_ context.Context, path string) (int, error) {
	return b.wait(context.Background(), path)
}

// work does as benchWork says.
func (b *bench) work(ctx context.Context, w benchWork) (int, error) {
	ex := procpool.ExecutorFrom(ctx)
	switch w.What {
	case "square":
		return square.Call(ctx, ex, w.N)
	case "add":
		return elsewhereAdd.Call(ctx, w.Ref, w.N)
	case "friend":
		return elsewhereAdd.Call(ctx, b.friend, w.N)
	case "add by a task":
		return elsewhereUse.Call(ctx, ex, w)
	case "close":
		return 0, w.Ref.On(ex).Close()
	case "report":
		procpool.Report(ctx, 0.5, "half")
		procpool.Logger(ctx).Info("at work")
		return 0, nil
	case "spawn":
		ref, err := elsewhere.Spawn(ctx, ex, benchOpening{Start: w.N})
		b.friend = ref
		return 0, err
	case "spawn many":
		return 0, spawnMany(ctx, w.N)
	case "error":
		return 0, errNoSuchThing
	case "panic", "goexit":
		return panicOf(w.What)
	}
	return dieOf(ctx, w.What)
}

// largeOpening is one that is not to be kept for nothing.
func largeOpening() benchOpening { return benchOpening{Close: strings.Repeat("x", 1<<20)} }

// spawnMany spawns so many, one after the other, and closes each.
func spawnMany(ctx context.Context, n int) error {
	for range n {
		ref, err := elsewhere.Spawn(ctx, procpool.ExecutorFrom(ctx), largeOpening(), procpool.Shared())
		if err != nil {
			return err
		}
		if err := ref.Close(); err != nil {
			return err
		}
	}
	return nil
}

// await has another bench wait for a file.
func (b *bench) await(ctx context.Context, w benchWork) (int, error) {
	return elsewhereWait.Call(ctx, w.Ref, w.What)
}

// relay has another bench do some work.
func (b *bench) relay(ctx context.Context, w relayWork) (int, error) {
	return elsewhereDo.Call(ctx, w.Ref, w.Work)
}

// relayWork is work for another bench.
type relayWork struct {
	Ref  *procpool.Ref
	Work benchWork
}

// benchWork is what a bench, or a task, is to do.
type benchWork struct {
	What string
	Ref  *procpool.Ref
	N    int
	Gate string
}

// The actors that the tests' workers serve, and tasks that use them.
var (
	workbench  = procpool.DefineActor("bench", openBench, benchErrors)
	benchAdd   = procpool.DefineMethod(workbench, "add", (*bench).add)
	benchPID   = procpool.DefineMethod(workbench, "pid", (*bench).pid)
	benchWait  = procpool.DefineMethod(workbench, "wait", (*bench).wait)
	benchDeaf  = procpool.DefineMethod(workbench, "deaf", (*bench).deaf)
	benchDo    = procpool.DefineMethod(workbench, "do", (*bench).work)
	benchAwait = procpool.DefineMethod(workbench, "await", (*bench).await)
	benchRelay = procpool.DefineMethod(workbench, "relay", (*bench).relay)

	// Handles for the actor's own code, which can't refer to those that hold it.
	elsewhere     = procpool.RemoteActor[benchOpening]("bench")
	elsewhereWait = procpool.RemoteMethod[string, int](elsewhere, "wait")
	elsewhereAdd  = procpool.RemoteMethod[int, int](elsewhere, "add", benchErrors)
	elsewhereDo   = procpool.RemoteMethod[benchWork, int](elsewhere, "do", benchErrors)
	elsewhereUse  = procpool.Remote[benchWork, int]("use_bench", benchErrors)

	// useBench calls a bench, or spawns one.
	useBench = procpool.Define("use_bench", func(ctx context.Context, w benchWork) (int, error) {
		if w.What == "spawn" || w.What == "spawn and die" || w.What == "spawn and return" {
			ref, err := workbench.Spawn(ctx, procpool.ExecutorFrom(ctx), benchOpening{Start: w.N})
			if err != nil {
				return 0, err
			}
			id, err := benchPID.Call(ctx, ref, struct{}{})
			if err != nil || w.What == "spawn and return" {
				return id, err
			}
			if w.What == "spawn and die" {
				return dieOf(ctx, "kill")
			}
			if n, err := benchAdd.Call(ctx, ref, 1); n != w.N+1 || err != nil {
				return n, err
			}
			return id, ref.Close()
		}
		if w.What == "spawn many" {
			if err := spawnMany(ctx, w.N); err != nil {
				return 0, err
			}
			return benchWait.Call(ctx, w.Ref, w.Gate)
		}
		return benchAdd.Call(ctx, w.Ref, w.N)
	}, benchErrors)

	// thenUseBench does so when a file is there.
	thenUseBench = procpool.Define("then_use_bench", func(ctx context.Context, w benchWork) (int, error) {
		if err := os.WriteFile(w.What+".started", nil, 0o600); err != nil {
			return 0, err
		}
		if err := untilFile(ctx, w.What); err != nil {
			return 0, err
		}
		return benchAdd.Call(ctx, w.Ref, w.N)
	}, benchErrors)

	// relay has a bench do some work, passRef returns what it is given, endBench closes it.
	relay = procpool.Define("relay", func(ctx context.Context, w relayWork) (int, error) {
		return benchDo.Call(ctx, w.Ref, w.Work)
	}, benchErrors)
	passRef  = procpool.Define("pass_ref", func(_ context.Context, ref *procpool.Ref) (*procpool.Ref, error) { return ref, nil })
	endBench = procpool.Define("end_bench", func(ctx context.Context, ref *procpool.Ref) (int, error) {
		return 0, ref.On(procpool.ExecutorFrom(ctx)).Close()
	})

	benchErrors = procpool.Errors(map[string]error{
		"no_such_thing": errNoSuchThing, "actor_ended": procpool.ErrActorEnded, "reentrant": procpool.ErrReentrant, "nesting": procpool.ErrNestingLimit,
		"crashed": procpool.ErrCrashed,
	})
)

func actorTasks() []procpool.Task {
	return []procpool.Task{workbench, useBench, thenUseBench, relay, passRef, endBench}
}
