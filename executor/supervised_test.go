package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// trial is what flaky does: for so many attempts it fails in some way, after it has
// noted the attempt in the file.
type trial struct {
	Ledger string
	Times  int
	How    string // as die's; "error", "timeout" and "gate" besides
}

// The tasks of the tests of supervision.
var (
	flaky = procpool.Define("flaky", func(ctx context.Context, in trial) (int, error) {
		attempt := procpool.AttemptFrom(ctx)
		if err := note(in.Ledger, fmt.Sprint("attempt ", attempt)); err != nil {
			return 0, err
		}
		if attempt > in.Times {
			return attempt, nil
		}
		switch in.How {
		case "error":
			return 0, fmt.Errorf("attempt %d: %w", attempt, errNoSuchThing)
		case "timeout":
			<-ctx.Done()
			return 0, ctx.Err()
		case "deaf":
			return 0, untilFile(context.Background(), filepath.Join(filepath.Dir(in.Ledger), "never"))
		}
		return dieOf(ctx, in.How)
	}, procpool.Errors(map[string]error{"no_such_thing": errNoSuchThing}))

	prepare = procpool.Define("prepare", func(ctx context.Context, how string) (struct{}, error) {
		switch how {
		case "error":
			return struct{}{}, errors.New("the model is missing")
		case "panic":
			panic("no model")
		case "exit":
			fmt.Fprintln(os.Stderr, "no licence")
			os.Exit(3)
		case "hang":
			<-context.Background().Done()
		}
		prepared.Store(how)
		return struct{}{}, nil
	})
	preparedAs = procpool.Define("prepared_as", func(context.Context, struct{}) (string, error) {
		how, _ := prepared.Load().(string)
		return how, nil
	})
	farewell = procpool.Define("farewell", func(_ context.Context, path string) (struct{}, error) {
		if path == "error" {
			return struct{}{}, errors.New("nothing to say")
		}
		return struct{}{}, note(path, fmt.Sprint(os.Getpid()))
	})

	leak = procpool.Define("leak", func(_ context.Context, n int) (int, error) {
		b := make([]byte, n)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		leaked = append(leaked, b)
		return os.Getpid(), nil
	})
	burn = procpool.Define("burn", func(_ context.Context, d time.Duration) (int, error) {
		n := 0
		for end := time.Now().Add(d); time.Now().Before(end); {
			n++
		}
		return os.Getpid(), nil
	})
	openMany = procpool.Define("open_many", func(_ context.Context, n int) (int, error) {
		for i := range n {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return i, err
			}
			defer f.Close()
		}
		return n, nil
	})
	// child starts a process that outlives the call and says its id.
	child = procpool.Define("child", func(context.Context, int) (int, error) {
		c := exec.Command("sleep", "600")
		if err := c.Start(); err != nil {
			return 0, err
		}
		go func() { _ = c.Wait() }()
		return c.Process.Pid, nil
	})
)

// What the tasks keep in their workers.
var (
	prepared atomic.Value
	leaked   [][]byte
)

func superviseTasks() []procpool.Task {
	return []procpool.Task{flaky, prepare, preparedAs, farewell, leak, burn, openMany, child}
}

// note appends a line to a file in a single write.
func note(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// eventLog keeps the events of a pool.
type eventLog struct{ events chan executor.Event }

func newEventLog() *eventLog { return &eventLog{make(chan executor.Event, 10000)} }

func (l *eventLog) hear(e executor.Event) { l.events <- e }

// await returns the next event of a kind.
func (l *eventLog) await(kind executor.EventKind) (executor.Event, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-l.events:
			if e.Kind == kind {
				return e, nil
			}
		case <-timer.C:
			return executor.Event{}, fmt.Errorf("no event %q within %v", kind, patience)
		}
	}
}

// stateOf returns a process's state as /proc has it.
func stateOf(pid int) byte {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == ')' {
			return text[i+2]
		}
	}
	return 0
}

// alive reports whether a process runs or is stopped; one that is dead and was not
// reaped by its parent counts as gone.
func alive(pid int) bool {
	state := stateOf(pid)
	return state != 0 && state != 'Z' && state != 'X'
}
