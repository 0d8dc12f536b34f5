// Crash calls a function that fails in every way a function can. Each failure
// costs its own call: the calls beside it finish, and the pool goes on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// Work ends in the way that its argument names.
var Work = procpool.Define("work", func(_ context.Context, how string) (string, error) {
	switch how {
	case "work":
		time.Sleep(20 * time.Millisecond) // so that others die beside it
		return "done", nil
	case "return an error":
		return "", errors.New("there is no such thing")
	case "panic":
		panic("this can't happen")
	case "segfault":
		return string(*faraway()), nil
	case "os.Exit(3)":
		os.Exit(3)
	case "SIGKILL":
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return "", err
		}
		if err := self.Kill(); err != nil {
			return "", err
		}
		select {}
	}
	return "", fmt.Errorf("can't %q", how)
})

// faraway points to memory that nobody mapped, as a bug in C code would. Go can't
// recover from that: its runtime ends the process with exit status 2.
func faraway() *byte {
	var here byte
	distance := int64(1) << 40
	return (*byte)(unsafe.Add(unsafe.Pointer(&here), distance))
}

func main() {
	workerproc.Init(Work)
	ctx := context.Background()
	// The workers' last words would go to our standard error; a crash's error
	// holds them as well.
	pool, err := executor.New(ctx, executor.Config{Workers: 2, Output: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	calls := []string{
		"work", "return an error", "work", "panic", "work",
		"segfault", "work", "os.Exit(3)", "work", "SIGKILL", "work",
	}
	var futures []*procpool.Future[string]
	for _, how := range calls {
		futures = append(futures, Work.Submit(ctx, pool, how))
	}
	for i, future := range futures {
		result, err := future.Result(ctx)
		fmt.Printf("%-16s %s\n", calls[i]+":", describe(result, err))
	}

	result, err := Work.Call(ctx, pool, "work")
	fmt.Printf("\n%d workers died. The pool goes on: %s\n", pool.Stats().Crashes, describe(result, err))
}

// describe tells the families of errors apart, as a caller would who wants to do
// something else about each.
func describe(result string, err error) string {
	if err == nil {
		return result
	}
	if task, ok := errors.AsType[*procpool.TaskError](err); ok {
		return "TaskError: " + task.Message + " (the worker lives)"
	}
	if panicked, ok := errors.AsType[*procpool.PanicError](err); ok {
		return "PanicError: " + panicked.Value + " (the worker lives)"
	}
	if crash, ok := errors.AsType[*procpool.CrashError](err); ok {
		return fmt.Sprintf("CrashError: pid %d died: %s%s", crash.PID, crash.Reason, lastWords(crash.Stderr))
	}
	return err.Error()
}

// lastWords returns what the Go runtime gave as the reason, if it ended the
// process. All stacks follow it in a crash's Stderr.
func lastWords(stderr string) string {
	for line := range strings.Lines(stderr) {
		if reason, found := strings.CutPrefix(line, "fatal error: "); found {
			return ", fatal error: " + strings.TrimSpace(reason)
		}
	}
	return ""
}
