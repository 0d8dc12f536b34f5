package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

const (
	// hostPart is the first argument of a host: this program run again.
	hostPart = "host"
	// patience is after how long a wait is called a hang.
	patience = 6 * time.Second

	poolSize = 2
)

// host is the program that an event happens to: it has a pool and tells, a line
// at a time, what becomes of its calls.
type host struct {
	ctx    context.Context //nolint:containedctx // the whole of the host's life
	folder string
	pool   *executor.Pool
	ready  chan int // the process ids of its workers
	out    *json.Encoder
}

// beHost lets an event happen to a pool in this process, and returns its exit
// code.
func beHost(event, folder string) int {
	for _, e := range events() {
		if e.Key == event {
			h := &host{ctx: context.Background(), folder: folder, ready: make(chan int, 100), out: json.NewEncoder(os.Stdout)}
			if err := e.play(h); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", event, err)
				return 1
			}
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "there is no event %q\n", event)
	return 2
}

// tell reports the fate of something: "call", "neighbour", "pending", "next",
// "close", or that the host is "ready" to be killed.
func (h *host) tell(of, fate string) error {
	if err := h.out.Encode(map[string]string{of: fate}); err != nil {
		return fmt.Errorf("reporting to the matrix: %w", err)
	}
	return nil
}

// start makes the pool and waits until all its workers are there.
func (h *host) start() error {
	pool, err := executor.New(h.ctx, h.config())
	if err != nil {
		return err
	}
	h.pool = pool
	for pool.Stats().Workers < poolSize {
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (h *host) config() executor.Config {
	return executor.Config{
		Workers: poolSize, Output: io.Discard,
		CancelGrace: 200 * time.Millisecond, HungAfter: time.Second, // within patience
		OnEvent: func(e executor.Event) {
			if e.Kind == executor.WorkerReady {
				h.ready <- e.PID
			}
		},
	}
}

// close ends the pool the way a program does that is done with it.
func (h *host) close() error {
	closed := make(chan struct{})
	go func() {
		h.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return h.tell("close", fateOK)
	case <-time.After(patience):
		return h.tell("close", fateHang)
	}
}

func (h *host) path(name string) string { return filepath.Join(h.folder, name) }

// open lets the calls go on that wait for a file.
func (h *host) open(name string) error { return os.WriteFile(h.path(name), nil, 0o600) }

// started waits until a call runs and returns its process.
func (h *host) started(name string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	if err := untilFile(ctx, h.path(name+".started")); err != nil {
		return 0, fmt.Errorf("the call %s does not start: %w", name, err)
	}
	text, err := os.ReadFile(h.path(name + ".started"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// among lets something happen to a call, or to a pool, beside a call that runs
// and before three that wait, and tells what became of all of them.
func (h *host) among(happen func(neighbour int) (fate func() string, err error)) error {
	if err := h.start(); err != nil {
		return err
	}
	neighbour := gate.Submit(h.ctx, h.pool, h.path("neighbour"))
	pid, err := h.started("neighbour")
	if err != nil {
		return err
	}
	fate, err := happen(pid)
	if err != nil {
		return err
	}
	var pending []*procpool.Future[int]
	for i := range 3 {
		pending = append(pending, square.Submit(h.ctx, h.pool, i))
	}
	err = errors.Join(h.open("call"), h.tell("call", fate()), h.open("neighbour"), h.tell("neighbour", fateOf(h.ctx, neighbour)))
	fates := make([]string, 0, len(pending))
	for _, f := range pending {
		fates = append(fates, fateOf(h.ctx, f))
	}
	return errors.Join(err, h.tell("pending", together(fates)), h.tell("next", fateOf(h.ctx, square.Submit(h.ctx, h.pool, 9))), h.close())
}

// The fates that every pool knows; the rest are the names of errors.
const (
	fateOK   = "ok"
	fateHang = "hang"
	fateNone = "-" // there was no such call
)

// fateOf waits for a future, within patience, and says how it ended.
func fateOf[T any](ctx context.Context, f *procpool.Future[T]) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := f.Result(ctx)
	return nameOf(err)
}

// later returns how to learn a call's fate.
func later[T any](h *host, f *procpool.Future[T]) func() string {
	return func() string { return fateOf(h.ctx, f) }
}

// together is one word for several fates.
func together(fates []string) string {
	for _, fate := range fates[1:] {
		if fate != fates[0] {
			return strings.Join(fates, ", ")
		}
	}
	return fates[0]
}

// nameOf is an error's type, with the cause of a crash.
func nameOf(err error) string {
	var (
		crash   *procpool.CrashError
		task    *procpool.TaskError
		panicE  *procpool.PanicError
		codec   *procpool.CodecError
		timeout *procpool.TimeoutError
		start   *procpool.StartError
	)
	switch {
	case err == nil:
		return fateOK
	case errors.Is(err, procpool.ErrNotDone):
		return fateHang
	case errors.As(err, &crash):
		if crash.Hung {
			return "CrashError, hung"
		}
		return "CrashError, " + crash.Reason
	case errors.As(err, &start): // before what it wraps
		return "StartError"
	case errors.As(err, &task):
		return "TaskError"
	case errors.As(err, &panicE):
		return "PanicError"
	case errors.As(err, &codec):
		return "CodecError"
	case errors.As(err, &timeout):
		return "TimeoutError"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	}
	return err.Error()
}
