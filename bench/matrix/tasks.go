package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/procpool/procpool"
)

// The tasks that the workers serve.
var (
	square = procpool.Define("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

	// gate runs until its file is there, or until it is cancelled.
	gate = procpool.Define("gate", func(ctx context.Context, path string) (int, error) { return pass(ctx, path) })

	// deed waits for its file and then does what it is asked to.
	deed = procpool.Define("deed", func(ctx context.Context, d what) (int, error) {
		if _, err := pass(ctx, d.Path); err != nil {
			return 0, err
		}
		return do(d.How)
	})

	// deaf takes as long as it was told to, whatever becomes of its caller.
	deaf = procpool.Define("deaf", func(_ context.Context, d nap) (int, error) {
		if err := sayStarted(d.Path); err != nil {
			return 0, err
		}
		time.Sleep(d.Takes)
		return 0, nil
	})

	// child starts a program and waits for it.
	child = procpool.Define("child", func(ctx context.Context, path string) (int, error) {
		cmd := exec.CommandContext(ctx, "sleep", "60")
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		if err := sayStarted(path); err != nil {
			return 0, err
		}
		return 0, cmd.Wait()
	})

	// initialize counts how often it was tried, and fails.
	initialize = procpool.Define("initialize", func(_ context.Context, path string) (int, error) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		_, err = f.WriteString("x")
		return 0, errors.Join(err, f.Close(), errors.New("the model is not there"))
	})

	takeRough  = procpool.Define("take_rough", func(_ context.Context, r rough) (int, error) { return int(r), nil })
	giveRough  = procpool.Define("give_rough", func(context.Context, int) (rough, error) { return failsToDecode, nil })
	unwritable = procpool.Define("unwritable", func(context.Context, int) (chan int, error) { return make(chan int), nil })
)

// served lists them for the workers.
func served() []procpool.Task {
	return []procpool.Task{square, gate, deed, deaf, child, initialize, takeRough, giveRough, unwritable}
}

type what struct{ How, Path string }

type nap struct {
	Path  string
	Takes time.Duration
}

// sayStarted tells the host which process runs the call.
func sayStarted(path string) error {
	half := path + ".half"
	if err := os.WriteFile(half, fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path+".started")
}

// pass says that the call has started and waits for the file at path.
func pass(ctx context.Context, path string) (int, error) {
	if err := sayStarted(path); err != nil {
		return 0, err
	}
	return os.Getpid(), untilFile(ctx, path)
}

func untilFile(ctx context.Context, path string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do ends a call, or its process, in the way asked for.
func do(how string) (int, error) {
	switch how {
	case "kill":
		return die(syscall.SIGKILL)
	case "segv":
		return die(syscall.SIGSEGV)
	case "exit":
		os.Exit(3)
	case "panic":
		panic("a bug of the task")
	case "goexit":
		runtime.Goexit()
	case "odd":
		return 0, oddError{}
	}
	return 0, fmt.Errorf("there is no deed %q", how)
}

func die(s syscall.Signal) (int, error) {
	if err := sendSignal(os.Getpid(), s); err != nil {
		return 0, err
	}
	select {}
}

// oddError is an error whose own method fails.
type oddError struct{}

func (oddError) Error() string { panic("nobody can read this error") }

// rough is a value that one side or the other has trouble with.
type rough byte

const (
	failsToEncode rough = iota + 1
	failsToDecode
)

// MarshalCBOR fails for one of the two.
func (r rough) MarshalCBOR() ([]byte, error) {
	if r == failsToEncode {
		panic("this can't be encoded")
	}
	return []byte{byte(r)}, nil
}

// UnmarshalCBOR fails always.
func (r *rough) UnmarshalCBOR([]byte) error { return errors.New("this can't be decoded") }
