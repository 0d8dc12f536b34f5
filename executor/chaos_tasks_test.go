package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
)

// order is a call of the chaos test, answer what it returns.
type order struct {
	ID   int
	How  string // how it ends; empty: with its answer
	For  time.Duration
	Data []byte
	Kids []int // calls that it makes of its pool
	Deep int   // how deep those may make calls
	Base int   // how often the call that makes it has run before
}

type answer struct {
	ID   int
	Data []byte
}

// The kinds of calls differ in name, since what is known of a task's duration
// decides what is sent ahead behind it.
var (
	chaosTiny = procpool.Define("chaos_tiny", entered(func(context.Context, order) error { return nil }))
	// chaosNap waits as long as it is told to, or until it is cancelled.
	chaosNap = procpool.Define("chaos_nap", entered(func(ctx context.Context, o order) error { return nap(ctx, o.For) }))
	// chaosDeaf waits as well and does not listen.
	chaosDeaf = procpool.Define("chaos_deaf", entered(func(_ context.Context, o order) error {
		return nap(context.Background(), o.For)
	}))
	// chaosSpin computes.
	chaosSpin = procpool.Define("chaos_spin", entered(func(_ context.Context, o order) error {
		for begun := time.Now(); time.Since(begun) < o.For; {
		}
		return nil
	}))
	chaosBlob = procpool.Define("chaos_blob", entered(func(context.Context, order) error { return nil }))
	// chaosEnd ends in a bad way.
	chaosEnd = procpool.Define("chaos_end", entered(func(_ context.Context, o order) error { return badEnd(o.How) }))
)

var chaosTasks = []procpool.Task{chaosTiny, chaosNap, chaosDeaf, chaosSpin, chaosBlob, chaosEnd}

// The bad ends.
const (
	endFail   = "fail"
	endPanic  = "panic"
	endGoexit = "goexit"
	endExit   = "exit"
	endKill   = "kill"
)

// killsItsWorker reports whether a call that ends so takes its worker with it.
func killsItsWorker(how string) bool { return how == endExit || how == endKill }

func badEnd(how string) error {
	switch how {
	case endFail:
		return errors.New("as it was told to")
	case endPanic:
		panic("as it was told to")
	case endGoexit:
		runtime.Goexit()
	case endExit:
		os.Exit(3)
	case endKill:
		_ = sendSignal(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

func nap(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// entered makes a task that enters its start into the ledger before it does
// anything else.
func entered(run func(context.Context, order) error) func(context.Context, order) (answer, error) {
	return func(ctx context.Context, o order) (answer, error) {
		if err := enter(o.ID, o.Base+procpool.AttemptFrom(ctx)); err != nil {
			return answer{}, err
		}
		if err := run(ctx, o); err != nil {
			return answer{}, err
		}
		return answer{ID: o.ID, Data: o.Data}, nil
	}
}

// ledgerVariable tells the workers where the ledger is.
const ledgerVariable = "CHAOS_LEDGER"

// entrySize is how long an entry of the ledger is: a power of two, so that none
// crosses the end of a page, where a SIGKILL could tear its write.
const entrySize = 32

var ledgerFile = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(os.Getenv(ledgerVariable), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
})

// enter appends a start to the ledger, in one write.
func enter(id, attempt int) error {
	f, err := ledgerFile()
	if err != nil {
		return err
	}
	entry := fmt.Sprintf("%*d %*d\n", entrySize-6, id, 4, attempt)
	if len(entry) != entrySize {
		return fmt.Errorf("%q is no entry", entry)
	}
	_, err = f.WriteString(entry)
	return err
}

// chaosLedger is the ledger as the test reads it.
type chaosLedger struct {
	path string
	read int64
}

// starts returns what was entered since it was asked last: how often each call was
// started.
func (l *chaosLedger) starts(t *testing.T) map[int]int {
	t.Helper()
	f, err := os.Open(l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size()-l.read)
	if _, err := f.ReadAt(b, l.read); err != nil {
		t.Fatal(err)
	}
	l.read = info.Size()
	starts := make(map[int]int)
	for line := range bytes.Lines(b) {
		id, attempt, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		n, err := strconv.Atoi(id)
		if !ok || err != nil || len(line) != entrySize {
			t.Fatalf("the ledger has the entry %q", line)
		}
		starts[n]++
		// Attempts that died before they came here are missing.
		if a, err := strconv.Atoi(strings.TrimSpace(attempt)); err != nil || a < starts[n] {
			t.Errorf("call %d was started for at least the %d. time and takes itself for attempt %s", n, starts[n], attempt)
		}
	}
	return starts
}
